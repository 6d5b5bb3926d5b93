//! Opens the sockets of a frontend.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, at most; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Opens one listening socket per core on `address`.
///
/// # Errors
/// If another process, or another part of this one, has the address, or the system refuses it.
pub(crate) fn bind(address: SocketAddr, cores: usize) -> io::Result<Vec<TcpListener>> {
    // A socket that does not share the port shows whether someone else has it: with SO_REUSEPORT
    // alone a second process of the same user would silently take half of the connections.
    drop(open(address, false)?);
    (0..cores).map(|_| open(address, true)).collect()
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if !shared {
        // With SO_REUSEADDR only listening tells whether the address is taken.
        socket.listen(1)?;
        return Ok(socket.into());
    }
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shared_by_our_cores_and_with_nobody_else() {
        let sockets = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert_eq!(bind(address, 2).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(sockets);
        assert_eq!(bind(address, 2).unwrap().len(), 2);
    }
}
