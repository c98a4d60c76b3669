//! Offering, accepting and declining permessage-deflate (RFC 7692, section 7).

use std::fmt;

use crate::options::DeflateOptions;
use crate::protocol::Role;
use crate::protocol::handshake::extensions::{self, Extension};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The window of who says nothing (RFC 7692, 7.1.2).
const LARGEST_WINDOW: u8 = 15;

/// What two ends agreed upon for permessage-deflate (RFC 7692, 7.1). `Display` writes it as the
/// server's answer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateParameters {
    /// The server's messages do not refer to those before them.
    pub server_no_context_takeover: bool,
    /// The client's messages do not refer to those before them.
    pub client_no_context_takeover: bool,
    /// The server refers to what is at most 2 to the power of this bytes back: 8 to 15.
    pub server_max_window_bits: u8,
    /// The client refers to what is at most 2 to the power of this bytes back: 8 to 15.
    pub client_max_window_bits: u8,
}

impl Default for DeflateParameters {
    fn default() -> Self {
        DeflateParameters {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: LARGEST_WINDOW,
            client_max_window_bits: LARGEST_WINDOW,
        }
    }
}

impl DeflateParameters {
    /// Whether the messages of `role` refer to those before them.
    pub fn keeps_context(&self, role: Role) -> bool {
        match role {
            Role::Client => !self.client_no_context_takeover,
            Role::Server => !self.server_no_context_takeover,
        }
    }

    /// The window of `role`, as a power of 2.
    pub fn window_bits(&self, role: Role) -> u8 {
        match role {
            Role::Client => self.client_max_window_bits,
            Role::Server => self.server_max_window_bits,
        }
    }
}

impl fmt::Display for DeflateParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |bits| (bits < LARGEST_WINDOW).then_some(bits);
        Terms {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: bits(self.server_max_window_bits),
            client_max_window_bits: bits(self.client_max_window_bits).map(Some),
        }
        .fmt(f)
    }
}

/// What a server accepted, and says so in its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// What holds from here on.
    pub parameters: DeflateParameters,
    /// The value of the response's `Sec-WebSocket-Extensions`.
    pub header: String,
}

/// The parameters of an offer, or of the answer to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Terms {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// In an offer it may stand without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Terms {
    /// Reads them; says what is wrong with them, if anything is (RFC 7692, 7.1: unknown, twice, or
    /// with a wrong value).
    fn of(extension: &Extension<'_>) -> Result<Self, String> {
        let mut terms = Terms::default();
        for (index, (name, value)) in extension.parameters.iter().enumerate() {
            let before = &extension.parameters[..index];
            if before.iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("{name} twice"));
            }
            match (*name, value.as_deref()) {
                (SERVER_NO_CONTEXT_TAKEOVER, None) => terms.server_no_context_takeover = true,
                (CLIENT_NO_CONTEXT_TAKEOVER, None) => terms.client_no_context_takeover = true,
                (SERVER_MAX_WINDOW_BITS, Some(bits)) => {
                    terms.server_max_window_bits = Some(window_bits(name, bits)?);
                }
                (CLIENT_MAX_WINDOW_BITS, None) => terms.client_max_window_bits = Some(None),
                (CLIENT_MAX_WINDOW_BITS, Some(bits)) => {
                    terms.client_max_window_bits = Some(Some(window_bits(name, bits)?));
                }
                (SERVER_MAX_WINDOW_BITS, None) => return Err(format!("{name} without a value")),
                (SERVER_NO_CONTEXT_TAKEOVER | CLIENT_NO_CONTEXT_TAKEOVER, Some(value)) => {
                    return Err(format!("{name} with the value {value:?}"));
                }
                _ => return Err(format!("the unknown parameter {name}")),
            }
        }
        Ok(terms)
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            write!(f, "; {SERVER_NO_CONTEXT_TAKEOVER}")?;
        }
        if self.client_no_context_takeover {
            write!(f, "; {CLIENT_NO_CONTEXT_TAKEOVER}")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; {SERVER_MAX_WINDOW_BITS}={bits}")?;
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}={bits}"),
            Some(None) => write!(f, "; {CLIENT_MAX_WINDOW_BITS}"),
            None => Ok(()),
        }
    }
}

/// 8 to 15, without leading zeros (RFC 7692, 7.1.2).
fn window_bits(name: &str, value: &str) -> Result<u8, String> {
    match value {
        "8" => Ok(8),
        "9" => Ok(9),
        "10" => Ok(10),
        "11" => Ok(11),
        "12" => Ok(12),
        "13" => Ok(13),
        "14" => Ok(14),
        "15" => Ok(15),
        _ => Err(format!("{name}={value}")),
    }
}

/// What a client offers: the value of its `Sec-WebSocket-Extensions`.
pub fn offer(options: &DeflateOptions) -> String {
    let bits = |bits: u8| (bits < LARGEST_WINDOW).then_some(bits);
    let terms = Terms {
        server_no_context_takeover: options.peer_no_context_takeover,
        client_no_context_takeover: options.own_no_context_takeover,
        server_max_window_bits: bits(options.peer_max_window_bits),
        // Without a value: the server may choose one.
        client_max_window_bits: Some(bits(options.own_max_window_bits)),
    };
    terms.to_string()
}

/// What a server makes of the `Sec-WebSocket-Extensions` of a request, in their order: it accepts
/// the first offer that it can (RFC 7692, 5.1), and declines those with faults (7.1).
pub fn answer<'a>(
    options: &DeflateOptions,
    headers: impl Iterator<Item = &'a [u8]>,
) -> Option<Agreement> {
    headers
        // What cannot be read offers nothing.
        .filter_map(extensions::parse)
        .flatten()
        .filter(|extension| extension.name == NAME)
        .find_map(|extension| Terms::of(&extension).ok())
        .map(|offered| accept(options, offered))
}

fn accept(options: &DeflateOptions, offered: Terms) -> Agreement {
    let server_bits = offered.server_max_window_bits.unwrap_or(LARGEST_WINDOW);
    let server_bits = server_bits.min(options.own_max_window_bits);
    // Who does not offer it cannot be asked (RFC 7692, 7.1.2.2), and need not be: any window can
    // be inflated.
    let client_bits = offered.client_max_window_bits.map(|bits| {
        bits.unwrap_or(LARGEST_WINDOW)
            .min(options.peer_max_window_bits)
    });
    let parameters = DeflateParameters {
        server_no_context_takeover: offered.server_no_context_takeover
            || options.own_no_context_takeover,
        client_no_context_takeover: offered.client_no_context_takeover
            || options.peer_no_context_takeover,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits.unwrap_or(LARGEST_WINDOW),
    };
    let is_offered = offered.server_max_window_bits.is_some();
    let answered = Terms {
        server_no_context_takeover: parameters.server_no_context_takeover,
        client_no_context_takeover: parameters.client_no_context_takeover,
        // What was offered must be answered, also when it says nothing new (7.1.2.1).
        server_max_window_bits: (is_offered || server_bits < LARGEST_WINDOW).then_some(server_bits),
        client_max_window_bits: client_bits.filter(|bits| *bits < LARGEST_WINDOW).map(Some),
    };
    Agreement {
        parameters,
        header: answered.to_string(),
    }
}

/// What a client makes of the `Sec-WebSocket-Extensions` of a response to its [`offer`]: what is
/// agreed upon, nothing when there are none, or why the connection must fail (RFC 6455, 4.1;
/// RFC 7692, 7.1).
pub fn verify<'a>(
    options: Option<&DeflateOptions>,
    headers: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<DeflateParameters>, String> {
    let mut agreed = None;
    for header in headers {
        let Some(extensions) = extensions::parse(header) else {
            let header = String::from_utf8_lossy(header);
            return Err(format!("the server's extensions {header:?} cannot be read"));
        };
        for extension in extensions {
            let Some(options) = options.filter(|_| extension.name == NAME) else {
                let name = extension.name;
                return Err(format!("the server uses extension {name:?}, not offered"));
            };
            if agreed.is_some() {
                return Err(format!("the server uses {NAME} twice"));
            }
            let wrong = |fault| format!("the server's {NAME} has {fault}");
            let terms = Terms::of(&extension).map_err(wrong)?;
            agreed = Some(agree(options, terms).map_err(wrong)?);
        }
    }
    Ok(agreed)
}

fn agree(options: &DeflateOptions, answered: Terms) -> Result<DeflateParameters, String> {
    if options.peer_no_context_takeover && !answered.server_no_context_takeover {
        return Err(format!(
            "no {SERVER_NO_CONTEXT_TAKEOVER}, which was asked for"
        ));
    }
    let most = options.peer_max_window_bits;
    let server_bits = answered.server_max_window_bits.unwrap_or(LARGEST_WINDOW);
    if server_bits > most {
        return Err(format!(
            "{SERVER_MAX_WINDOW_BITS}={server_bits}, where {most} was asked for"
        ));
    }
    let most = options.own_max_window_bits;
    let client_bits = match answered.client_max_window_bits {
        Some(None) => return Err(format!("{CLIENT_MAX_WINDOW_BITS} without a value")),
        Some(Some(bits)) if bits > most => {
            return Err(format!(
                "{CLIENT_MAX_WINDOW_BITS}={bits}, where {most} was offered"
            ));
        }
        Some(Some(bits)) => bits,
        None => most,
    };
    Ok(DeflateParameters {
        server_no_context_takeover: answered.server_no_context_takeover,
        // What the server leaves open, this end may do all the same.
        client_no_context_takeover: answered.client_no_context_takeover
            || options.own_no_context_takeover,
        server_max_window_bits: server_bits,
        client_max_window_bits: client_bits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(options: &DeflateOptions, headers: &[&str]) -> Option<String> {
        let headers = headers.iter().map(|header| header.as_bytes());
        answer(options, headers).map(|agreement| agreement.header)
    }

    fn verified(options: &DeflateOptions, header: &str) -> Result<String, String> {
        let agreed = verify(Some(options), std::iter::once(header.as_bytes()))?;
        Ok(agreed.map_or_else(String::new, |parameters| parameters.to_string()))
    }

    fn limited() -> DeflateOptions {
        DeflateOptions {
            own_no_context_takeover: true,
            peer_no_context_takeover: true,
            own_max_window_bits: 10,
            peer_max_window_bits: 9,
            ..DeflateOptions::default()
        }
    }

    #[test]
    fn an_offer_says_what_was_chosen() {
        assert_eq!(
            offer(&DeflateOptions::default()),
            "permessage-deflate; client_max_window_bits"
        );
        assert_eq!(
            offer(&limited()),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=9; client_max_window_bits=10"
        );
    }

    #[test]
    fn a_server_answers_what_was_offered_and_what_it_wants_itself() {
        let open = DeflateOptions::default();
        for (offered, expected) in [
            ("", ""),
            ("; client_max_window_bits", ""),
            ("; client_max_window_bits=15", ""),
            (
                "; client_max_window_bits=\"9\"",
                "; client_max_window_bits=9",
            ),
            ("; server_max_window_bits=15", "; server_max_window_bits=15"),
            ("; server_max_window_bits=8", "; server_max_window_bits=8"),
            (
                "; client_no_context_takeover; server_no_context_takeover",
                "; server_no_context_takeover; client_no_context_takeover",
            ),
        ] {
            let answer = answered(&open, &[&format!("permessage-deflate{offered}")]);
            assert_eq!(answer, Some(format!("permessage-deflate{expected}")));
        }
        let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        assert_eq!(
            answered(&limited(), &["permessage-deflate"]),
            Some(format!("{both}; server_max_window_bits=10"))
        );
        let smaller = "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8";
        assert_eq!(
            answered(&limited(), &[smaller]),
            Some(format!(
                "{both}; server_max_window_bits=8; client_max_window_bits=8"
            ))
        );
        assert_eq!(
            answered(&limited(), &["permessage-deflate; client_max_window_bits"]),
            Some(format!(
                "{both}; server_max_window_bits=10; client_max_window_bits=9"
            ))
        );
    }

    /// RFC 7692, 7.1: unknown parameters, parameters twice, wrong values.
    const FAULTS: [&str; 13] = [
        "; unknown",
        "; client_no_context_takeover=1",
        "; server_no_context_takeover=true",
        "; server_max_window_bits",
        "; server_max_window_bits=7",
        "; server_max_window_bits=16",
        "; server_max_window_bits=08",
        "; server_max_window_bits=+9",
        "; client_max_window_bits=7",
        "; client_max_window_bits=x",
        "; server_no_context_takeover; server_no_context_takeover",
        "; client_max_window_bits; client_max_window_bits=10",
        "; Server_No_Context_Takeover",
    ];

    #[test]
    fn a_server_declines_offers_with_faults_and_takes_the_first_without() {
        let options = DeflateOptions::default();
        for fault in FAULTS {
            let faulty = format!("permessage-deflate{fault}");
            assert_eq!(answered(&options, &[&faulty]), None, "{fault}");
            let good = "permessage-deflate; server_max_window_bits=12";
            for headers in [
                &[format!("{faulty}, {good}, permessage-deflate").as_str()][..],
                &[&faulty, "x-other; y", good],
            ] {
                assert_eq!(answered(&options, headers).as_deref(), Some(good));
            }
        }
        for nothing in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate;",
            "\"",
            "=",
        ] {
            assert_eq!(answered(&options, &[nothing]), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_client_takes_an_answer_within_its_offer() {
        let open = DeflateOptions::default();
        assert_eq!(verified(&open, ""), Ok(String::new()));
        for answer in [
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=8; client_max_window_bits=8",
        ] {
            assert_eq!(verified(&open, answer), Ok(answer.to_owned()));
        }
        // What the server leaves open this end does all the same.
        assert_eq!(
            verified(
                &limited(),
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=8"
            ),
            Ok(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                server_max_window_bits=8; client_max_window_bits=10"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_client_fails_on_any_other_answer() {
        let open = DeflateOptions::default();
        for fault in FAULTS {
            let answer = format!("permessage-deflate{fault}");
            let error = verified(&open, &answer).unwrap_err();
            assert!(error.starts_with("the server's permessage-deflate has "));
        }
        for (options, answer, expected) in [
            (
                open,
                "x-other",
                "the server uses extension \"x-other\", not offered",
            ),
            (
                open,
                "permessage-deflate, permessage-deflate",
                "the server uses permessage-deflate twice",
            ),
            (
                open,
                "permessage-deflate;",
                "the server's extensions \"permessage-deflate;\" cannot be read",
            ),
            (
                open,
                "permessage-deflate; client_max_window_bits",
                "the server's permessage-deflate has client_max_window_bits without a value",
            ),
            (
                limited(),
                "permessage-deflate; server_max_window_bits=9",
                "the server's permessage-deflate has no server_no_context_takeover, which was \
                 asked for",
            ),
            (
                limited(),
                "permessage-deflate; server_no_context_takeover",
                "the server's permessage-deflate has server_max_window_bits=15, where 9 was asked \
                 for",
            ),
            (
                limited(),
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
                 client_max_window_bits=11",
                "the server's permessage-deflate has client_max_window_bits=11, where 10 was \
                 offered",
            ),
        ] {
            assert_eq!(verified(&options, answer).unwrap_err(), expected);
        }
        let unasked = verify(None, std::iter::once(&b"permessage-deflate"[..])).unwrap_err();
        assert!(unasked.contains("not offered"), "{unasked}");
    }
}
