//! What is refused, and what goes on beside it.

use serde_json::{Value, json};

use super::{
    condition, mirror, moving, over_http1, over_http2, rule, set_request, set_response, url,
    with_paths,
};
use crate::spec::{Spec, check};

#[tokio::test]
async fn what_cannot_be_rewritten_is_refused_with_its_place_and_reason() {
    let set = |rules: Value| json!([{"name": "s", "rewriteRules": rules}]);
    let one = |actions: Value| set(rule(json!([]), actions));
    let (request, response) = (
        "rewriteRuleSets[0].rewriteRules[0].actionSet.requestHeaderConfigurations[0]",
        "rewriteRuleSets[0].rewriteRules[0].actionSet.responseHeaderConfigurations[0]",
    );
    let sets = |name: &str| json!([{"name": name, "rewriteRules": []}]);
    let rules = |count: usize| -> Vec<Value> {
        (0..count).map(|n| json!({"name": format!("r{n}"), "ruleSequence": 1, "actionSet": set_request("X", "1")})).collect()
    };
    for (sets, path, why) in [
        (one(set_request("Host", "")), request, "host cannot be deleted"),
        (one(set_request("Connection", "x")), request, "connection cannot be rewritten"),
        (one(set_request("Upgrade", "x")), request, "upgrade cannot be rewritten"),
        (one(set_response("Upgrade", "x")), response, "upgrade cannot be rewritten"),
        (one(set_response("Content-Length", "1")), response, "content-length cannot be rewritten"),
        (one(set_response("Sec-WebSocket-Accept", "1")), response, "two ends agree"),
        (one(set_request("X Y", "1")), request, "not the name of a header"),
        (one(set_request("X", "{var_nothing}")), request, "no server variable \"nothing\""),
        (one(set_request("X", "{var_uri_path_1}")), request, "needs a condition"),
        (one(set_request("X", "{http_resp_Server}")), request, "is of the response"),
        (
            one(json!({"responseHeaderConfigurations": [{"headerName": "X", "headerValue": "1",
            "headerValueMatcher": {"pattern": "a"}}]})),
            response,
            "Set-Cookie",
        ),
        (
            set(rule(condition("var_uri_path", "a("), set_request("X", "1"))),
            "rewriteRuleSets[0].rewriteRules[0].conditions[0].pattern",
            "unclosed group",
        ),
        (
            set(rule(condition("var_uri_path", "(?!a)"), set_request("X", "1"))),
            "rewriteRuleSets[0].rewriteRules[0].conditions[0].pattern",
            "look-around",
        ),
        (
            set(rule(condition("path", "a"), set_request("X", "1"))),
            "rewriteRuleSets[0].rewriteRules[0].conditions[0].variable",
            "no variable",
        ),
        (
            set(rule(condition("http_resp_X", "a"), set_request("X", "1"))),
            request,
            "on the response",
        ),
        (one(url(json!({"modifiedPath": "new"}))), "actionSet.urlConfiguration", "begin with /"),
        (
            one(url(json!({"modifiedPath": "/new", "reroute": true}))),
            "requestRoutingRules[0].rewriteRuleSet",
            "path map",
        ),
        (sets("other"), "requestRoutingRules[0].rewriteRuleSet", "there is no \"s\""),
        (set(json!(rules(41))), "rewriteRuleSets[0].rewriteRules", "at most 40 actions"),
        (set(json!([rules(1)[0], rules(1)[0]])), "rewriteRules[1].name", "already the name"),
    ] {
        let spec = Spec::to(([127, 0, 0, 1], 9).into()).with(|spec| {
            spec["rewriteRuleSets"] = sets.clone();
            spec["requestRoutingRules"][0]["rewriteRuleSet"] = json!("s");
        });
        let told = check(&spec);
        let found = told.iter().any(|line| line.contains(path) && line.contains(why));
        assert!(found, "{path} {why}: {told:#?}");
    }
}

#[tokio::test]
async fn a_rule_whose_set_is_wrong_answers_502_and_others_go_on() {
    let spec = Spec::to(mirror().await).with(|spec| {
        spec["rewriteRuleSets"] = json!([
            {"name": "bad", "rewriteRules": rule(condition("var_uri_path", "("), set_request("X", "1"))},
            {"name": "good", "rewriteRules": rule(json!([]), set_request("X", "1"))},
        ]);
        spec["requestRoutingRules"][0]["rewriteRuleSet"] = json!("bad");
        spec["requestRoutingRules"][1]["rewriteRuleSet"] = json!("good");
    });
    let gateway = spec.start().await;
    assert_eq!(over_http1(&gateway, "a", "/", &[]).await.status, 502);
    assert_eq!(over_http2(&gateway, "a", "/", &[]).await.request("x"), ["1"]);
}

#[tokio::test]
async fn a_path_map_that_always_looks_again_is_refused() {
    let sets = json!([moving("a", "^/", "/b", true), moving("b", "^/", "/a", true)]);
    let spec =
        with_paths(Spec::to(mirror().await), sets, &[("/a*", Some("a")), ("/b*", Some("b"))]);
    assert_eq!(
        check(&spec),
        ["tidegate: nothing is wrong"],
        "the default has no set: a request can come to an end"
    );
    let spec = spec.with(|spec| spec["urlPathMaps"][0]["defaultRewriteRuleSet"] = json!("a"));
    let told = check(&spec).join("\n");
    assert!(
        told.contains("spec.urlPathMaps[0]") && told.contains("never come to an end"),
        "{told}"
    );
}
