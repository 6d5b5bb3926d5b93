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
use tidegate_model::{BackendTls, Probe, ProbeKind, ProbeMatch, Trust, TrustedRoots};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::ask::ask;
use super::{Health, HealthState, ProbeSpec, Prober};

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
    ProbeSpec { address, tls: None, host: HeaderValue::from_static("h.example"), probe }
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
