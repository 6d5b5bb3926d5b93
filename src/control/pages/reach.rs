//! Which servers are asked for pages.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

/// Addresses of clouds' own services that no rule below covers: Azure's for its machines, and the
/// one of Amazon's over IPv6.
const CLOUD: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Which servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Any: who writes the configuration runs the process.
    Any,
    /// None that only this node can ask, such as what listens on its loopback and the cloud's
    /// metadata service: who writes gateways may be someone who cannot.
    Network,
}

impl Reach {
    fn takes(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_link_local = match address {
            IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let is_of_the_node = address.is_loopback()
            || address.is_unspecified()
            || address.is_multicast()
            || is_link_local
            || CLOUD.contains(&address);
        self == Self::Any || !is_of_the_node
    }

    fn refusal(address: IpAddr) -> String {
        format!("{address} is not asked: it is within reach of the gateway's node alone")
    }

    /// Whether a URL's host is an address that is not taken.
    pub(super) fn check(self, url: &Uri) -> Result<(), String> {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse() {
            Ok(address) if !self.takes(address) => Err(Self::refusal(address)),
            // A name is looked up first.
            _ => Ok(()),
        }
    }
}

/// Looks names up; of their addresses only those are left that are taken.
#[derive(Clone, Debug)]
pub(super) struct Resolver(pub(super) Reach);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let reach = self.0;
        Box::pin(async move {
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let mut taken = all.clone();
            taken.retain(|address| reach.takes(address.ip()));
            match all.first() {
                Some(first) if taken.is_empty() => {
                    Err(io::Error::other(Reach::refusal(first.ip())))
                }
                _ => Ok(taken.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::pages::{client, get};

    #[tokio::test]
    async fn what_only_the_node_can_ask_is_not_asked_for_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = client(Reach::Network).unwrap();
        for host in [
            "127.0.0.1",
            "127.1.2.3",
            "localhost",
            "0.0.0.0",
            // 127.0.0.1 as the system's resolver takes it, too.
            "2130706433",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
            "169.254.169.254",
            "168.63.129.16",
            "[fd00:ec2::254]",
        ] {
            let url = format!("http://{host}:{port}/page.html");
            let error = get(&client, Reach::Network, &url).await.unwrap_err();
            assert!(error.contains("is not asked"), "{url}: {error}");
        }
        // Nobody came.
        tokio::select! {
            biased;
            _ = listener.accept() => panic!("it was asked"),
            () = std::future::ready(()) => {}
        }
        for address in ["10.0.0.1", "192.168.1.1", "fd12::1", "203.0.113.1"] {
            assert!(Reach::Network.takes(address.parse().unwrap()), "{address}");
        }
        assert!(Reach::Any.takes(IpAddr::from([127, 0, 0, 1])));
    }
}
