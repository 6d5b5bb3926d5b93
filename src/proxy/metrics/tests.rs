use std::collections::BTreeSet;
use std::time::Duration;

use prometheus::{Registry, TextEncoder};

use super::{CertificateKey, MemberKey, Metrics, RuleKey, definitions};
use crate::core::CoreId;
use crate::tunnel::{CloseLabel, Side, TunnelEnd};

fn rule_key(rule: &str) -> RuleKey {
    RuleKey {
        gateway: "default/g".into(),
        listener: "l".into(),
        rule: rule.into(),
        pool: "p".into(),
        settings: "s".into(),
    }
}

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn cores_count_apart_and_are_read_together() {
    let metrics = Metrics::new(4);
    let series = metrics.rule(rule_key("r"));
    std::thread::scope(|scope| {
        for core in 0..4 {
            let series = &series;
            scope.spawn(move || {
                for _ in 0..1000 {
                    series.request(CoreId::new(core), 204, Duration::from_millis(3), 1, 2);
                    series.tunnel_opened(CoreId::new(core));
                }
                for _ in 0..10 {
                    let end = TunnelEnd::MemberClosed;
                    series.tunnel_closed(
                        CoreId::new(core),
                        Duration::from_secs(2),
                        end,
                        Side::Client,
                        CloseLabel::Normal,
                    );
                }
            });
        }
    });
    assert_eq!((series.requests(), series.open_tunnels()), (4000, 3960));
    let registry = Registry::new();
    metrics.register(&registry).unwrap();
    let text = text(&registry);
    let labels = r#"gateway="default/g",listener="l",pool="p",rule="r",settings="s""#;
    for line in [
        format!(r#"tidegate_requests_total{{{labels},status="2xx"}} 4000"#),
        format!(r#"tidegate_sent_bytes_total{{{labels}}} 8000"#),
        format!(r#"tidegate_tunnels_open{{{labels}}} 3960"#),
        format!(r#"tidegate_request_duration_seconds_bucket{{{labels},le="0.0025"}} 0"#),
        format!(r#"tidegate_request_duration_seconds_bucket{{{labels},le="0.005"}} 4000"#),
        format!(r#"tidegate_request_duration_seconds_count{{{labels}}} 4000"#),
    ] {
        let unordered = |line: &str| {
            line.split(['{', ',', '}', ' ']).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        assert!(text.lines().any(|l| unordered(l) == unordered(&line)), "{line} not in\n{text}");
    }
}

#[test]
fn series_end_with_the_last_that_holds_them() {
    let metrics = Metrics::new(1);
    let registry = Registry::new();
    metrics.register(&registry).unwrap();
    let first = metrics.rule(rule_key("gone"));
    let again = metrics.rule(rule_key("gone"));
    assert!(std::sync::Arc::ptr_eq(&first, &again));
    drop(first);
    assert!(text(&registry).contains("gone"));
    drop(again);
    assert!(!text(&registry).contains("gone"));
}

#[test]
fn the_output_has_every_metric_that_is_defined_and_no_other() {
    let metrics = Metrics::new(1);
    let registry = Registry::new();
    metrics.register(&registry).unwrap();
    let rule = metrics.rule(rule_key("r"));
    let (core, second) = (CoreId::new(0), Duration::from_secs(1));
    rule.tunnel_ping(core, Side::Client, second);
    let code = CloseLabel::Normal;
    rule.tunnel_closed(core, second, TunnelEnd::ClientClosed, Side::Client, code);
    let member = metrics.member(MemberKey {
        gateway: "default/g".into(),
        pool: "p".into(),
        settings: "s".into(),
        member: "127.0.0.1:80".parse().unwrap(),
    });
    let spec = crate::health::ProbeSpec {
        address: "127.0.0.1:80".parse().unwrap(),
        tls: None,
        http2: false,
        host: http::HeaderValue::from_static("h"),
        probe: tidegate_model::Probe::default(),
    };
    let health = crate::health::Health::new(spec, String::new());
    member.set_health(&health);
    let key = CertificateKey { gateway: "g".into(), certificate: "c".into() };
    let _certificate = metrics.certificate(key);
    let families = registry.gather();
    let names: BTreeSet<&str> = families.iter().map(|family| family.name()).collect();
    let expected: BTreeSet<&str> = definitions().iter().map(|definition| definition.name).collect();
    assert_eq!(names, expected);
    for definition in definitions() {
        assert!(definition.help.ends_with('.'), "{}", definition.name);
    }
}
