#!/usr/bin/env python3
"""usage: http3.py HOST:PORT [--sockets N] [--post]

Speaks HTTP/3 to a gateway in front of an echo server, with the PyPI packages `aioquic` and
`wsproto`, all on one connection: a page, with --post one whose request has a body, and N WebSockets
at once (RFC 9220; 20 unless told) with text, binary, fragments, a ping, 1 MiB, and Close. Takes any
certificate. Prints what it did, exits 1 at the first thing that is not as it should be.
"""

import argparse
import asyncio
import ssl
import sys

from gear import use_venv

use_venv()

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection, Setting
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

PATIENCE = 60


class Http3(QuicConnectionProtocol):
    """A connection, whose streams have queues of what comes on them."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.http = H3Connection(self._quic)
        self.streams = {}

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for queue in self.streams.values():
                queue.put_nowait(ConnectionError(f"closed: {event}"))
        elif isinstance(event, StreamReset) and event.stream_id in self.streams:
            self.streams[event.stream_id].put_nowait(ConnectionError(f"reset: {event}"))
        for happened in self.http.handle_event(event):
            if isinstance(happened, (HeadersReceived, DataReceived)):
                self.streams[happened.stream_id].put_nowait(happened)

    def begin(self, method, authority, path, fields=(), ends=False):
        stream = self._quic.get_next_available_stream_id()
        self.streams[stream] = asyncio.Queue()
        head = {":method": method, ":scheme": "https", ":authority": authority, ":path": path}
        self.http.send_headers(
            stream, [(k.encode(), v.encode()) for k, v in [*head.items(), *fields]], end_stream=ends
        )
        self.transmit()
        return stream

    def send(self, stream, data, ends=False):
        self.http.send_data(stream, data, end_stream=ends)
        self.transmit()

    async def next(self, stream):
        event = await asyncio.wait_for(self.streams[stream].get(), PATIENCE)
        if isinstance(event, Exception):
            raise event
        return event

    async def head(self, stream):
        event = await self.next(stream)
        assert isinstance(event, HeadersReceived), event
        return {name.decode(): value.decode() for name, value in event.headers}, event.stream_ended

    async def answer(self, stream):
        head, ended = await self.head(stream)
        body = b""
        while not ended:
            event = await self.next(stream)
            body += getattr(event, "data", b"")
            ended = event.stream_ended
        return head, body


class Socket:
    """A WebSocket on a stream."""

    @classmethod
    async def open(cls, http, authority):
        self = cls()
        self.http, self.frames, self.events = http, Connection(ConnectionType.CLIENT), []
        fields = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
        self.stream = http.begin("CONNECT", authority, "/chat", fields)
        head, _ = await http.head(self.stream)
        assert head[":status"] == "200", head
        assert "sec-websocket-accept" not in head and "upgrade" not in head, head
        return self

    def send(self, event):
        self.http.send(self.stream, self.frames.send(event))

    async def next(self):
        while not self.events:
            event = await self.http.next(self.stream)
            self.frames.receive_data(event.data or (None if event.stream_ended else b""))
            self.events.extend(self.frames.events())
        return self.events.pop(0)

    async def message(self):
        parts = []
        while True:
            event = await self.next()
            assert isinstance(event, (TextMessage, BytesMessage)), event
            parts.append(event.data)
            if event.message_finished:
                return parts[0][:0].join(parts)


async def converse(http, authority, number):
    socket = await Socket.open(http, authority)
    socket.send(TextMessage(f"socket {number} says häßlich"))
    assert await socket.message() == f"socket {number} says häßlich"
    socket.send(BytesMessage(bytes(range(256)), message_finished=False))
    socket.send(BytesMessage(b"and more"))
    assert await socket.message() == bytes(range(256)) + b"and more"
    socket.send(Ping(b"there?"))
    answer = await socket.next()
    assert isinstance(answer, Pong) and bytes(answer.payload) == b"there?", answer
    if number == 0:
        large = bytes(index * 7 % 251 for index in range(1 << 20))
        socket.send(BytesMessage(large))
        assert await socket.message() == large
    socket.send(CloseConnection(1000, "done"))
    answer = await socket.next()
    assert isinstance(answer, CloseConnection) and answer.code == 1000, answer


async def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("address")
    parser.add_argument("--sockets", type=int, default=20)
    parser.add_argument("--post", action="store_true")
    arguments = parser.parse_args()
    host, port = arguments.address.rsplit(":", 1)
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, server_name="localhost", verify_mode=ssl.CERT_NONE
    )
    authority = f"localhost:{port}"
    connecting = connect(host, int(port), configuration=configuration, create_protocol=Http3)
    async with connecting as http:
        head, body = await http.answer(http.begin("GET", authority, "/page", ends=True))
        assert head[":status"] == "200" and body, (head, body)
        assert http.http.received_settings[Setting.ENABLE_CONNECT_PROTOCOL] == 1
        if arguments.post:
            stream = http.begin("POST", authority, "/page")
            http.send(stream, b"x" * 100_000)
            http.send(stream, b"", ends=True)
            head, body = await http.answer(stream)
            assert head[":status"] == "200" and body, (head, body)
        await asyncio.gather(
            *[converse(http, authority, number) for number in range(arguments.sockets)]
        )
    print(f"ok: pages and {arguments.sockets} WebSockets")


sys.exit(asyncio.run(main()))
