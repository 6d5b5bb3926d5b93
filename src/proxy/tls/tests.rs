use std::sync::Arc;

use rustls::{ClientConnection, RootCertStore, ServerConnection};
use tidegate_model::{
    BackendTls, Certificate, ClientAuth, HostPattern, HostPrecedence, ListenerTls, Rank, Trust,
    TrustedRoots,
};

use super::{Backends, Entry, Order, Profile};
use crate::lookup::HostIndex;

struct Made {
    certificate: Arc<Certificate>,
    pem: String,
}

fn make(name: &str) -> Made {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate = Certificate::from_pem(name, pem.as_bytes(), key.as_bytes()).unwrap();
    Made { certificate: Arc::new(certificate), pem }
}

fn entry(names: &[&str], certificates: &[&Made]) -> Entry {
    let mut tls = ListenerTls::showing(certificates[0].certificate.clone());
    certificates[1..].iter().for_each(|more| tls.add(more.certificate.clone()));
    let hosts = names.iter().map(|name| HostPattern::new(name).unwrap()).collect();
    Entry { hosts, tls: Arc::new(tls) }
}

fn order(places: Vec<usize>) -> Order {
    Order { places, precedence: HostPrecedence::Priority }
}

fn profile(entries: Vec<Entry>, previous: Option<&Profile>) -> Profile {
    let ranked = |(place, entry): (usize, &Entry)| -> Vec<_> {
        let rank =
            |host: Option<&HostPattern>| Rank::new(HostPrecedence::Priority, None, host, place);
        match entry.hosts.is_empty() {
            true => vec![(None, rank(None), place as u32)],
            false => entry
                .hosts
                .iter()
                .map(|host| (Some(host.clone()), rank(Some(host)), place as u32))
                .collect(),
        }
    };
    let takes = Arc::new(HostIndex::new(entries.iter().enumerate().flat_map(ranked)));
    let order = order((0..entries.len()).collect());
    Profile::new(entries, order, takes, previous, &Arc::default(), "f").unwrap()
}

/// Shakes hands in memory; the certificate that the server showed, and whether it resumed.
fn shake(
    profile: &Profile,
    config: &Arc<rustls::ClientConfig>,
    name: &str,
) -> Result<(Vec<u8>, bool), rustls::Error> {
    let config_of_server = profile.way(Some(name)).unwrap().config();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(config.clone(), name).unwrap();
    let mut server = ServerConnection::new(config_of_server).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    let shown = client.peer_certificates().unwrap()[0].to_vec();
    let resumed = client.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    Ok((shown, resumed))
}

fn trusting(all: &[&Made]) -> Arc<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    for made in all {
        roots.add(made.certificate.chain()[0].clone()).unwrap();
    }
    let config = rustls::ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

#[test]
fn the_name_asked_for_chooses_the_certificate() {
    let (a, wild, basic) = (make("a.example"), make("*.w.example"), make("basic.test"));
    let entries = vec![
        entry(&["*.w.example"], &[&wild]),
        entry(&["a.example"], &[&a]),
        entry(&[], &[&basic]),
    ];
    let profile = profile(entries, None);
    let client = trusting(&[&a, &wild, &basic]);
    for (name, expected) in [("a.example", &a), ("b.w.example", &wild), ("basic.test", &basic)] {
        let (shown, _) = shake(&profile, &client, name).unwrap();
        assert_eq!(shown, expected.certificate.chain()[0].to_vec(), "{name}");
    }
}

/// As requests go: by the order of rules, or the narrowest first if that is asked for.
#[test]
fn of_several_wildcards_the_one_that_takes_requests_is_shown() {
    let shown = |precedence| {
        let hosts = ["*.example", "*.a.example"].map(|host| HostPattern::new(host).unwrap());
        let shown = hosts.map(|host| super::resolver::Shown {
            hosts: vec![host],
            keys: Vec::new(),
            only_by_name: false,
        });
        let order = Order { places: vec![0, 1], precedence };
        super::resolver::Resolver::new(shown.into(), &order).place(Some("b.a.example"))
    };
    assert_eq!(shown(HostPrecedence::Priority), Some(0));
    assert_eq!(shown(HostPrecedence::MostSpecific), Some(1));
}

#[test]
fn of_several_certificates_the_one_for_the_name_is_shown() {
    let (a, b) = (make("a.example"), make("b.example"));
    let profile = profile(vec![entry(&["a.example", "b.example"], &[&a, &b])], None);
    let client = trusting(&[&a, &b]);
    for (name, expected) in [("a.example", &a), ("b.example", &b)] {
        let (shown, _) = shake(&profile, &client, name).unwrap();
        assert_eq!(shown, expected.certificate.chain()[0].to_vec(), "{name}");
    }
}

#[test]
fn without_a_match_or_a_basic_listener_the_first_certificate_is_shown() {
    let (a, b) = (make("a.example"), make("b.example"));
    let profile = profile(vec![entry(&["a.example"], &[&a]), entry(&["b.example"], &[&b])], None);
    let error = shake(&profile, &trusting(&[&a, &b]), "c.example").unwrap_err();
    assert!(error.to_string().contains("not valid for name"), "{error}");
}

#[test]
fn sessions_are_resumed_after_a_swap() {
    let a = make("a.example");
    let first = profile(vec![entry(&[], &[&a])], None);
    let client = trusting(&[&a]);
    assert!(!shake(&first, &client, "a.example").unwrap().1);
    let second = profile(vec![entry(&[], &[&a])], Some(&first));
    assert!(shake(&second, &client, "a.example").unwrap().1);
    assert!(Arc::ptr_eq(&first.keys[0].1, &second.keys[0].1), "the key was parsed again");
    let config = |of: &Profile| of.way(None).unwrap().config();
    assert!(Arc::ptr_eq(&config(&first), &config(&second)), "the configuration was made again");
    let unrelated = profile(vec![entry(&[], &[&a])], None);
    assert!(!shake(&unrelated, &client, "a.example").unwrap().1);
}

#[test]
fn a_session_goes_on_by_the_policy_that_it_was_begun_by_alone() {
    let a = make("a.example");
    let strict = |strict: bool| {
        let mut own = entry(&[], &[&a]);
        let mut tls = (*own.tls).clone();
        let chains = vec![Arc::new(TrustedRoots::from_pem(a.pem.as_bytes()).unwrap())];
        let asks =
            ClientAuth { chains, verifies_issuer: false, revocation: None, required: strict };
        tls.client_auth = Some(Arc::new(asks));
        own.tls = Arc::new(tls);
        own
    };
    let client = trusting(&[&a]);
    let first = profile(vec![strict(true)], None);
    assert!(!shake(&first, &client, "a.example").unwrap().1);
    let same = profile(vec![strict(true)], Some(&first));
    assert!(shake(&same, &client, "a.example").unwrap().1);
    for other in [strict(false), entry(&[], &[&a])] {
        let other = profile(vec![other], Some(&same));
        assert!(!shake(&other, &client, "a.example").unwrap().1, "a session was shared");
    }
}

#[test]
fn members_are_trusted_by_the_authorities_given_and_no_other() {
    let (a, b) = (make("a.example"), make("b.example"));
    let profile = profile(vec![entry(&[], &[&a])], None);
    let backends = Backends::new();
    let own = |made: &Made| Arc::new(TrustedRoots::from_pem(made.pem.as_bytes()).unwrap());
    let trust = |made: &Made| BackendTls::trusting(Trust::Roots(own(made)));
    let right = backends.config(&trust(&a)).unwrap();
    assert!(shake(&profile, &right, "a.example").is_ok());
    assert!(Arc::ptr_eq(&right, &backends.config(&trust(&a)).unwrap()));
    let pinned = |made: &Made| BackendTls::trusting(Trust::Pinned(own(made)));
    let nameless = |trust| BackendTls { checks_name: false, ..BackendTls::trusting(trust) };
    for (tls, name, expected) in [
        (trust(&a), "a.example", true),
        (trust(&b), "a.example", false),
        (trust(&a), "c.example", false),
        (nameless(Trust::Roots(own(&a))), "c.example", true),
        (nameless(Trust::Roots(own(&b))), "c.example", false),
        (BackendTls::trusting(Trust::WellKnown), "a.example", false),
        (BackendTls::trusting(Trust::Anyone), "a.example", true),
        (BackendTls::trusting(Trust::Anyone), "c.example", false),
        (nameless(Trust::Anyone), "c.example", true),
        (pinned(&a), "c.example", true),
        (pinned(&b), "a.example", false),
    ] {
        let config = backends.config(&tls).unwrap();
        assert_eq!(shake(&profile, &config, name).is_ok(), expected, "{tls:?} {name}");
    }
}

/// The certificate's place by a naive reading of Application Gateway's rules.
fn naive(
    entries: &[(Vec<HostPattern>, bool)],
    order: &[usize],
    name: Option<&str>,
) -> Option<usize> {
    if let Some(name) = name {
        for exact in [true, false] {
            for place in order {
                let fits = |host: &HostPattern| {
                    host.covers(name) && matches!(host, HostPattern::Exact(_)) == exact
                };
                if entries[*place].0.iter().any(fits) {
                    return Some(*place);
                }
            }
        }
    }
    let basic = order.iter().find(|place| entries[**place].0.is_empty());
    if let Some(basic) = basic
        && (name.is_some() || !entries[*basic].1)
    {
        return Some(*basic);
    }
    order.iter().copied().find(|place| !entries[*place].1)
}

proptest::proptest! {
    #[test]
    fn the_certificate_is_chosen_as_application_gateway_says(
        listeners in proptest::collection::vec(
            (proptest::sample::subsequence(
                vec!["a.example", "b.example", "*.example", "a.*", "*.b.example", "?.example"], 0..3),
             proptest::bool::ANY), 1..5),
        names in proptest::collection::vec(
            proptest::option::of(proptest::sample::select(
                vec!["a.example", "b.example", "x.example", "c.b.example", "a.test", "other.test"])), 1..4),
        seed in 0usize..24,
    ) {
        let entries: Vec<(Vec<HostPattern>, bool)> = listeners
            .iter()
            .map(|(hosts, by_name)| {
                (hosts.iter().map(|host| HostPattern::new(host).unwrap()).collect(), *by_name)
            })
            .collect();
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.rotate_left(seed % entries.len());
        let shown = entries
            .iter()
            .map(|(hosts, only_by_name)| {
                let only_by_name = *only_by_name;
                super::resolver::Shown { hosts: hosts.clone(), keys: Vec::new(), only_by_name }
            })
            .collect();
        let resolver = super::resolver::Resolver::new(shown, &self::order(order.clone()));
        for name in names {
            proptest::prop_assert_eq!(resolver.place(name), naive(&entries, &order, name));
        }
    }
}
