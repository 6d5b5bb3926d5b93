//! Cookies that keep a client's requests with one member.
//!
//! A cookie's value is a keyed hash of the member's address. It says nothing about the member, no
//! replica has to remember it, and every replica that knows the key and the member understands it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use tidegate_model::{CookieName, ObjectName};

use crate::keys::{AffinityKeys, SharedKey};

/// What the second cookie's name ends with: browsers send it from other sites, too.
const ELSEWHERE: &str = "CORS";

/// The value of a cookie; in text 32 hexadecimal digits.
type Tag = u128;

/// Affinity to the members of one pool.
#[derive(Debug)]
pub(crate) struct Affinity {
    keys: Arc<AffinityKeys>,
    gateway: Arc<ObjectName>,
    cookie: CookieName,
    members: Box<[SocketAddr]>,
    tags: ArcSwap<Tags>,
}

/// What a request's cookie names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The place of the member among the candidates.
    pub(crate) candidate: usize,
    /// Whether it does so by the key in use.
    pub(crate) current: bool,
}

/// The tags of all members by all keys.
#[derive(Debug)]
struct Tags {
    from: Arc<Vec<SharedKey>>,
    by_member: HashMap<SocketAddr, Box<[Tag]>>,
    named: HashMap<Tag, Kept>,
}

impl Tags {
    fn new(
        from: Arc<Vec<SharedKey>>,
        gateway: &ObjectName,
        members: &[SocketAddr],
        before: Option<&Tags>,
    ) -> Self {
        let keys: Vec<hmac::Key> =
            from.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)).collect();
        let before = before.filter(|before| Arc::ptr_eq(&before.from, &from));
        let mut by_member = HashMap::with_capacity(members.len());
        let mut named = HashMap::with_capacity(members.len() * keys.len());
        for (candidate, member) in members.iter().enumerate() {
            let tags: Box<[Tag]> = match before.and_then(|before| before.by_member.get(member)) {
                Some(known) => known.clone(),
                None => keys.iter().map(|key| tag(key, gateway, *member)).collect(),
            };
            for (index, tag) in tags.iter().enumerate() {
                named.entry(*tag).or_insert(Kept { candidate, current: index == 0 });
            }
            by_member.insert(*member, tags);
        }
        Self { from, by_member, named }
    }
}

/// The keyed hash of a member. Gateways have different ones, so that a cookie tells nobody that
/// two of them share a member.
fn tag(key: &hmac::Key, gateway: &ObjectName, member: SocketAddr) -> Tag {
    let mut context = hmac::Context::with_key(key);
    for part in [&b"tidegate affinity"[..], gateway.namespace.as_bytes(), gateway.name.as_bytes()] {
        context.update(part);
        context.update(&[0]);
    }
    match member.ip() {
        IpAddr::V4(ip) => context.update(&ip.octets()),
        IpAddr::V6(ip) => context.update(&ip.octets()),
    }
    context.update(&member.port().to_be_bytes());
    let hash = context.sign();
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_ref()[..16]);
    Tag::from_be_bytes(first)
}

impl Affinity {
    /// Of a pool with these members, in the order of its candidates.
    pub(crate) fn new(
        keys: &Arc<AffinityKeys>,
        gateway: &Arc<ObjectName>,
        cookie: CookieName,
        members: Box<[SocketAddr]>,
        before: Option<&Affinity>,
    ) -> Self {
        let before = before.map(|before| before.tags.load_full());
        let tags = Tags::new(keys.load_full(), gateway, &members, before.as_deref());
        let (keys, gateway, tags) = (keys.clone(), gateway.clone(), ArcSwap::from_pointee(tags));
        Self { keys, gateway, cookie, members, tags }
    }

    /// The tags by the keys of now.
    fn tags(&self) -> arc_swap::Guard<Arc<Tags>> {
        let tags = self.tags.load();
        let keys = self.keys.load();
        if Arc::ptr_eq(&tags.from, &keys) {
            return tags;
        }
        // The keys have turned, which is rare; that two do this at once is no harm.
        let turned = Tags::new(Arc::clone(&keys), &self.gateway, &self.members, None);
        self.tags.store(Arc::new(turned));
        self.tags.load()
    }

    /// The member that a request's cookies name.
    pub(crate) fn kept(&self, headers: &HeaderMap) -> Option<Kept> {
        let mut tags = None;
        let cookies = headers.get_all(COOKIE).iter();
        cookies.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).find_map(|cookie| {
            let rest = cookie.trim_ascii().strip_prefix(self.cookie.as_str().as_bytes())?;
            let rest = rest.strip_prefix(ELSEWHERE.as_bytes()).unwrap_or(rest);
            let tag = parse(rest.strip_prefix(b"=")?)?;
            tags.get_or_insert_with(|| self.tags()).named.get(&tag).copied()
        })
    }

    /// Has a client that was served by `member` come back to it.
    pub(crate) fn keep(&self, headers: &mut HeaderMap, member: SocketAddr) {
        let tags = self.tags();
        let Some(tag) = tags.by_member.get(&member).and_then(|tags| tags.first()) else {
            return;
        };
        let name = self.cookie.as_str();
        for line in [
            format!("{name}{ELSEWHERE}={tag:032x}; Path=/; SameSite=None; Secure"),
            format!("{name}={tag:032x}; Path=/"),
        ] {
            if let Ok(line) = HeaderValue::try_from(line) {
                headers.append(SET_COOKIE, line);
            }
        }
    }
}

fn parse(text: &[u8]) -> Option<Tag> {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if text.len() != 32 || !text.iter().all(is_digit) {
        return None;
    }
    Tag::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    fn affinity(keys: &Arc<AffinityKeys>, gateway: &str, members: &[SocketAddr]) -> Affinity {
        let gateway = Arc::new(ObjectName::new("n", gateway));
        Affinity::new(keys, &gateway, CookieName::default(), members.into(), None)
    }

    fn keys(keys: &[SharedKey]) -> Arc<AffinityKeys> {
        Arc::new(AffinityKeys::from_pointee(keys.to_vec()))
    }

    /// The cookies that a client has been given, as it sends them.
    fn cookies(affinity: &Affinity, member: SocketAddr) -> Vec<String> {
        let mut headers = HeaderMap::new();
        affinity.keep(&mut headers, member);
        let lines = headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
        lines.map(|line| line.split(';').next().unwrap().to_owned()).collect()
    }

    fn kept(affinity: &Affinity, cookie: &str) -> Option<Kept> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie.parse().unwrap());
        affinity.kept(&headers)
    }

    #[test]
    fn every_process_with_the_key_and_the_member_understands_a_cookie() {
        let members = [member(1), member(2)];
        let here = affinity(&keys(&[[1; 32], [2; 32]]), "g", &members);
        let there = affinity(&keys(&[[3; 32], [1; 32]]), "g", &[member(9), member(2)]);
        let given = cookies(&here, member(2));
        assert_eq!(given.len(), 2);
        for cookie in &given {
            assert_eq!(kept(&here, cookie), Some(Kept { candidate: 1, current: true }));
            assert_eq!(kept(&there, cookie), Some(Kept { candidate: 1, current: false }));
            let line = format!("a=b; ApplicationGatewayAffinity=x;{cookie} ; c");
            assert_eq!(kept(&here, &line).map(|kept| kept.candidate), Some(1));
        }
        assert!(given[0].starts_with("ApplicationGatewayAffinityCORS="), "{given:?}");
        // Members that the pool does not have, other gateways, and other keys.
        assert_eq!(kept(&there, &cookies(&here, member(1))[0]), None);
        assert_eq!(kept(&affinity(&keys(&[[1; 32]]), "h", &members), &given[0]), None);
        assert_eq!(kept(&affinity(&keys(&[[4; 32]]), "g", &members), &given[0]), None);
        assert_eq!(cookies(&here, member(7)), [""; 0]);
    }

    #[test]
    fn what_a_client_makes_up_names_nobody() {
        let affinity = affinity(&keys(&[[1; 32]]), "g", &[member(1)]);
        let name = "ApplicationGatewayAffinity";
        let long = "0".repeat(32);
        for value in ["", "=", "=1", "=+1", &format!("={long}"), &format!("={long}0"), &long] {
            assert_eq!(kept(&affinity, &format!("{name}{value}")), None);
        }
        assert_eq!(affinity.kept(&HeaderMap::new()), None);
    }

    #[test]
    fn turned_keys_are_used_at_once_and_a_changed_pool_keeps_its_tags() {
        let keys = keys(&[[1; 32]]);
        let first = affinity(&keys, "g", &[member(1)]);
        let old = cookies(&first, member(1)).remove(1);
        let gateway = Arc::new(ObjectName::new("n", "g"));
        let members = Box::from([member(2), member(1)]);
        let next = Affinity::new(&keys, &gateway, CookieName::default(), members, Some(&first));
        assert_eq!(kept(&next, &old), Some(Kept { candidate: 1, current: true }));
        keys.store(Arc::new(vec![[5; 32], [1; 32]]));
        for affinity in [&first, &next] {
            assert_eq!(kept(affinity, &old).map(|kept| kept.current), Some(false));
            assert_ne!(cookies(affinity, member(1))[1], old);
        }
    }
}
