//! One case for each thing that conditions, actions and values can say.

use serde_json::{Value, json};

use super::{
    condition, cookie, mirror, over_http1, over_http2, rule, set_request, set_response, url,
};
use crate::spec::{Spec, check};

/// One thing to be rewritten, and how it has to look then.
struct Case {
    what: &'static str,
    rules: Value,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    expected: &'static [Expected],
}

enum Expected {
    /// Path and query that the member sees.
    Target(&'static str),
    /// Lines of a header that the member sees.
    Request(&'static str, &'static [&'static str]),
    /// Lines of a header that the client gets.
    Response(&'static str, &'static [&'static str]),
}

use Expected::{Request as Req, Response as Resp, Target};

fn cases() -> Vec<Case> {
    let case =
        |what, rules, target, headers, expected| Case { what, rules, target, headers, expected };
    vec![
        case(
            "sets a header of the request",
            rule(json!([]), set_request("X-New", "value")),
            "/",
            &[],
            &[Req("x-new", &["value"])],
        ),
        case(
            "replaces all lines of a header",
            rule(json!([]), set_request("X-Two", "one")),
            "/",
            &[("x-two", "a"), ("x-two", "b")],
            &[Req("x-two", &["one"])],
        ),
        case(
            "deletes a header of the request",
            rule(json!([]), set_request("X-Gone", "")),
            "/",
            &[("x-gone", "a"), ("x-gone", "b")],
            &[Req("x-gone", &[])],
        ),
        case(
            "deletes a header whose value comes out empty",
            rule(json!([]), set_request("X-Gone", "{http_req_X-Nothing}")),
            "/",
            &[("x-gone", "a")],
            &[Req("x-gone", &[])],
        ),
        case(
            "sets the host",
            rule(json!([]), set_request("Host", "inner.example")),
            "/",
            &[],
            &[Req("host", &["inner.example"])],
        ),
        case(
            "keeps the host if it comes out empty",
            rule(json!([]), set_request("Host", "{http_req_X-Nothing}")),
            "/",
            &[],
            &[Req("x-original-host", &["$host"]), Req("host", &["$host"])],
        ),
        case(
            "sets what the gateway adds",
            rule(json!([]), set_request("X-Forwarded-For", "{var_client_ip}")),
            "/",
            &[("x-forwarded-for", "9.9.9.9")],
            &[Req("x-forwarded-for", &["127.0.0.1"])],
        ),
        case(
            "leaves out ports",
            rule(json!([]), set_request("X-Forwarded-For", "{var_add_x_forwarded_for_proxy}")),
            "/",
            &[("x-forwarded-for", "9.9.9.9")],
            &[Req("x-forwarded-for", &["9.9.9.9, 127.0.0.1"])],
        ),
        case(
            "mixes text and variables",
            rule(json!([]), set_request("X", "<{http_req_A}|{var_http_method}> {b}")),
            "/",
            &[("a", "1")],
            &[Req("x", &["<1|GET> {b}"])],
        ),
        case(
            "sets a header of the response",
            rule(json!([]), set_response("X-Frame-Options", "DENY")),
            "/",
            &[],
            &[Resp("x-frame-options", &["DENY"])],
        ),
        case(
            "deletes a header of the response",
            rule(json!([]), set_response("Server", "")),
            "/",
            &[],
            &[Resp("server", &[])],
        ),
        case(
            "replaces all lines in the response",
            rule(json!([]), set_response("X-Twice", "{http_resp_X-Twice}!")),
            "/",
            &[],
            &[Resp("x-twice", &["a, b!"])],
        ),
        case(
            "knows the request in the response",
            rule(json!([]), set_response("X", "{http_req_A} {var_uri_path} {var_http_status}")),
            "/status/404",
            &[("a", "1")],
            &[Resp("x", &["1 /status/404 404"])],
        ),
        case(
            "replaces all cookies without a matcher",
            rule(json!([]), set_response("Set-Cookie", "only=1")),
            "/",
            &[],
            &[Resp("set-cookie", &["only=1"])],
        ),
        case(
            "rewrites the cookies that match",
            rule(
                json!([]),
                cookie(
                    "{capt_header_value_matcher_1}=x{capt_header_value_matcher_2}; HttpOnly",
                    json!({"pattern": "^(one|two)=([0-9])"}),
                ),
            ),
            "/",
            &[],
            &[Resp("set-cookie", &["one=x1; HttpOnly", "two=x2; HttpOnly", "three=3; Secure"])],
        ),
        case(
            "rewrites the cookies that do not match",
            rule(
                json!([]),
                cookie("plain=1", json!({"pattern": "secure", "ignoreCase": true, "negate": true})),
            ),
            "/",
            &[],
            &[Resp("set-cookie", &["plain=1", "plain=1", "three=3; Secure"])],
        ),
        case(
            "has the whole cookie",
            rule(
                json!([]),
                cookie("{capt_header_value_matcher}; Secure", json!({"pattern": "Path"})),
            ),
            "/",
            &[],
            &[Resp(
                "set-cookie",
                &["one=1; Path=/; Secure", "two=2; Path=/; Secure", "three=3; Secure"],
            )],
        ),
        case(
            "deletes the cookies that match",
            rule(json!([]), cookie("", json!({"pattern": "^two"}))),
            "/",
            &[],
            &[Resp("set-cookie", &["one=1; Path=/", "three=3; Secure"])],
        ),
        case(
            "leaves cookies alone if none matches",
            rule(json!([]), cookie("x", json!({"pattern": "four"}))),
            "/",
            &[],
            &[Resp("set-cookie", &["one=1; Path=/", "two=2; Path=/", "three=3; Secure"])],
        ),
        case(
            "captures from the response",
            rule(
                condition("http_resp_Location", r"^https?://internal\.example(:\d+)?(/.*)$"),
                set_response(
                    "Location",
                    "{var_request_scheme}://outer.example{http_resp_Location_2}",
                ),
            ),
            "/",
            &[("x-scheme", "$scheme")],
            &[Resp("location", &["$scheme://outer.example/there?x=1"])],
        ),
        case(
            "a condition on the response that does not hold",
            rule(condition("http_resp_Location", "^ftp:"), set_response("Location", "x")),
            "/",
            &[],
            &[Resp("location", &["http://internal.example:8080/there?x=1"])],
        ),
        case(
            "a condition on the status",
            rule(condition("var_http_status", "^5"), set_response("X", "bad")),
            "/status/503",
            &[],
            &[Resp("x", &["bad"])],
        ),
        case(
            "a condition on the status that does not hold",
            rule(condition("var_http_status", "^5"), set_response("X", "bad")),
            "/status/404",
            &[],
            &[Resp("x", &[])],
        ),
        case(
            "response headers whose names end in a number",
            rule(json!([]), set_response("X", "{http_resp_x_odd_1}")),
            "/",
            &[],
            &[Resp("x", &["odd"])],
        ),
        case(
            "a condition that holds",
            rule(
                condition("http_req_User-Agent", "Mobile/([0-9]+)"),
                set_request("X-Mobile", "v{http_req_User-Agent_1}"),
            ),
            "/",
            &[("user-agent", "a Mobile/15 b")],
            &[Req("x-mobile", &["v15"])],
        ),
        case(
            "a condition that does not hold",
            rule(condition("http_req_User-Agent", "Mobile"), set_request("X-Mobile", "1")),
            "/",
            &[("user-agent", "a mobile")],
            &[Req("x-mobile", &[])],
        ),
        case(
            "ignoreCase",
            rule(
                json!([{"variable": "http_req_user-agent", "pattern": "MOBILE", "ignoreCase": true}]),
                set_request("X-Mobile", "1"),
            ),
            "/",
            &[("user-agent", "a mobile")],
            &[Req("x-mobile", &["1"])],
        ),
        case(
            "negate",
            rule(
                json!([{"variable": "http_req_A", "pattern": "1", "negate": true}]),
                set_request("X", "1"),
            ),
            "/",
            &[("a", "2")],
            &[Req("x", &["1"])],
        ),
        case(
            "negate that does not hold",
            rule(
                json!([{"variable": "http_req_A", "pattern": "1", "negate": true}]),
                set_request("X", "1"),
            ),
            "/",
            &[("a", "1")],
            &[Req("x", &[])],
        ),
        case(
            "all conditions have to hold",
            rule(
                json!([{"variable": "http_req_A", "pattern": "1"},
            {"variable": "http_req_B", "pattern": "1"}]),
                set_request("X", "1"),
            ),
            "/",
            &[("a", "1"), ("b", "2")],
            &[Req("x", &[])],
        ),
        case(
            "captures of two conditions",
            rule(
                json!([{"variable": "http_req_A", "pattern": "(.)(.)"},
            {"variable": "var_uri_path", "pattern": "^/([^/]*)/([^/]*)"}]),
                set_request("X", "{http_req_A_2}{http_req_A_1}-{var_uri_path_2}-{var_uri_path_1}"),
            ),
            "/p/q?r",
            &[("a", "12")],
            &[Req("x", &["21-q-p"])],
        ),
        case(
            "a group that has no part in it is empty",
            rule(
                condition("http_req_A", "^(1)|(2)$"),
                set_request("X", "<{http_req_A_1}{http_req_A_2}>"),
            ),
            "/",
            &[("a", "2")],
            &[Req("x", &["<2>"])],
        ),
        case(
            "what is not there is empty",
            rule(condition("http_req_Missing", "^$"), set_request("X", "1")),
            "/",
            &[],
            &[Req("x", &["1"])],
        ),
        case(
            "a cookie of the request",
            rule(condition("var_cookie_group", "^b$"), set_request("X", "{var_cookie_id}")),
            "/",
            &[("cookie", "id=7; group=b")],
            &[Req("x", &["7"])],
        ),
        case(
            "a new path",
            rule(json!([]), url(json!({"modifiedPath": "/new"}))),
            "/old?q=1",
            &[],
            &[Target("/new?q=1"), Req("x-original-url", &["/old?q=1"])],
        ),
        case(
            "a new query",
            rule(json!([]), url(json!({"modifiedQueryString": "a={var_request_query}&b=2"}))),
            "/old?q=1",
            &[],
            &[Target("/old?a=q=1&b=2")],
        ),
        case(
            "no query",
            rule(json!([]), url(json!({"modifiedQueryString": ""}))),
            "/old?q=1",
            &[],
            &[Target("/old")],
        ),
        case(
            "path and query from groups",
            rule(
                condition("var_request_uri", r"^/article/(\d+)/([^/?]+)"),
                url(
                    json!({"modifiedPath": "/article.aspx", "modifiedQueryString": "id={var_request_uri_1}&title={var_request_uri_2}"}),
                ),
            ),
            "/article/12/tide",
            &[],
            &[Target("/article.aspx?id=12&title=tide")],
        ),
        case(
            "a path that has odd characters",
            rule(json!([]), url(json!({"modifiedPath": "{http_req_A}"}))),
            "/",
            &[("a", "x y?z#")],
            &[Target("/x%20y%3Fz%23")],
        ),
        case(
            "a path and a header in one rule",
            rule(
                condition("var_uri_path", "^/v1(/.*)"),
                json!({
                    "urlConfiguration": {"modifiedPath": "{var_uri_path_1}"},
                    "requestHeaderConfigurations": [{"headerName": "X-Version", "headerValue": "1"}],
                    "responseHeaderConfigurations": [{"headerName": "X-Was", "headerValue": "{var_uri_path}"}],
                }),
            ),
            "/v1/a",
            &[],
            &[Target("/a"), Req("x-version", &["1"]), Resp("x-was", &["/v1/a"])],
        ),
        case(
            "rules in the order of their sequence",
            json!([
                {"name": "third", "ruleSequence": 30, "actionSet": set_request("X", "{http_req_X}3")},
                {"name": "first", "ruleSequence": 10, "actionSet": set_request("X", "1")},
                {"name": "second", "ruleSequence": 20, "actionSet": set_request("X", "{http_req_X}2")},
            ]),
            "/",
            &[("x", "0")],
            &[Req("x", &["123"])],
        ),
        case(
            "equal sequences in the order of the list",
            json!([
                {"name": "a", "ruleSequence": 10, "actionSet": set_request("X", "a")},
                {"name": "b", "ruleSequence": 10, "actionSet": set_request("X", "{http_req_X}b")},
            ]),
            "/",
            &[],
            &[Req("x", &["ab"])],
        ),
        case(
            "a rule sees what those before it made of the response",
            json!([
                {"name": "a", "ruleSequence": 10, "actionSet": set_response("X", "a")},
                {"name": "b", "ruleSequence": 20, "conditions": [{"variable": "http_resp_X", "pattern": "^(a)$"}],
                 "actionSet": set_response("X", "{http_resp_X_1}b")},
            ]),
            "/",
            &[],
            &[Resp("x", &["ab"])],
        ),
        case(
            "values of one rule see nothing of its changes",
            rule(
                json!([]),
                json!({"requestHeaderConfigurations": [
                {"headerName": "A", "headerValue": "{http_req_B}"}, {"headerName": "B", "headerValue": "{http_req_A}"}]}),
            ),
            "/",
            &[("a", "1"), ("b", "2")],
            &[Req("a", &["2"]), Req("b", &["1"])],
        ),
        case(
            "the rules after one that does not hold go on",
            json!([
                {"name": "a", "ruleSequence": 10, "conditions": [{"variable": "http_req_A", "pattern": "2"}],
                 "actionSet": set_request("X", "a")},
                {"name": "b", "ruleSequence": 20, "actionSet": set_request("Y", "b")},
            ]),
            "/",
            &[("a", "1")],
            &[Req("x", &[]), Req("y", &["b"])],
        ),
    ]
}

#[tokio::test]
async fn every_condition_and_action_does_what_it_says_over_http1_and_http2() {
    let cases = cases();
    let mut spec = Spec::to(mirror().await);
    let empty = || json!([]);
    for collection in ["httpListeners", "requestRoutingRules"] {
        spec.value[collection] = empty();
    }
    spec.value["rewriteRuleSets"] = empty();
    let mut push =
        |collection: &str, item| spec.value[collection].as_array_mut().unwrap().push(item);
    for (index, case) in cases.iter().enumerate() {
        let set = format!("s{index}");
        push("rewriteRuleSets", json!({"name": set, "rewriteRules": case.rules}));
        for (port, protocol) in [("http", "Http"), ("https", "Https")] {
            let name = format!("{port}{index}");
            let mut listener = json!({"name": name, "frontendPort": port, "protocol": protocol,
                                      "hostName": format!("c{index}.example")});
            if protocol == "Https" {
                listener["sslCertificate"] = json!("app");
            }
            push("httpListeners", listener);
            push(
                "requestRoutingRules",
                json!({
                    "name": name, "ruleType": "Basic", "httpListener": name, "backendAddressPool": "p",
                    "backendHttpSettings": "s", "rewriteRuleSet": set,
                }),
            );
        }
    }
    assert_eq!(check(&spec), ["tidegate: nothing is wrong"], "nothing is wrong with it");
    let gateway = spec.start().await;
    for (index, case) in cases.iter().enumerate() {
        let host = format!("c{index}.example");
        for (version, scheme) in [("1.1", "http"), ("2", "https")] {
            let seen = match version {
                "2" => over_http2(&gateway, &host, case.target, case.headers).await,
                _ => over_http1(&gateway, &host, case.target, case.headers).await,
            };
            let meant = |lines: &[&str]| -> Vec<String> {
                let line = |line: &&str| line.replace("$host", &host).replace("$scheme", scheme);
                lines.iter().map(line).collect()
            };
            let what =
                format!("{} over HTTP/{version}: {} {:?}", case.what, seen.member, seen.headers);
            for expected in case.expected {
                match expected {
                    Target(target) => assert_eq!(seen.target(), *target, "{what}"),
                    Req(name, lines) => {
                        assert_eq!(seen.request(name), meant(lines), "{name}: {what}")
                    }
                    Resp(name, lines) => {
                        assert_eq!(seen.response(name), meant(lines), "{name}: {what}")
                    }
                }
            }
        }
    }
}
