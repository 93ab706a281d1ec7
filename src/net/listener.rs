//! Listening sockets.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that wait to be accepted; a test suite opens hundreds at a time.
const BACKLOG: i32 = 1024;

/// Probes for clients that vanished without a word and asked for no heartbeats.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// Opens a listening socket. The address `[::]` takes both families where the system allows it.
///
/// # Errors
/// As the system says: the port is taken, the address is not ours.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    prepare(&SockRef::from(&socket));
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Opens one listening socket per address, all on the same port where any free one is asked for.
///
/// Where the system has no IPv6, `[::]` becomes `0.0.0.0`.
///
/// # Errors
/// The address that failed, and why.
pub(super) fn bind_all(
    addresses: &[IpAddr],
    port: u16,
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut port = port;
    for &ip in addresses {
        let address = SocketAddr::new(ip, port);
        let listener = match bind(address) {
            Err(error) if ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && lacks_ipv6(&error) => {
                bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port))
            }
            other => other,
        };
        let listener = listener.map_err(|error| (address, error))?;
        port = listener.local_addr().map_err(|error| (address, error))?.port();
        listeners.push(listener);
    }
    Ok(listeners)
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable)
        || error.raw_os_error() == Some(97)
}

/// Prepares an accepted socket, where it does not have the options of the listener, as on Linux.
pub(super) fn prepare_accepted(stream: &TcpStream) {
    if cfg!(not(target_os = "linux")) {
        prepare(&SockRef::from(stream));
    }
}

/// Small frames go out at once, and a dead peer is noticed in the end.
fn prepare(socket: &SockRef<'_>) {
    // Neither is worth refusing clients over.
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER);
    let _ = socket.set_tcp_keepalive(&keepalive);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_sends_at_once_and_notices_a_dead_peer() {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        prepare_accepted(&accepted);
        let socket = SockRef::from(&accepted);
        assert!(accepted.nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
    }
}
