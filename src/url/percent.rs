//! Percent-encoding (RFC 3986, 2.1).

/// Decodes each `%XX`; `None` when a `%` stands before something else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8,
            other => other,
        });
    }
    Some(decoded)
}

/// Encodes what is not ASCII, as RFC 3987, 3.1, makes a URI of an IRI.
pub fn encode_beyond_ascii(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii() {
            encoded.push(byte.into());
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(decode("a%20b%00%fF").as_deref(), Some(&b"a b\0\xFF"[..]));
        assert_eq!(decode("caf\u{e9}").as_deref(), Some("caf\u{e9}".as_bytes()));
        for broken in ["%", "%2", "%2x", "a%+1", "%\u{e9}"] {
            assert_eq!(decode(broken), None, "{broken}");
        }
    }

    #[test]
    fn ascii_stays_as_it_is() {
        assert_eq!(encode_beyond_ascii("/a%20b?c"), "/a%20b?c");
        assert_eq!(encode_beyond_ascii("/\u{e9}"), "/%C3%A9");
    }
}
