//! What the fuzz targets do, the very code that `tests/corpora.rs` runs.

#[path = "../tests/support/deflate_targets.rs"]
pub mod deflate_targets;
#[path = "../tests/support/fuzz_targets.rs"]
pub mod fuzz_targets;
#[path = "../tests/support/oracle.rs"]
pub mod oracle;
#[path = "../tests/support/wss_conversation.rs"]
pub mod wss_conversation;
