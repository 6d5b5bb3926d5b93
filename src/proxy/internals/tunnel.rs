//! A tunnel's byte path under any order of writes, reads and ends, over real sockets.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::conn::io::Io;
use crate::internals::script::Script;
use crate::tunnel::Direction;

/// Sends what `data` says through a tunnel, in the order that it says, and checks what arrives.
///
/// # Panics
/// If a byte is lost, changed or out of order, or an end is not passed on.
pub fn check_tunnel(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run(data));
}

async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.expect("a connection"), far.expect("a connection").0)
}

/// One end: what it has sent, and what it has seen.
struct End {
    socket: TcpStream,
    sent: Vec<u8>,
    seen: Vec<u8>,
    open: bool,
}

impl End {
    fn new(socket: TcpStream) -> Self {
        Self { socket, sent: Vec::new(), seen: Vec::new(), open: true }
    }

    /// Sends as much of `length` bytes as is taken at once; each byte tells its place.
    async fn send(&mut self, length: usize) {
        let next = self.sent.len();
        let bytes: Vec<u8> =
            (next..next + length).map(|place| (place / 3 + place % 251) as u8).collect();
        let taken = self.socket.try_write(&bytes).unwrap_or(0);
        self.sent.extend_from_slice(&bytes[..taken]);
        tokio::task::yield_now().await;
    }

    fn read_some(&mut self, length: usize) {
        let mut buffer = vec![0; length];
        if let Ok(read) = self.socket.try_read(&mut buffer) {
            self.seen.extend_from_slice(&buffer[..read]);
        }
    }

    async fn finish(&mut self) {
        if self.open {
            self.open = false;
            self.socket.shutdown().await.expect("an end can be sent");
        }
    }
}

async fn run(data: &[u8]) {
    let mut script = Script(data);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let (client, client_side) = pair(&listener).await;
    let (member, member_side) = pair(&listener).await;
    let (mut client, mut member) = (End::new(client), End::new(member));

    // What came with the handshake was read ahead by the HTTP library.
    let ahead: Vec<u8> = (0..script.below(200)).map(|place| place as u8).collect();
    let (mut up, mut down) = (Direction::starting_with(&ahead), Direction::starting_with(&[]));
    let (mut from, mut to) = (Io::Plain(client_side), Io::Plain(member_side));
    let tunnel = tokio::spawn(poll_fn(move |cx| {
        let ways = (up.poll(cx, &mut from, &mut to), down.poll(cx, &mut to, &mut from));
        match ways {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready((up.moved(), down.moved())),
            (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => panic!("{error}"),
            _ => Poll::Pending,
        }
    }));

    const SIZES: [usize; 6] = [1, 100, 5_000, 40_000, 100_000, 400_000];
    while !script.is_over() {
        let (action, size) = (script.below(7), SIZES[script.below(SIZES.len())]);
        match action {
            0 | 1 if client.open => client.send(size).await,
            2 | 3 if member.open => member.send(size).await,
            4 => client.read_some(size),
            5 => member.read_some(size),
            6 if size == 1 => client.finish().await,
            6 if size == 100 => member.finish().await,
            _ => tokio::task::yield_now().await,
        }
    }
    client.finish().await;
    member.finish().await;
    let (mut at_client, mut at_member) = (Vec::new(), Vec::new());
    let (read, read_too) = tokio::join!(
        client.socket.read_to_end(&mut at_client),
        member.socket.read_to_end(&mut at_member)
    );
    read.expect("the member's end arrives");
    read_too.expect("the client's end arrives");
    client.seen.extend(at_client);
    member.seen.extend(at_member);
    assert!(client.seen == member.sent, "what the member sent is not what the client saw");
    let expected = [ahead, client.sent].concat();
    assert!(member.seen == expected, "what the client sent is not what the member saw");
    let (up, down) = tunnel.await.expect("the tunnel ends by itself");
    assert_eq!((up, down), (member.seen.len() as u64, client.seen.len() as u64));
}
