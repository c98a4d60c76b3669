//! What the fuzzer has found worth keeping goes through its target again. See `fuzz/run`.

#[cfg(feature = "deflate")]
#[path = "support/deflate_targets.rs"]
mod deflate_targets;
#[path = "support/fuzz_targets.rs"]
mod fuzz_targets;
#[allow(dead_code, reason = "tests/oracle.rs uses the rest")]
#[path = "support/oracle.rs"]
mod oracle;
#[cfg(feature = "tls")]
#[path = "support/wss_conversation.rs"]
mod wss_conversation;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz_targets::TARGETS;

fn replay(name: &str) {
    let (_, target) = TARGETS
        .iter()
        .find(|(target, _)| *target == name)
        .expect("a target of that name");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("the corpus {}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "the corpus {} is empty",
        folder.display()
    );
    let fails = |file: &Path| {
        let input = std::fs::read(file).unwrap();
        catch_unwind(AssertUnwindSafe(|| target(&input))).is_err()
    };
    let failed: Vec<_> = files.iter().filter(|file| fails(file)).collect();
    assert!(failed.is_empty(), "{name} fails on {failed:#?}");
}

#[test]
fn decoder_oracle() {
    replay("decoder_oracle");
}

#[test]
fn decoder_split() {
    replay("decoder_split");
}

#[test]
fn server_handshake() {
    replay("server_handshake");
}

#[test]
fn client_handshake() {
    replay("client_handshake");
}

#[cfg(feature = "tls")]
#[test]
fn wss_split() {
    replay("wss_split");
}

#[cfg(feature = "deflate")]
#[test]
fn extension_header() {
    replay("extension_header");
}

#[cfg(feature = "deflate")]
#[test]
fn inflater() {
    replay("inflater");
}

#[cfg(all(feature = "deflate", feature = "tls"))]
#[test]
fn every_corpus_belongs_to_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in std::fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name();
        let is_target = TARGETS.iter().any(|(target, _)| *target == name);
        assert!(is_target, "fuzz/corpus/{} is not replayed", name.display());
    }
}
