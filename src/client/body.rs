//! The body of a refusal (RFC 9112, section 6): its beginning, to tell the user why.

use crate::head::ResponseHead;

/// The most that is kept of a body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    EndOfStream,
}

fn framing(head: &ResponseHead) -> Framing {
    // RFC 9112, 6.3: no body; then chunked; then the length; then the end of the stream.
    if matches!(head.status(), 204 | 304) {
        return Framing::Length(0);
    }
    if head.has_token("transfer-encoding", "chunked") {
        return Framing::Chunked;
    }
    match head
        .header("content-length")
        .and_then(|length| length.parse().ok())
    {
        Some(length) => Framing::Length(length),
        None => Framing::EndOfStream,
    }
}

/// Gives the beginning of the body that follows `head`. `received` is what came with the head;
/// `more` appends to it, and says false when nothing more will come.
pub(super) fn receive(
    head: &ResponseHead,
    mut received: Vec<u8>,
    mut more: impl FnMut(&mut Vec<u8>) -> bool,
) -> Vec<u8> {
    let framing = framing(head);
    loop {
        let (body, is_complete) = match framing {
            Framing::Length(length) => (None, received.len() >= length),
            Framing::Chunked => {
                let (body, is_complete) = dechunk(&received);
                (Some(body), is_complete)
            }
            Framing::EndOfStream => (None, false),
        };
        // Chunks cost some bytes each; twice the size leaves room for all but absurd ones.
        let is_enough = is_complete
            || body.as_ref().map_or(received.len(), Vec::len) >= MAX_BODY
            || received.len() >= 2 * MAX_BODY;
        if is_enough || !more(&mut received) {
            let mut body = match framing {
                Framing::Chunked => dechunk(&received).0,
                _ => received,
            };
            if let Framing::Length(length) = framing {
                body.truncate(length);
            }
            body.truncate(MAX_BODY);
            return body;
        }
    }
}

/// Takes the chunks of RFC 9112, 7.1, apart, as far as they have come.
fn dechunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((_, 0))) => return (body, true),
            Ok(httparse::Status::Complete((start, size))) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let data = &rest[start..];
                let here = &data[..size.min(data.len())];
                if body.try_reserve(here.len()).is_err() {
                    // The body is extra.
                    return (body, true);
                }
                body.extend_from_slice(here);
                match data.len().checked_sub(size) {
                    // The line break after the chunk.
                    Some(left) if left >= 2 => rest = &data[size + 2..],
                    _ => return (body, false),
                }
            }
            Ok(httparse::Status::Partial) => return (body, false),
            // Broken: what came before it is still worth reading.
            Err(_) => return (body, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(head: &str, pieces: &[&[u8]]) -> Vec<u8> {
        let head = ResponseHead::new(format!("HTTP/1.1 404 x\r\n{head}\r\n").as_bytes());
        let mut pieces = pieces.iter();
        receive(&head, Vec::new(), |received| match pieces.next() {
            Some(piece) => {
                received.extend_from_slice(piece);
                true
            }
            None => false,
        })
    }

    #[test]
    fn a_body_of_known_length_ends_there() {
        assert_eq!(
            body(
                "Content-Length: 5\r\n",
                &[b"hel", b"lo, more", b"never asked"]
            ),
            b"hello"
        );
        assert_eq!(body("Content-Length: 0\r\n", &[b"x"]), b"");
    }

    #[test]
    fn chunks_are_put_together_however_they_arrive() {
        let chunked = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        for size in 1..chunked.len() {
            let pieces: Vec<&[u8]> = chunked.chunks(size).collect();
            assert_eq!(
                body("Transfer-Encoding: chunked\r\n", &pieces),
                b"abcde",
                "by {size}"
            );
        }
    }

    #[test]
    fn a_body_without_end_is_cut_off() {
        let piece = vec![b'x'; 60_000];
        assert_eq!(body("", &[&piece, &piece, &piece]).len(), MAX_BODY);
        assert_eq!(body("", &[b"short"]), b"short");
    }
}
