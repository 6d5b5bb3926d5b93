//! A tunnel's byte path under any order of writes, reads, ends and insertions, over real sockets.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use tokio::sync::mpsc;

use crate::conn::io::Io;
use crate::internals::script::Script;
use crate::tunnel::{Direction, Event, Opcode, Parsed, Rules, control, parse};

/// Sends what `data` says through a tunnel, in the order that it says, and checks what arrives: bytes
/// or frames, and frames of our own between the latter.
///
/// # Panics
/// If a byte is lost, changed or out of order, an end is not passed on, or a frame of ours does not
/// stand between two others.
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
    /// Sends frames, and is in the middle of one with this left.
    frames: Option<Vec<u8>>,
}

impl End {
    fn new(socket: TcpStream, frames: bool) -> Self {
        let frames = frames.then(Vec::new);
        Self { socket, sent: Vec::new(), seen: Vec::new(), open: true, frames }
    }

    /// Sends as much of `length` bytes as is taken at once; each byte tells its place. A sender of
    /// frames finishes its last one first.
    async fn send(&mut self, length: usize) {
        let next = self.sent.len();
        let bytes = (next..next + length).map(|place| (place / 3 + place % 251) as u8);
        let mut bytes = match &mut self.frames {
            None => bytes.collect(),
            Some(left) if left.is_empty() => {
                let size = (length as u64).to_be_bytes();
                let head = match length {
                    ..=125 => vec![0x82, length as u8],
                    126..=0xffff => vec![0x82, 126, size[6], size[7]],
                    _ => [&[0x82, 127], &size[..]].concat(),
                };
                head.into_iter().chain(bytes).collect()
            }
            Some(left) => std::mem::take(left),
        };
        let taken = self.socket.try_write(&bytes).unwrap_or(0);
        self.sent.extend_from_slice(&bytes[..taken]);
        if let Some(left) = &mut self.frames {
            *left = bytes.split_off(taken);
        }
        tokio::task::yield_now().await;
    }

    /// Takes out of what was seen the frames that the tunnel put in; how many there were.
    fn take_out(&mut self, ours: &[u8]) -> usize {
        let (mut at, mut found) = (0, 0);
        while let Parsed::Head(head) = parse(&self.seen[at..]) {
            if self.seen[at..].starts_with(ours) {
                self.seen.drain(at..at + ours.len());
                found += 1;
            } else {
                at += head.size + head.length as usize;
                if at > self.seen.len() {
                    break;
                }
            }
        }
        found
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
    let frames = script.below(2) == 1;
    let (mut client, mut member) = (End::new(client, frames), End::new(member, frames));

    // What came with the handshake was read ahead by the HTTP library.
    let ahead: Vec<u8> = match frames {
        true => control(Opcode::Pong, b"ahead", true),
        false => (0..script.below(200)).map(|place| place as u8).collect(),
    };
    let ours = control(Opcode::Ping, b"ours", false);
    let (insert, mut inserts) = mpsc::unbounded_channel::<bool>();
    let mut inserted = [0, 0];
    let inserting = ours.clone();
    let (mut up, mut down) = (Direction::starting_with(&ahead), Direction::starting_with(&[]));
    if frames && script.below(2) == 1 {
        // Limits that nothing reaches: frames are judged, and arrive all the same.
        let most = Some(1 << 40);
        up.set_rules(Rules::new(most, most, None));
        down.set_rules(Rules::new(None, None, None));
    }
    let (mut from, mut to) = (Io::Plain(client_side), Io::Plain(member_side));
    let tunnel = tokio::spawn(poll_fn(move |cx| {
        while let Poll::Ready(Some(upwards)) = inserts.poll_recv(cx) {
            let way = if upwards { &mut up } else { &mut down };
            inserted[usize::from(upwards)] += usize::from(way.insert(&inserting, false));
        }
        let mut done = [false, false];
        for (place, done) in done.iter_mut().enumerate() {
            loop {
                let polled = match place {
                    0 => up.poll(cx, &mut from, &mut to),
                    _ => down.poll(cx, &mut to, &mut from),
                };
                match polled {
                    Poll::Pending => break,
                    Poll::Ready(Ok(Event::SourceEnded)) => {}
                    Poll::Ready(Ok(Event::Done)) => {
                        *done = true;
                        break;
                    }
                    Poll::Ready(Ok(event)) => panic!("{event:?}"),
                    Poll::Ready(Err(error)) => panic!("{error}"),
                }
            }
        }
        match done {
            [true, true] => Poll::Ready((up.moved(), down.moved(), inserted)),
            _ => Poll::Pending,
        }
    }));

    const SIZES: [usize; 6] = [1, 100, 5_000, 40_000, 100_000, 400_000];
    while !script.is_over() {
        let (action, size) = (script.below(8), SIZES[script.below(SIZES.len())]);
        match action {
            0 | 1 if client.open => client.send(size).await,
            2 | 3 if member.open => member.send(size).await,
            4 => client.read_some(size),
            5 => member.read_some(size),
            6 if size == 1 => client.finish().await,
            6 if size == 100 => member.finish().await,
            // It may have ended by now.
            7 if frames => drop(insert.send(size > 5_000)),
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
    let (up, down, inserted) = tunnel.await.expect("the tunnel ends by itself");
    assert_eq!((up, down), (member.seen.len() as u64, client.seen.len() as u64));
    if frames {
        let found = [client.take_out(&ours), member.take_out(&ours)];
        // A sender that ended inside a frame left no boundary for what was to come after.
        let may_be_short = |end: &End| end.frames.as_ref().is_some_and(|left| !left.is_empty());
        assert!(found[0] == inserted[0] || may_be_short(&member), "{found:?} {inserted:?}");
        assert!(found[1] == inserted[1] || may_be_short(&client), "{found:?} {inserted:?}");
    }
    assert!(client.seen == member.sent, "what the member sent is not what the client saw");
    let expected = [ahead, client.sent].concat();
    assert!(member.seen == expected, "what the client sent is not what the member saw");
}
