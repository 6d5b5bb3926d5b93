//! The pages of the admin port.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::admin::{Readiness, State};

const PAGE: &str = include_str!("status.html");
const SCRIPT: &str = include_str!("status.js");
const STYLE: &str = include_str!("status.css");

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                tracing::warn!(%error, "admin: cannot accept connections; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let state = state.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let response = answer(request.method(), request.uri().path(), &state);
            async move { Ok::<_, Infallible>(response) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
        let connection = builder.serve_connection(TokioIo::new(tcp), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "admin: connection ended");
            }
        });
    }
}

type Answer = Response<Full<Bytes>>;

fn answer(method: &Method, path: &str, state: &State) -> Answer {
    let known = matches!(
        path,
        "/" | "/metrics"
            | "/livez"
            | "/readyz"
            | "/status"
            | "/status.json"
            | "/status.js"
            | "/status.css"
    );
    if !known {
        let pages = "not found; there are /status, /status.json, /metrics, /livez and /readyz\n";
        return text(StatusCode::NOT_FOUND, pages);
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/" => {
            let mut response = text(StatusCode::FOUND, "see /status\n");
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/status"));
            response
        }
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match state.readiness() {
            Readiness::Ready => text(StatusCode::OK, "ok\n"),
            Readiness::Starting => {
                text(StatusCode::SERVICE_UNAVAILABLE, "starting: no table yet\n")
            }
            Readiness::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        },
        "/metrics" => metrics(state),
        "/status.json" => match state.status_json() {
            Ok(json) => typed(StatusCode::OK, "application/json", json),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/status.js" => typed(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
        "/status.css" => typed(StatusCode::OK, "text/css; charset=utf-8", STYLE),
        _ => typed(StatusCode::OK, "text/html; charset=utf-8", PAGE),
    }
}

fn metrics(state: &State) -> Answer {
    match prometheus::TextEncoder::new().encode_to_string(&state.registry.gather()) {
        Ok(body) => typed(StatusCode::OK, prometheus::TEXT_FORMAT, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                  frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
