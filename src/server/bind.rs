//! The listening sockets of a URL: one for each address of its host.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::{Error, Result};
use crate::options::ListenOptions;
use crate::url::Url;

/// How often a free port is looked for that is free at every address.
const PORT_ATTEMPTS: usize = 16;

/// Listens at every address of the host. There is at least one socket; all have one port.
pub(super) fn bind(url: &Url, options: &ListenOptions) -> Result<Vec<Socket>> {
    let addresses = resolve(url)?;
    let mut attempts = if url.port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_all(&addresses, options) {
            Ok(sockets) => return Ok(sockets),
            Err((_, error)) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err((address, error)) => {
                return Err(Error::io(
                    format!("listen on {} ({address})", url.text),
                    error,
                ));
            }
        }
    }
}

fn resolve(url: &Url) -> Result<Vec<SocketAddr>> {
    let failed = |reason: String| Error::Resolve {
        attempt: format!("listen on {}: resolving {:?}", url.text, url.host).into(),
        reason,
    };
    let address = url.endpoint().address();
    if let Some(address) = address.map_err(|error| failed(error.to_string()))? {
        return Ok(vec![address]);
    }
    let resolved = (url.host.as_str(), url.port).to_socket_addrs();
    let mut addresses: Vec<_> = resolved
        .map_err(|error| failed(error.to_string()))?
        .collect();
    // IPv4 comes first, and what the resolver names twice is bound once.
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(failed("the name has no addresses".into()));
    }
    Ok(addresses)
}

fn bind_all(
    addresses: &[SocketAddr],
    options: &ListenOptions,
) -> Result<Vec<Socket>, (SocketAddr, io::Error)> {
    let mut sockets: Vec<Socket> = Vec::new();
    let mut unusable = None;
    for &(mut address) in addresses {
        if let Some(port) = sockets
            .first()
            .and_then(|socket| Some(socket.local_addr().ok()?.as_socket()?.port()))
        {
            address.set_port(port);
        }
        match bind_one(address, options, addresses.len() > 1) {
            Ok(socket) => sockets.push(socket),
            // A name may have an address of a family that this machine does not have.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)
                ) =>
            {
                unusable.get_or_insert((address, error));
            }
            Err(error) => return Err((address, error)),
        }
    }
    match unusable {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

fn bind_one(
    address: SocketAddr,
    options: &ListenOptions,
    is_one_of_several: bool,
) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A server that is started again finds its port in TIME_WAIT.
    socket.set_reuse_address(options.sockets.reuse_address)?;
    socket.set_reuse_port(options.sockets.reuse_port)?;
    options.sockets.set_buffers(&socket)?;
    if address.is_ipv6() && is_one_of_several {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(options.backlog.into())?;
    Ok(socket)
}
