//! The time to a client and back, as TCP has measured it.

// No safe library has TCP_INFO, which is Linux's own.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::time::Duration;

use tokio::net::TcpStream;

/// The smoothed round-trip time of a connection; `None` if the kernel does not tell it.
pub(super) fn rtt(tcp: &TcpStream) -> Option<Duration> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: the descriptor is open for as long as `tcp` is borrowed, and the kernel writes no more
    // than `length` bytes to `info`, which has that many.
    let result = unsafe {
        libc::getsockopt(
            tcp.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return None;
    }
    // SAFETY: it consists of integers, for which all bytes are values, and began as zeros.
    let info = unsafe { info.assume_init() };
    Some(Duration::from_micros(info.tcpi_rtt.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_connection_knows_its_round_trip() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        for tcp in [client, server] {
            let rtt = rtt(&tcp).unwrap();
            assert!(rtt > Duration::ZERO && rtt < Duration::from_secs(10), "{rtt:?}");
        }
    }
}
