use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidegate_model::{
    BackendTls, OutlierEjection, Probe, ProbeKind, ProbeMatch, Trust, TrustedRoots,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::ask::ask;
use super::{Group, Health, HealthState, ProbeSpec, Prober};

/// A server that answers each request with what `answer` says; its address.
async fn serve(
    answer: impl Fn(&Request<Incoming>) -> (u16, String) + Clone + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let (status, body) = answer(&request);
                let response =
                    Response::builder().status(status).body(Full::new(Bytes::from(body)));
                async move { Ok::<_, Infallible>(response.unwrap()) }
            });
            let serving = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serving.serve_connection(TokioIo::new(tcp), service));
        }
    });
    address
}

fn spec(address: SocketAddr, probe: Probe) -> ProbeSpec {
    let host = HeaderValue::from_static("h.example");
    ProbeSpec { address, tls: None, host, http2: false, probe }
}

#[tokio::test]
async fn a_probe_asks_for_its_path_with_its_host_and_judges_status_and_body() {
    let address = serve(|request| {
        let right = request.uri() == "/healthz?x=1" && request.headers()["host"] == "h.example";
        (if right { 204 } else { 500 }, String::new())
    })
    .await;
    let probe = Probe { path: "/healthz?x=1".into(), ..Probe::default() };
    let (healthy, detail) = ask(&spec(address, probe)).await;
    assert!(healthy && detail.starts_with("204 in "), "{detail}");

    let (healthy, detail) = ask(&spec(address, Probe::default())).await;
    assert!(!healthy);
    assert_eq!(detail, "status 500 not in 200-399");
}

#[tokio::test]
async fn the_text_is_found_wherever_it_stands_in_the_body() {
    let address = serve(|_| (200, format!("{}all is well", "x".repeat(50_000)))).await;
    for (wanted, expected) in [("all is well", true), ("xall", true), ("nothing", false)] {
        let matching = ProbeMatch::new(vec![], wanted).unwrap();
        let (healthy, detail) = ask(&spec(address, Probe { matching, ..Probe::default() })).await;
        assert_eq!(healthy, expected, "{wanted}: {detail}");
    }
}

#[tokio::test]
async fn a_member_that_does_not_answer_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = listener.local_addr().unwrap();
    let probe = Probe { timeout: Duration::from_millis(50), ..Probe::default() };
    assert_eq!(ask(&spec(silent, probe.clone())).await.1, "timeout after 0 s");
    drop(listener);
    let (healthy, detail) = ask(&spec(silent, probe)).await;
    assert!(!healthy && detail.starts_with("connect: "), "{detail}");
}

#[tokio::test]
async fn a_tcp_probe_is_content_with_a_connection() {
    let address = serve(|_| (500, String::new())).await;
    let probe = Probe { kind: ProbeKind::Tcp, ..Probe::default() };
    let (healthy, detail) = ask(&spec(address, probe.clone())).await;
    assert!(healthy && detail.starts_with("connected in "), "{detail}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let (healthy, detail) = ask(&spec(closed, probe)).await;
    assert!(!healthy && detail.starts_with("connect: "), "{detail}");
}

#[tokio::test]
async fn an_https_member_is_asked_by_a_name_that_its_certificate_has() {
    let made = rcgen::generate_simple_self_signed(["m.example".to_owned()]).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(crate::tls::test_provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let Ok(tls) = acceptor.accept(tcp).await else {
                continue;
            };
            let service = service_fn(|_| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
            });
            let serving = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serving.serve_connection(TokioIo::new(tls), service));
        }
    });
    let roots = TrustedRoots::from_pem(made.cert.pem().as_bytes()).unwrap();
    let config = crate::tls::Backends::new()
        .config(&BackendTls::trusting(Trust::Roots(Arc::new(roots))))
        .unwrap();
    for (name, expected) in [("m.example", true), ("other.example", false)] {
        let tls = Some((config.clone(), name.try_into().unwrap()));
        let (healthy, detail) = ask(&ProbeSpec { tls, ..spec(address, Probe::default()) }).await;
        assert_eq!(healthy, expected, "{name}: {detail}");
    }
}

#[tokio::test]
async fn probes_take_members_in_and_out_and_leave_the_others_alone() {
    let (asked, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(200)));
    let counted = (asked.clone(), answers.clone());
    let address = serve(move |_| {
        counted.0.fetch_add(1, Ordering::SeqCst);
        (counted.1.load(Ordering::SeqCst) as u16, String::new())
    })
    .await;
    let changes = Arc::new(watch::Sender::new(0));
    let prober = Prober::new(tokio::runtime::Handle::current(), changes.clone());
    let probe =
        Probe { interval: Duration::from_millis(20), unhealthy_threshold: 2, ..Probe::default() };
    let health = Health::new(spec(address, probe.clone()), "test".into());
    assert!(health.is_unknown());
    let mut seen = changes.subscribe();
    let gateway = Arc::new(tidegate_model::ObjectName::new("n", "g"));
    prober.watch(&gateway, vec![health.clone()]);
    seen.changed().await.unwrap();
    assert!(health.is_up());
    answers.store(503, Ordering::SeqCst);
    seen.changed().await.unwrap();
    assert_eq!(health.status().state, HealthState::Down);
    assert!(health.counts().1 >= 2);

    // A new probe of the same member begins where the old one was.
    let successor = Health::after(&health, spec(address, probe), "test".into());
    assert!(!successor.is_unknown() && !successor.is_up());
    prober.watch(&gateway, vec![successor.clone()]);
    answers.store(200, Ordering::SeqCst);
    seen.changed().await.unwrap();
    assert!(successor.is_up() && !health.is_up());
    prober.watch(&gateway, vec![]);
}

/// Members of one group, and how many changes it has told.
fn group(
    count: u8,
    min_servers: u32,
    ejection: Option<OutlierEjection>,
) -> (Vec<Arc<Health>>, watch::Receiver<u64>) {
    let member = |last| {
        let address = SocketAddr::from(([10, 0, 0, last], 80));
        Health::new(spec(address, Probe::default()), "test".into())
    };
    let members: Vec<Arc<Health>> = (0..count).map(member).collect();
    let changes = Arc::new(watch::Sender::new(0));
    let told = changes.subscribe();
    Group::arrange(members.iter(), min_servers, ejection, &changes);
    (members, told)
}

fn up(members: &[Arc<Health>]) -> Vec<bool> {
    members.iter().map(|member| member.is_up()).collect()
}

#[test]
fn so_many_members_count_as_healthy_the_least_long_down_first() {
    let (members, _told) = group(3, 2, None);
    let set = |place: usize, healthy| {
        let state = if healthy { HealthState::Up } else { HealthState::Down };
        members[place].set(state, healthy, String::new());
        // Times are told to the millisecond.
        std::thread::sleep(Duration::from_millis(3));
    };
    // Who was never asked is no better than who was and is down.
    assert_eq!(up(&members), [false; 3]);
    (0..3).for_each(|place| set(place, true));
    set(0, false);
    assert_eq!(up(&members), [false, true, true]);
    set(2, false);
    assert_eq!(up(&members), [false, true, true]);
    assert!(members[2].status().detail.starts_with("counts as healthy"), "{members:?}");
    set(1, false);
    assert_eq!(up(&members), [false, true, true]);
    set(0, true);
    assert_eq!(up(&members), [true, true, false]);
    set(1, true);
    assert_eq!(up(&members), [true, true, false]);
    // Without the group nothing is kept.
    set(0, false);
    Group::arrange(members.iter(), 0, None, &Arc::new(watch::Sender::new(0)));
    assert_eq!(up(&members), [false, true, false]);
}

#[test]
fn failures_in_a_row_take_a_member_out_unless_too_many_others_are() {
    let rules = OutlierEjection {
        failures: std::num::NonZeroU32::new(3).unwrap(),
        time: Duration::from_secs(30),
        max_percent: 50,
    };
    let (members, mut told) = group(3, 0, Some(rules));
    for member in &members {
        member.set(HealthState::Up, true, String::new());
    }
    let report = |place: usize, failures: &[bool]| {
        failures.iter().for_each(|failed| members[place].report(*failed, &rules));
    };
    report(0, &[true, true, false, true, true]);
    assert_eq!(up(&members), [true; 3]);
    assert!(!told.has_changed().unwrap());
    report(0, &[true]);
    assert_eq!(up(&members), [false, true, true]);
    assert!(told.has_changed().unwrap());
    told.mark_unchanged();
    // Half of three, rounded down, is one.
    report(1, &[true; 10]);
    assert_eq!(up(&members), [false, true, true]);
    assert!(members[0].status().detail.starts_with("ejected"), "{members:?}");
    assert_eq!((members[0].ejections(), members[1].ejections()), (1, 0));
    // A probe that succeeds is no reason to come back before the time.
    members[0].set(HealthState::Up, true, String::new());
    assert!(!members[0].is_up() && !members[0].restore(crate::clock::coarse()));
    assert!(members[0].restore(crate::clock::coarse() + 60_000));
    assert_eq!(up(&members), [true; 3]);
    // Settings that no longer ask for it take nobody out.
    report(2, &[true; 3]);
    assert_eq!(up(&members), [true, true, false]);
    Group::arrange(members.iter(), 0, None, &Arc::new(watch::Sender::new(0)));
    assert_eq!(up(&members), [true; 3]);
    report(2, &[true; 3]);
    assert_eq!(up(&members), [true; 3]);
}

#[test]
fn a_member_that_came_up_gets_a_growing_part_of_its_share() {
    let (members, _told) = group(1, 0, None);
    let slow = Duration::from_secs(3600);
    members[0].set(HealthState::Up, true, String::new());
    assert_eq!(members[0].warmth(slow), 100);
    let started = std::time::Instant::now();
    let short = Duration::from_millis(20);
    while members[0].warmth(short) < 1000 {
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(1));
        crate::clock::renew();
    }
}
