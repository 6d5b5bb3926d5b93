#!/usr/bin/env python3
"""usage: server-python.py PORT [--name NAME]

WebSocket echo server made of the PyPI package `websockets`. Port 0 takes a free one. Prints
`listening PORT` once it serves, and lives until it is killed.
  GET anything    200 with NAME, so that health probes pass
  /               echoes every message; takes the first subprotocol offered
  /close/CODE     closes at once with CODE and the reason `as asked`
  /ping           pings the client and sends the text `pong came back` when it answers
"""

import argparse
import asyncio
import http
import logging
import sys

from gear import use_venv

use_venv()

from websockets.asyncio.server import serve  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.extensions.permessage_deflate import (  # noqa: E402
    ServerPerMessageDeflateFactory,
)


async def handle(socket):
    _, action, *rest = socket.request.path.split("/")
    if action == "close":
        await socket.close(int(rest[0]), "as asked")
        return
    try:
        if action == "ping":
            await (await socket.ping("from server"))
            await socket.send("pong came back")
        async for message in socket:
            await socket.send(message)
    except ConnectionClosed:
        pass  # a client that breaks off is the client's test, not ours


def first_offered(_socket, offered):
    return offered[0] if offered else None


async def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--name", default="python")
    args = parser.parse_args()

    def answer_probe(connection, request):
        if "Upgrade" not in request.headers:
            return connection.respond(http.HTTPStatus.OK, f"{args.name}\n")
        return None

    # A handshake that the fuzzer or a probe breaks off would otherwise print a stack trace.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    try:
        server = await serve(
            handle,
            "127.0.0.1",
            args.port,
            process_request=answer_probe,
            select_subprotocol=first_offered,
            extensions=[
                # The fuzzer's cases 12 and 13 move gigabytes. What they test does not depend on
                # how well the answer is compressed, but their duration does: 0 only packs it.
                ServerPerMessageDeflateFactory(compress_settings={"level": 0})
            ],
            max_size=None,  # the fuzzer and the large-message check send what they like
            ping_interval=None,  # pings of its own would show up in the fuzzer's verdicts
        )
    except OSError as error:
        sys.exit(f"cannot listen on 127.0.0.1:{args.port}: {error}; give another PORT")
    print("listening", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
