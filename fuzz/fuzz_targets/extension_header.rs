#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| talkws_fuzz::deflate_targets::extension_header(input));
