//! TLS for a client: a handshake over a transport that is connected.

use crate::deadline::Deadline;
use crate::error::Result;
use crate::tls::ClientTls;
use crate::transport::Transport;

/// Makes a TLS session with `host` of a connected transport. `attempt` is what is being done, for
/// errors: `dial wss://...`.
#[cfg(feature = "tls")]
pub(super) fn secure(
    transport: Box<dyn Transport>,
    host: &str,
    tls: &ClientTls,
    attempt: &str,
    deadline: Deadline,
) -> Result<Box<dyn Transport>> {
    use super::stream::Stream;
    use crate::transport::Halt;
    use crate::transport::tls::Tls;

    let doing = "the TLS handshake";
    let tls = Tls::client(transport, tls.config()?, tls.name_for(host)?)
        .map_err(|error| Stream::stopped(Halt::Failed(error), attempt, doing))?;
    match tls.open(deadline) {
        Ok(()) => Ok(Box::new(tls)),
        Err(halt) => Err(Stream::stopped(halt, attempt, doing)),
    }
}

/// As above, in a build without TLS.
#[cfg(not(feature = "tls"))]
pub(super) fn secure(
    _: Box<dyn Transport>,
    _: &str,
    _: &ClientTls,
    attempt: &str,
    _: Deadline,
) -> Result<Box<dyn Transport>> {
    Err(crate::tls::unsupported(attempt))
}
