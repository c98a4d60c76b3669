//! Close codes (RFC 6455, section 7.4.1, and the registry it opened).

/// All is done.
pub const WS_CLOSE_NORMAL: i32 = 1000;
/// A server shuts down, or a page is left.
pub const WS_CLOSE_GOING_AWAY: i32 = 1001;
/// The peer broke the protocol.
pub const WS_CLOSE_PROTOCOL_ERROR: i32 = 1002;
/// The peer sent a kind of message that this end does not take.
pub const WS_CLOSE_UNSUPPORTED_DATA: i32 = 1003;
/// No code at all: give it to `ws_close` to send none, and see it when the peer sent none.
pub const WS_CLOSE_NO_STATUS: i32 = 1005;
/// The connection was lost. Never sent, only seen.
pub const WS_CLOSE_ABNORMAL: i32 = 1006;
/// A message's content is not what its type says, such as text that is not UTF-8.
pub const WS_CLOSE_INVALID_DATA: i32 = 1007;
/// A message breaks a policy, which needs no more telling.
pub const WS_CLOSE_POLICY_VIOLATION: i32 = 1008;
/// A message is too big.
pub const WS_CLOSE_MESSAGE_TOO_BIG: i32 = 1009;
/// A client needed an extension that the server did not agree to.
pub const WS_CLOSE_MANDATORY_EXTENSION: i32 = 1010;
/// A server met what it was not prepared for.
pub const WS_CLOSE_INTERNAL_ERROR: i32 = 1011;
/// The server restarts: connect again, after a while.
pub const WS_CLOSE_SERVICE_RESTART: i32 = 1012;
/// The server is overloaded: connect again later.
pub const WS_CLOSE_TRY_AGAIN_LATER: i32 = 1013;
/// A gateway got a bad answer from the server behind it.
pub const WS_CLOSE_BAD_GATEWAY: i32 = 1014;

#[cfg(test)]
mod tests {
    use engine::CloseCode;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_registry() {
        let table = [
            (WS_CLOSE_NORMAL, CloseCode::Normal),
            (WS_CLOSE_GOING_AWAY, CloseCode::Away),
            (WS_CLOSE_PROTOCOL_ERROR, CloseCode::Protocol),
            (WS_CLOSE_UNSUPPORTED_DATA, CloseCode::Unsupported),
            (WS_CLOSE_NO_STATUS, CloseCode::Status),
            (WS_CLOSE_ABNORMAL, CloseCode::Abnormal),
            (WS_CLOSE_INVALID_DATA, CloseCode::Invalid),
            (WS_CLOSE_POLICY_VIOLATION, CloseCode::Policy),
            (WS_CLOSE_MESSAGE_TOO_BIG, CloseCode::Size),
            (WS_CLOSE_MANDATORY_EXTENSION, CloseCode::Extension),
            (WS_CLOSE_INTERNAL_ERROR, CloseCode::Error),
            (WS_CLOSE_SERVICE_RESTART, CloseCode::Restart),
            (WS_CLOSE_TRY_AGAIN_LATER, CloseCode::Again),
        ];
        for (number, code) in table {
            assert_eq!(number, i32::from(u16::from(code)));
        }
    }
}
