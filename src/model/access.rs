//! Who may send requests, by address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

/// Addresses that are let in and that are kept out. The address is the one that the connection
/// comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    /// `None` for everybody.
    allow: Option<Ranges>,
    deny: Ranges,
}

/// Not a network.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NetworkError {
    /// Neither an address nor a network.
    #[error("{0:?} is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Syntax(Box<str>),
    /// Somebody means one of two things by it.
    #[error("{0} has bits beyond its prefix: write {1}, or {2} for the one address")]
    HostBits(IpNet, IpNet, IpAddr),
}

/// A network, or a single address: one of IPv4 that is written in IPv6 is one of IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Reads a network or an address.
    ///
    /// # Errors
    /// If it is neither, or has bits beyond its prefix.
    pub fn new(text: &str) -> Result<Self, NetworkError> {
        let syntax = || NetworkError::Syntax(text.into());
        let network: IpNet = match text.contains('/') {
            true => text.parse().map_err(|_| syntax())?,
            false => text.parse::<IpAddr>().map_err(|_| syntax())?.into(),
        };
        if network.trunc() != network {
            return Err(NetworkError::HostBits(network, network.trunc(), network.addr()));
        }
        Ok(Self(canonical(network)))
    }

    /// Whether an address is in it. This is the meaning; lists of networks are compiled.
    pub fn covers(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(its) = network
        && let Some(address) = its.addr().to_ipv4_mapped()
        && let Some(length) = its.prefix_len().checked_sub(96)
        && let Ok(network) = Ipv4Net::new(address, length)
    {
        return network.into();
    }
    network
}

/// Networks as ranges that are sorted and do not touch, so that one is found by halving.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ranges {
    v4: Box<[(Ipv4Addr, Ipv4Addr)]>,
    v6: Box<[(Ipv6Addr, Ipv6Addr)]>,
}

impl Ranges {
    fn new(networks: &[Network]) -> Self {
        let v4: Vec<Ipv4Net> = networks
            .iter()
            .filter_map(|its| match its.0 {
                IpNet::V4(network) => Some(network),
                IpNet::V6(_) => None,
            })
            .collect();
        let v6: Vec<Ipv6Net> = networks
            .iter()
            .filter_map(|its| match its.0 {
                IpNet::V6(network) => Some(network),
                IpNet::V4(_) => None,
            })
            .collect();
        // Overlapping ones become one, and they come in their order.
        let v4 = Ipv4Net::aggregate(&v4).into_iter().map(|its| (its.network(), its.broadcast()));
        let v6 = Ipv6Net::aggregate(&v6).into_iter().map(|its| (its.network(), its.broadcast()));
        Self { v4: sorted(v4), v6: sorted(v6) }
    }

    fn covers(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => find(&self.v4, address),
            IpAddr::V6(address) => find(&self.v6, address),
        }
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

fn sorted<A: Ord>(ranges: impl Iterator<Item = (A, A)>) -> Box<[(A, A)]> {
    let mut ranges: Vec<(A, A)> = ranges.collect();
    ranges.sort();
    ranges.into()
}

fn find<A: Ord + Copy>(ranges: &[(A, A)], address: A) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).is_some_and(|at| address <= ranges[at].1)
}

impl AccessList {
    /// Lets in those of `allow`, or everybody if it is empty, but never those of `deny`.
    pub fn new(allow: &[Network], deny: &[Network]) -> Self {
        let allow = Some(Ranges::new(allow)).filter(|ranges| !ranges.is_empty());
        Self { allow, deny: Ranges::new(deny) }
    }

    /// Whether an address is let in.
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !self.deny.covers(address) && self.allow.as_ref().is_none_or(|allow| allow.covers(address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(all: &[&str]) -> Vec<Network> {
        all.iter().map(|text| Network::new(text).unwrap()).collect()
    }

    #[test]
    fn deny_wins_and_what_is_not_allowed_is_denied() {
        for (allow, deny, address, expected) in [
            (&[][..], &[][..], "1.2.3.4", true),
            (&["10.0.0.0/8"], &[], "10.255.0.1", true),
            (&["10.0.0.0/8"], &[], "11.0.0.0", false),
            (&["10.0.0.0/8"], &[], "::1", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.0.0", true),
            (&[], &["10.1.0.0/16"], "10.2.0.0", true),
            (&[], &["0.0.0.0/0"], "10.2.0.0", false),
            (&[], &["0.0.0.0/0"], "2001:db8::1", true),
            (&["2001:db8::/32"], &["2001:db8:1::/48"], "2001:db8:2::1", true),
            (&["2001:db8::/32"], &["2001:db8:1::/48"], "2001:db8:1::1", false),
            (&["10.0.0.0/8"], &[], "::ffff:10.0.0.1", true),
            (&["::ffff:10.0.0.0/104"], &[], "10.0.0.1", true),
            (&["10.0.0.1"], &[], "10.0.0.1", true),
            (&["10.0.0.1"], &[], "10.0.0.2", false),
        ] {
            let list = AccessList::new(&networks(allow), &networks(deny));
            let admits = list.admits(address.parse().unwrap());
            assert_eq!(admits, expected, "{allow:?} {deny:?} {address}");
        }
    }

    #[test]
    fn wrong_networks_say_why() {
        for (text, why) in [
            ("10.0.0.0/33", "neither"),
            ("10.0.0", "neither"),
            ("host.example", "neither"),
            ("10.0.0.1/8", "write 10.0.0.0/8, or 10.0.0.1"),
            ("2001:db8::1/32", "write 2001:db8::/32"),
        ] {
            let error = Network::new(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    /// Few bits, so that networks and addresses meet.
    fn network() -> impl Strategy<Value = Network> {
        let v4 = (0..4_u32, 0..=32_u8)
            .prop_map(|(bits, length)| Ipv4Net::new(Ipv4Addr::from(bits << 28 | bits), length));
        let v6 = (0..4_u128, 0..=128_u8)
            .prop_map(|(bits, length)| Ipv6Net::new(Ipv6Addr::from(bits << 124 | bits), length));
        let mapped = (0..4_u32, 96..=128_u8).prop_map(|(bits, length)| {
            Ipv6Net::new(Ipv4Addr::from(bits << 28 | bits).to_ipv6_mapped(), length)
        });
        let v4 = v4.prop_map(|its| IpNet::from(its.unwrap()));
        let v6 = prop_oneof![v6, mapped].prop_map(|its| IpNet::from(its.unwrap()));
        prop_oneof![v4, v6].prop_map(|its| Network::new(&its.trunc().to_string()).unwrap())
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = (0..4_u32, 0..6_u32).prop_map(|(high, low)| Ipv4Addr::from(high << 28 | low));
        let v6 = (0..4_u128, 0..6_u128).prop_map(|(high, low)| Ipv6Addr::from(high << 124 | low));
        prop_oneof![
            v4.clone().prop_map(IpAddr::from),
            v4.prop_map(|its| its.to_ipv6_mapped().into()),
            v6.prop_map(IpAddr::from),
        ]
    }

    proptest! {
        #[test]
        fn compiled_lists_agree_with_one_network_after_the_other(
            allow in proptest::collection::vec(network(), 0..8),
            deny in proptest::collection::vec(network(), 0..8),
            address in address(),
        ) {
            let is_in = |all: &[Network]| all.iter().any(|network| network.covers(address));
            let naive = !is_in(&deny) && (allow.is_empty() || is_in(&allow));
            prop_assert_eq!(AccessList::new(&allow, &deny).admits(address), naive);
        }
    }
}
