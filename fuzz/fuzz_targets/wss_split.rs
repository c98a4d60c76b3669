#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| talkws_fuzz::fuzz_targets::wss_split(input));
