//! `Sec-WebSocket-Extensions`: extensions and their parameters (RFC 6455, 9.1).

use std::borrow::Cow;

use crate::options::is_token;

/// An extension as a header names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its parameters in their order, with the values of those that have one.
    pub parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// Reads the value of a header; `None` when it does not keep to the grammar.
pub fn parse(value: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut scan = Scan(std::str::from_utf8(value).ok()?);
    let mut extensions = Vec::new();
    loop {
        // A list may hold empty elements (RFC 9110, 5.6.1.2).
        while scan.takes(',') {}
        if scan.is_at_end() {
            return Some(extensions);
        }
        let name = scan.token()?;
        let mut parameters = Vec::new();
        while scan.takes(';') {
            let name = scan.token()?;
            let value = match scan.takes('=') {
                true => Some(scan.value()?),
                false => None,
            };
            parameters.push((name, value));
        }
        extensions.push(Extension { name, parameters });
        if !scan.is_at_end() && !scan.takes(',') {
            return None;
        }
    }
}

/// What is left to read.
struct Scan<'a>(&'a str);

impl<'a> Scan<'a> {
    fn skip_white_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_white_space();
        self.0.is_empty()
    }

    fn takes(&mut self, separator: char) -> bool {
        self.skip_white_space();
        match self.0.strip_prefix(separator) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn token(&mut self) -> Option<&'a str> {
        self.skip_white_space();
        let is_separator = |c: char| " \t,;=\"".contains(c);
        let end = self.0.find(is_separator).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        is_token(token).then_some(token)
    }

    /// A token, or one in quotes.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        if !self.takes('"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        let mut characters = self.0.char_indices();
        loop {
            match characters.next()? {
                (end, '"') => {
                    self.0 = &self.0[end + 1..];
                    return is_token(&value).then_some(Cow::Owned(value));
                }
                (_, '\\') => value.push(characters.next()?.1),
                (_, character) => value.push(character),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<Vec<String>> {
        let text = |extension: &Extension<'_>| {
            let mut text = extension.name.to_owned();
            for (name, value) in &extension.parameters {
                text += &match value {
                    Some(value) => format!("; {name}={value}"),
                    None => format!("; {name}"),
                };
            }
            text
        };
        Some(parse(value.as_bytes())?.iter().map(text).collect())
    }

    #[test]
    fn lists_parameters_and_quotes_are_read() {
        let cases: [(&str, &[&str]); 8] = [
            ("", &[]),
            (" ,\t, ", &[]),
            ("foo", &["foo"]),
            ("foo,bar;baz=1", &["foo", "bar; baz=1"]),
            (
                "\tfoo ; a = 1 ;b , ,foo;c=\"2\"",
                &["foo; a=1; b", "foo; c=2"],
            ),
            ("foo; a=\"b\\c\"", &["foo; a=bc"]),
            ("foo; a; a", &["foo; a; a"]),
            ("foo; a=\"1\" ,bar", &["foo; a=1", "bar"]),
        ];
        for (value, expected) in cases {
            assert_eq!(read(value).as_deref(), Some(&own(expected)[..]));
        }
    }

    fn own(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn what_breaks_the_grammar_is_nothing() {
        for value in [
            ";",
            "foo;",
            "foo;;a",
            "foo;=1",
            "foo;a=",
            "foo;a=\"",
            "foo;a=\"\"",
            "foo;a=\"1 2\"",
            "foo;a=\"1\\",
            "foo;a=\"1\"2",
            "foo bar",
            "foo=1",
            "f\u{e9}",
            "foo; a=\"1,2\"",
        ] {
            assert_eq!(read(value), None, "{value:?}");
        }
        assert_eq!(parse(b"foo, \xFF"), None);
    }
}
