//! Rewrite rules made of any bytes, applied to requests and responses made of any bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Request, Uri};
use tidegate_model::{Condition, Matcher, Pattern, RewriteRule, RewriteSet, Variable};

use crate::rewrite::{Asked, Facts, Rewrites};
use crate::tls::Verification;

/// Lines of `data`, one after the other; empty ones when it is over.
struct Lines<'a>(std::slice::Split<'a, u8, fn(&u8) -> bool>);

impl Lines<'_> {
    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.0.next().unwrap_or_default()).into_owned()
    }

    fn value(&mut self) -> HeaderValue {
        let line = self.0.next().unwrap_or_default();
        HeaderValue::from_bytes(line).unwrap_or(HeaderValue::from_static("none"))
    }
}

const VARIABLES: [&str; 6] = [
    "var_uri_path",
    "http_req_x",
    "http_resp_x",
    "var_cookie_a",
    "var_request_query",
    "http_resp_set-cookie",
];

/// Reads rules out of `data`, and applies those that are right to what else is in it.
///
/// # Panics
/// If something that must not change does, or a target comes out that is none.
pub fn check_rewrite(data: &[u8]) {
    let is_end: fn(&u8) -> bool = |byte| *byte == b'\n';
    let mut lines = Lines(data.split(is_end));
    let mut rules = Vec::new();
    for number in 0..1 + data.first().copied().unwrap_or_default() % 3 {
        rules.push(rule(&mut lines, number));
    }
    let set = RewriteSet { name: "fuzzed".into(), rules };
    let has_host =
        set.rules.iter().flat_map(RewriteRule::request).any(|its| its.name.as_str() == "host");
    let rewrites = Arc::new(Rewrites::new(&set));

    let target = lines.text();
    let target: Uri =
        target.parse().ok().filter(|uri: &Uri| uri.path().starts_with('/')).unwrap_or_default();
    let mut request = Request::new(());
    *request.uri_mut() = target;
    for name in ["x", "cookie", "authorization", "x-forwarded-for"] {
        request.headers_mut().append(name, lines.value());
    }
    request.headers_mut().insert(HOST, HeaderValue::from_static("host.example"));
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    let asked = Asked::of(&request, "host.example");
    let (one, other) = (HeaderValue::from_static("http"), HeaderValue::from_static("80"));
    let facts = Facts {
        asked: &asked,
        peer: SocketAddr::from(([1, 2, 3, 4], 5)),
        forwarded_for: &other,
        tls: None,
        certificate: None,
        noted: None,
        scheme: &one,
        port: &other,
        verification: Verification::None,
    };
    let mut pending = None;
    if rewrites.rewrite(&mut request, &facts, &mut pending).is_err() {
        return;
    }
    let target = request.uri().to_string();
    assert!(target.starts_with('/') && target.parse::<Uri>().is_ok(), "{target:?}");
    assert_eq!(request.headers()[CONNECTION], "upgrade");
    assert_eq!(request.headers().get_all(HOST).iter().count(), 1);
    assert!(has_host || request.headers()[HOST] == "host.example");

    let mut headers = HeaderMap::new();
    headers.append("x", lines.value());
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("7"));
    for _ in 0..3 {
        headers.append(SET_COOKIE, lines.value());
    }
    if let Some(pending) = pending {
        let _ = pending.rewrite(200, &mut headers);
    }
    assert_eq!(headers[CONTENT_LENGTH], "7");
    assert!(headers.get_all(SET_COOKIE).iter().count() <= 3);
}

/// A rule with whatever of it is right.
fn rule(lines: &mut Lines<'_>, number: u8) -> RewriteRule {
    let kind = lines.text();
    let kind = kind.bytes().next().unwrap_or_default();
    let pattern = |text: &str| Pattern::new(text, kind & 1 == 1).ok();
    let variable = Variable::parse(VARIABLES[usize::from(kind >> 2) % VARIABLES.len()]);
    let conditions = match (variable, pattern(&lines.text())) {
        (Ok(variable), Some(pattern)) if kind & 2 == 0 => {
            vec![Condition { variable, pattern, negate: kind & 64 != 0 }]
        }
        _ => Vec::new(),
    };
    let mut rule = RewriteRule::new(&format!("r{number}"), conditions);
    // What is wrong is refused, and that is all that can be said of it.
    let _ = rule.rewrite_request(&lines.text(), &lines.text());
    let matcher = pattern(&lines.text()).map(|pattern| Matcher { pattern, negate: kind & 32 != 0 });
    let _ = rule.rewrite_response("set-cookie", &lines.text(), matcher);
    let _ = rule.rewrite_response(&lines.text(), &lines.text(), None);
    let (path, query) = (lines.text(), lines.text());
    let _ =
        rule.rewrite_url(Some(&path), Some(&query).filter(|_| kind & 16 != 0).map(|q| &**q), false);
    rule
}
