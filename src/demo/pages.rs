//! What a back end answers: the page, its health, the chat's handshake, and the page's buttons.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::demo::{Shared, chat};

const PAGE: &str = include_str!("chat.html");
const SCRIPT: &str = include_str!("chat.js");
const STYLE: &str = include_str!("chat.css");

type Answer = Response<Full<Bytes>>;

/// Answers a request that reached the back end called `name`.
pub(super) async fn answer(
    name: &'static str,
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    Ok(match (&method, &*path) {
        (&Method::GET, "/") => typed("text/html; charset=utf-8", PAGE),
        (&Method::GET, "/chat.js") => typed("text/javascript; charset=utf-8", SCRIPT),
        (&Method::GET, "/chat.css") => typed("text/css; charset=utf-8", STYLE),
        (&Method::GET, "/healthz") => {
            typed("text/plain; charset=utf-8", format!("{name} is well\n"))
        }
        (&Method::GET, "/chat") => enter_chat(name, shared, request),
        (&Method::GET, "/demo/members") => {
            typed("application/json", members(name, &shared).to_string())
        }
        (&Method::POST, path) => {
            match path.strip_prefix("/demo/").and_then(|p| p.split_once('/')) {
                Some((action, whom)) => act(action, whom, &shared),
                None => refused(StatusCode::NOT_FOUND, "there is nothing here"),
            }
        }
        _ => refused(StatusCode::NOT_FOUND, "there is nothing here"),
    })
}

fn typed(kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn refused(status: StatusCode, why: impl Into<String>) -> Answer {
    let mut response = typed("text/plain; charset=utf-8", format!("{}\n", why.into()));
    *response.status_mut() = status;
    response
}

/// RFC 6455 4.2.2: a 101 that proves that the key was read, and then the socket.
fn enter_chat(name: &'static str, shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) else {
        return refused(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket");
    };
    let accept = derive_accept_key(key.as_bytes());
    let Ok(accept) = HeaderValue::try_from(accept) else {
        return refused(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is not right");
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let io = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
            chat::serve(name, socket, shared).await;
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

/// The page's buttons.
pub(super) fn act(action: &str, whom: &str, shared: &Arc<Shared>) -> Answer {
    let Some(back_end) = shared.find(whom) else {
        return refused(StatusCode::NOT_FOUND, format!("there is no back end {whom:?}"));
    };
    match action {
        "start" => match back_end.start(shared.clone()) {
            Ok(()) => typed("text/plain; charset=utf-8", format!("{whom} runs\n")),
            Err(error) => refused(StatusCode::CONFLICT, format!("{error:#}")),
        },
        "stop" if back_end.is_running() && shared.running() == 1 => {
            let why = format!("{whom} is the last one running: who would answer this page then?");
            refused(StatusCode::CONFLICT, why)
        }
        "stop" => {
            back_end.stop();
            typed("text/plain; charset=utf-8", format!("{whom} is stopped\n"))
        }
        _ => refused(StatusCode::NOT_FOUND, "it can be stopped and started"),
    }
}

/// The back ends as they are, and as the gateway sees them.
fn members(name: &str, shared: &Shared) -> Value {
    let status = shared.proxy.get().map(tidegate_proxy::Handle::status);
    let of = |back_end: &super::BackEnd| {
        let seen =
            status.iter().flat_map(|status| &status.targets).flat_map(|target| &target.members);
        let member = seen.into_iter().find(|member| member.address == back_end.address);
        json!({
            "name": back_end.name,
            "running": back_end.is_running(),
            "health": member.map(|member| member.health.state),
            "detail": member.map(|member| &member.health.detail),
            "tunnels": member.map(|member| member.open_tunnels),
        })
    };
    json!({
        "answeredBy": name,
        "tunnels": status.as_ref().map(|status| status.tunnels),
        "members": shared.all.iter().map(of).collect::<Vec<_>>(),
    })
}
