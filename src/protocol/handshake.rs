//! The opening handshake of both roles (RFC 6455, section 4), on tungstenite's parts.

pub mod client;
pub mod extensions;
mod forwarded;
pub mod server;

use crate::options::MAX_HEAD_SIZE;

/// Finds out when a head is worth parsing, so that one that comes byte by byte does not cost
/// the square of its size: when its empty line has come, and when it has doubled.
#[derive(Debug, Default)]
pub struct HeadScan {
    scanned: usize,
    parsed: usize,
}

impl HeadScan {
    /// Whether to parse `head`, which has grown since the last call.
    pub fn is_worth_parsing(&mut self, head: &[u8]) -> bool {
        // An empty line may have begun before the bytes that are new.
        let new = &head[self.scanned.saturating_sub(3)..];
        self.scanned = head.len();
        let has_empty_line =
            new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|w| w == b"\n\r\n");
        if has_empty_line || head.len() >= 2 * self.parsed || head.len() > MAX_HEAD_SIZE {
            self.parsed = head.len();
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_line_is_found_wherever_the_head_is_divided() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 1..head.len() {
            let mut scan = HeadScan::default();
            scan.is_worth_parsing(&head[..cut]);
            assert!(scan.is_worth_parsing(head), "divided at {cut}");
        }
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_parsed_a_few_times() {
        let head = vec![b'a'; 16 * 1024];
        let mut scan = HeadScan::default();
        let parsed = (1..=head.len())
            .filter(|&n| scan.is_worth_parsing(&head[..n]))
            .count();
        assert!(parsed < 20, "parsed {parsed} times");
    }
}
