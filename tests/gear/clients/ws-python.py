#!/usr/bin/env python3
"""usage: ws-python.py URL [--sockets N] [--large BYTES] [--host NAME] [--insecure]

Exercises the echo server at URL (server-node.mjs or server-python.py, direct or through the
gateway) with the PyPI package `websockets`, and checks every byte that comes back. N sockets
(50) stay open at once; BYTES (16 MiB) is the largest message. NAME goes out as Host and SNI;
--insecure takes any certificate. Prints what failed and exits 1, or prints `ok` and exits 0.
"""

import argparse
import asyncio
import os
import ssl
import sys
from urllib.parse import urlsplit

from gear import use_venv

use_venv()

from websockets.asyncio.client import connect  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402

PATIENCE_S = 60
CHECKS = []


def check(title):
    def register(function):
        CHECKS.append((title, function))
        return function

    return register


def equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: got {str(got)[:80]!r}, wanted {str(wanted)[:80]!r}")


class Gateway:
    """Opens sockets to the URL under test."""

    def __init__(self, args):
        self.base = args.url.rstrip("/")
        self.options = {"max_size": None, "ping_interval": None}
        parts = urlsplit(self.base)
        if parts.scheme == "wss":
            context = ssl.create_default_context()
            if args.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self.options["ssl"] = context
        if args.host:
            # The URL then carries the name under test; host and port say where to go.
            self.options["host"], self.options["port"] = parts.hostname, parts.port
            self.base = f"{parts.scheme}://{args.host}"

    def open(self, path="/", **options):
        return connect(self.base + path, **self.options, **options)


@check("text comes back, empty and beyond ASCII too")
async def text(gateway, _args):
    async with gateway.open() as socket:
        for sent in ["", "hello", "Grüße, 水門 🌊", "x" * 70_000]:
            await socket.send(sent)
            equal(await socket.recv(), sent, "text")


@check("binary comes back at every length encoding")
async def binary(gateway, _args):
    async with gateway.open() as socket:
        for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_003]:
            sent = os.urandom(size)
            await socket.send(sent)
            equal(await socket.recv(), sent, f"{size} bytes")


@check("a message in fragments comes back whole")
async def fragments(gateway, _args):
    async with gateway.open() as socket:
        await socket.send(["one ", "two ", "three"])
        equal(await socket.recv(), "one two three", "fragments")


@check("a ping is answered by a pong with its payload")
async def ping(gateway, _args):
    async with gateway.open() as socket:
        # The awaited future resolves only for a pong with this very payload.
        await (await socket.ping(os.urandom(125)))


@check("a ping of the server is answered")
async def ping_of_server(gateway, _args):
    async with gateway.open("/ping") as socket:
        equal(await socket.recv(), "pong came back", "answer")


@check("the largest message comes back")
async def largest(gateway, args):
    async with gateway.open() as socket:
        sent = os.urandom(args.large)
        await socket.send(sent)
        equal(await socket.recv(), sent, f"{args.large} bytes")


@check("the subprotocol is negotiated end to end")
async def subprotocol(gateway, _args):
    async with gateway.open(subprotocols=["chat.v2", "chat.v1"]) as socket:
        equal(socket.subprotocol, "chat.v2", "subprotocol")
    async with gateway.open() as socket:
        equal(socket.subprotocol, None, "subprotocol")


@check("close codes and reasons pass in both directions")
async def close_codes(gateway, _args):
    for code, reason in [(1000, ""), (3000, "registered"), (4999, "own use")]:
        socket = await gateway.open()
        await socket.close(code, reason)
        equal((socket.close_code, socket.close_reason), (code, reason), "close of ours")
    for code in [1001, 1011, 4001]:
        socket = await gateway.open(f"/close/{code}")
        try:
            await socket.recv()
            raise AssertionError("a message came where a close was due")
        except ConnectionClosed:
            equal((socket.close_code, socket.close_reason), (code, "as asked"), "close of theirs")


@check("many sockets at once keep their messages apart and in order")
async def many(gateway, args):
    sockets = await asyncio.gather(*[gateway.open() for _ in range(args.sockets)])

    async def talk(index, socket):
        sent = [f"{index}:{step}" for step in range(50)]
        for message in sent:
            await socket.send(message)
        for message in sent:
            equal(await socket.recv(), message, "order")

    await asyncio.gather(*[talk(index, socket) for index, socket in enumerate(sockets)])
    await asyncio.gather(*[socket.close() for socket in sockets])


async def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("url")
    parser.add_argument("--sockets", type=int, default=50)
    parser.add_argument("--large", type=int, default=16 * 1024 * 1024)
    parser.add_argument("--host")
    parser.add_argument("--insecure", action="store_true")
    args = parser.parse_args()
    gateway = Gateway(args)
    failed = 0
    for title, function in CHECKS:
        try:
            await asyncio.wait_for(function(gateway, args), PATIENCE_S)
        except Exception as error:  # whatever went wrong is the finding; the rest still runs
            failed += 1
            print(f"FAILED {title}: {type(error).__name__}: {error}")
    print(f"{failed} failed" if failed else f"ok: {len(CHECKS)} checks")
    sys.exit(1 if failed else 0)


asyncio.run(main())
