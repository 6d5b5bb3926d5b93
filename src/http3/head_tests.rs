//! Tests of the rules of request heads.

use proptest::prelude::*;

use super::*;
use crate::qpack::decode;

fn parse(fields: &[(&str, &str)]) -> Result<Head, Fault> {
    let field = |(name, value): &(&str, &str)| Field {
        name: Bytes::copy_from_slice(name.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    request(fields.iter().map(field).collect())
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/b?c")];

/// The request above with other fields instead of those of the same name, and with more.
fn get(change: &[(&'static str, &'static str)]) -> Result<Head, Fault> {
    let mut fields = GET.to_vec();
    for (name, value) in change {
        match fields.iter_mut().find(|(known, _)| known == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
    }
    parse(&fields)
}

fn without(name: &str) -> Vec<(&'static str, &'static str)> {
    GET.into_iter().filter(|(known, _)| *known != name).collect()
}

#[test]
fn a_request_is_what_its_fields_say() {
    let head = get(&[("x", "1"), ("y", "2"), ("content-length", "12")]).unwrap();
    let request = head.request;
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "https://a.test/b?c");
    assert_eq!(request.version(), Version::HTTP_3);
    assert_eq!(request.headers()["x"], "1");
    assert_eq!(head.content_length, Some(12));
    assert!(request.extensions().get::<Protocol>().is_none());
}

#[test]
fn fields_of_one_name_keep_their_order() {
    let fields = [&GET[..], &[("x", "1"), ("y", "-"), ("x", "3"), ("x", "2")]].concat();
    let request = parse(&fields).unwrap().request;
    let values: Vec<_> = request.headers().get_all("x").iter().collect();
    assert_eq!(values, ["1", "3", "2"]);
}

#[test]
fn an_extended_connect_has_its_protocol_in_the_extensions() {
    let request = get(&[(":method", "CONNECT"), (":protocol", "websocket")]).unwrap().request;
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.uri(), "https://a.test/b?c");
    assert_eq!(request.extensions().get::<Protocol>().unwrap().as_str(), "websocket");
}

#[test]
fn a_connect_has_no_more_than_an_authority() {
    let connect = (":method", "CONNECT");
    let request = parse(&[connect, (":authority", "a.test:443")]).unwrap().request;
    assert_eq!(request.uri(), "a.test:443");
    assert!(parse(&[connect]).is_err());
    assert!(parse(&[connect, ("host", "a.test:443")]).is_err());
    assert!(parse(&[connect, (":authority", "a.test")]).is_err());
    assert!(parse(&[connect, (":authority", "a.test:443"), (":path", "/")]).is_err());
    assert!(parse(&[connect, (":authority", "a.test:443"), (":scheme", "https")]).is_err());
}

#[test]
fn host_stands_in_for_the_authority_and_must_agree_with_it() {
    let fields = [&without(":authority")[..], &[("host", "a.test")]].concat();
    assert_eq!(parse(&fields).unwrap().request.uri(), "https://a.test/b?c");
    assert!(get(&[("host", "A.test")]).is_ok());
    assert!(get(&[("host", "b.test")]).is_err());
    assert!(parse(&[&GET[..], &[("host", "a.test"), ("host", "a.test")]].concat()).is_err());
}

#[test]
fn options_may_be_about_all_of_a_server() {
    assert_eq!(get(&[(":method", "OPTIONS"), (":path", "*")]).unwrap().request.uri().path(), "*");
    assert!(get(&[(":path", "*")]).is_err());
}

#[test]
fn te_may_say_trailers() {
    assert!(get(&[("te", "trailers")]).is_ok());
    assert!(get(&[("te", "gzip")]).is_err());
}

#[test]
fn a_malformed_request_is_refused() {
    for name in [":method", ":scheme", ":authority", ":path"] {
        assert!(parse(&without(name)).is_err(), "without {name}");
        let twice = GET.iter().find(|(known, _)| *known == name).unwrap();
        assert!(parse(&[&GET[..], &[*twice]].concat()).is_err(), "{name} twice");
    }
    for change in [
        (":path", ""),
        (":path", "b"),
        (":path", "/b#c"),
        (":path", "/ b"),
        (":authority", ""),
        (":authority", "u@a.test"),
        (":authority", ":443"),
        (":authority", "a/b"),
        (":method", ""),
        (":method", "G T"),
        (":scheme", ""),
        (":status", "200"),
        (":other", "1"),
        (":protocol", "websocket"),
        ("X", "1"),
        ("", "1"),
        ("a b", "1"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("content-length", "+1"),
        ("content-length", ""),
        ("content-length", "1, 1"),
        ("content-length", "99999999999999999999"),
    ] {
        assert!(get(&[change]).is_err(), "{change:?}");
    }
    assert!(get(&[(":method", "CONNECT"), (":protocol", "")]).is_err());
    assert!(parse(&[&[("x", "1")], &GET[..]].concat()).is_err(), "a field in front");
    assert!(
        parse(&[&GET[..], &[("content-length", "1"), ("content-length", "1")]].concat()).is_err()
    );
}

#[test]
fn trailers_have_no_pseudo_headers() {
    let field = |name: &'static str| Field {
        name: Bytes::from_static(name.as_bytes()),
        value: Bytes::from_static(b"1"),
    };
    assert_eq!(fields::trailers(vec![field("x")]).unwrap()["x"], "1");
    assert!(fields::trailers(vec![field(":path")]).is_err());
    assert!(fields::trailers(vec![field("upgrade")]).is_err());
}

proptest! {
    #[test]
    fn fields_of_any_kind_make_a_request_or_not(
        list in proptest::collection::vec(
            (
                prop_oneof![
                    prop::sample::select(vec![
                        ":method", ":scheme", ":authority", ":path", ":protocol", "host", "te",
                        "content-length",
                    ]).prop_map(|name| name.as_bytes().to_vec()),
                    proptest::collection::vec(any::<u8>(), 0..6),
                ],
                prop_oneof![
                    prop::sample::select(vec!["GET", "CONNECT", "https", "a.test", "/", "*", "5"])
                        .prop_map(|value| value.as_bytes().to_vec()),
                    proptest::collection::vec(any::<u8>(), 0..12),
                ],
            ),
            0..10,
        ),
    ) {
        let field = |(name, value): (Vec<u8>, Vec<u8>)| Field { name: name.into(), value: value.into() };
        let _ = request(list.into_iter().map(field).collect());
    }

    #[test]
    fn sections_of_any_kind_make_a_request_or_not(
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let bytes = Bytes::from([b"\0\0\xd1\xd7\x50\x01a\xc1".as_slice(), &bytes].concat());
        if let Ok(fields) = decode::section(&bytes, 4096) {
            let _ = request(fields);
        }
    }
}
