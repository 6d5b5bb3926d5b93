//! Servers that play the members of an example.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::peers::Io;

/// Serves at an address for as long as the test runs; `name` is the first line of every answer.
pub async fn serve(address: SocketAddr, name: String, tls: Option<Arc<rustls::ServerConfig>>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let name: Arc<str> = name.into();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (name, tls) = (name.clone(), tls.clone());
            tokio::spawn(async move {
                let Some(is_http2) = begins_http2(&tcp).await else { return };
                match tls {
                    Some(tls) => {
                        if let Ok(stream) = TlsAcceptor::from(tls).accept(tcp).await {
                            talk(Box::new(stream), false, name).await;
                        }
                    }
                    None => talk(Box::new(tcp), is_http2, name).await,
                }
            });
        }
    });
}

/// Whether the client speaks HTTP/2 by prior knowledge; `None` if it says nothing.
async fn begins_http2(tcp: &TcpStream) -> Option<bool> {
    let mut start = [0; 3];
    let length = tcp.peek(&mut start).await.ok().filter(|length| *length > 0)?;
    Some(start[..length] == b"PRI"[..length])
}

async fn talk(io: Box<dyn Io>, is_http2: bool, name: Arc<str>) {
    let service = service_fn(move |request| {
        let name = name.clone();
        async move { Ok::<_, Infallible>(answer(&name, request).await) }
    });
    let io = TokioIo::new(io);
    // A client that leaves is no failure.
    let _ = match is_http2 {
        true => {
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            serving.serve_connection(io, service).await
        }
        false => {
            let serving = hyper::server::conn::http1::Builder::new();
            serving.serve_connection(io, service).with_upgrades().await
        }
    };
}

async fn answer(name: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if let Some(key) = request.headers().get("sec-websocket-key") {
        let accept = derive_accept_key(key.as_bytes());
        return Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-accept", accept)
            .body(Full::default())
            .unwrap();
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let target = head.uri.path_and_query().map_or("*", |target| target.as_str());
    let mut text = format!("{name}\n{} {target} {:?}\n", head.method, head.version).into_bytes();
    for (name, value) in &head.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat());
    }
    if !body.is_empty() {
        text.extend([b"\n", &*body].concat());
    }
    let mut response = Response::new(Full::from(text));
    response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
    let query = head.uri.query().unwrap_or_default();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match key {
            "status" => *response.status_mut() = StatusCode::from_bytes(value.as_bytes()).unwrap(),
            "wait" => tokio::time::sleep(Duration::from_secs_f64(value.parse().unwrap())).await,
            "field" => {
                let (name, value) = value.split_once(':').unwrap();
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                response.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
            }
            _ => {}
        }
    }
    response
}
