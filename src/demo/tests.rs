use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::BackEnds;

type Socket = WebSocketStream<TcpStream>;

async fn enter(back_ends: &BackEnds, name: &str) -> Socket {
    let (_, address) = back_ends.addresses().find(|(its, _)| *its == name).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/chat");
    tokio_tungstenite::client_async(url, tcp).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Value {
    match socket.next().await.unwrap().unwrap() {
        Message::Text(text) => serde_json::from_str(&text).unwrap(),
        Message::Close(frame) => json!({ "closed": u16::from(frame.unwrap().code) }),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_said_at_one_back_end_is_heard_at_both() {
    let back_ends = BackEnds::start().await.unwrap();
    let mut red = enter(&back_ends, "red").await;
    let mut blue = enter(&back_ends, "blue").await;
    assert_eq!(next(&mut red).await["member"], "red");
    assert_eq!(next(&mut blue).await["member"], "blue");
    let said = json!({ "who": "me", "text": "<b>hello</b>" });
    red.send(Message::text(said.to_string())).await.unwrap();
    for socket in [&mut red, &mut blue] {
        let heard = next(socket).await;
        assert_eq!((&heard["text"], &heard["via"]), (&"<b>hello</b>".into(), &"red".into()));
    }
    let mut late = enter(&back_ends, "blue").await;
    assert_eq!(next(&mut late).await["last"][0]["text"], "<b>hello</b>");
}

#[tokio::test]
async fn a_back_end_that_stops_says_goodbye_and_the_last_one_does_not_stop() {
    let back_ends = BackEnds::start().await.unwrap();
    let mut socket = enter(&back_ends, "red").await;
    next(&mut socket).await;
    let stop = |name: &'static str| super::pages::act("stop", name, &back_ends.0);
    assert_eq!(stop("red").status(), 200);
    assert_eq!(next(&mut socket).await["closed"], 1001);
    assert_eq!(stop("blue").status(), 409);
    assert_eq!(stop("green").status(), 404);
    let started = super::pages::act("start", "red", &back_ends.0);
    assert_eq!(started.status(), 200);
    let mut again = enter(&back_ends, "red").await;
    assert_eq!(next(&mut again).await["member"], "red");
}
