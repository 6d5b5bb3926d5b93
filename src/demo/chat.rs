//! A socket of the chat, as its server sees it.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::demo::Shared;

/// What a page sends: something to say, or a time to be sent back.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Ping { ping: f64 },
    Text { who: String, text: String },
}

/// Serves a socket until one side leaves, or the back end stops.
pub(super) async fn serve(
    name: &'static str,
    mut socket: WebSocketStream<TokioIo<Upgraded>>,
    shared: Arc<Shared>,
) {
    let Some(back_end) = shared.find(name) else {
        return;
    };
    let mut running = back_end.running();
    let (last, mut hear) = shared.room.enter();
    let hello = json!({ "type": "hello", "member": name, "last": last });
    if socket.send(Message::text(hello.to_string())).await.is_err() {
        return;
    }
    loop {
        let reply = tokio::select! {
            frame = socket.next() => match frame {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(Said::Ping { ping }) => Some(json!({ "type": "pong", "ping": ping }).to_string()),
                    Ok(Said::Text { who, text }) => {
                        shared.room.say(name, &who, &text);
                        None
                    }
                    // Not what the page sends.
                    Err(_) => None,
                },
                Some(Ok(Message::Close(_))) | Some(Err(_)) | None => return,
                Some(Ok(_)) => None,
            },
            message = hear.recv() => match message {
                Ok(message) => serde_json::to_string(&message).ok(),
                // Too slow to hear everything; what comes next is still worth hearing.
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            () = running.stopped() => {
                let reason = format!("{name} is going away").into();
                let close = CloseFrame { code: CloseCode::Away, reason };
                // A peer that is gone needs no goodbye.
                let _ = socket.close(Some(close)).await;
                return;
            }
        };
        if let Some(reply) = reply
            && socket.send(Message::text(reply)).await.is_err()
        {
            return;
        }
    }
}
