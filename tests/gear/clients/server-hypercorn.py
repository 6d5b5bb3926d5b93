#!/usr/bin/env python3
"""usage: server-hypercorn.py PORT --cert FILE --key FILE

WebSocket echo server made of the PyPI package `hypercorn`, over TLS: HTTP/2 with extended CONNECT
(RFC 8441) for those that offer it by ALPN, else HTTP/1.1. Prints `listening PORT` once it serves.
  GET anything    200, so that health probes pass
  /               echoes every message; takes the first subprotocol offered
  /close/CODE     closes at once with CODE and the reason `as asked`
"""

import argparse
import asyncio

from gear import use_venv

use_venv()

from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402


async def application(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hypercorn\n"})
        return
    if scope["type"] != "websocket":
        return
    await receive()
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
    _, action, *rest = scope["path"].split("/")
    if action == "close":
        await send({"type": "websocket.close", "code": int(rest[0]), "reason": "as asked"})
        return
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


async def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    args = parser.parse_args()
    config = Config()
    config.bind = [f"127.0.0.1:{args.port}"]
    config.certfile, config.keyfile = args.cert, args.key
    config.alpn_protocols = ["h2", "http/1.1"]
    config.websocket_max_message_size = 128 * 1024 * 1024
    config.loglevel = "CRITICAL"

    async def say():
        # Hypercorn binds before it serves, and says nothing to be waited for.
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", args.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            print("listening", args.port, flush=True)
            return

    saying = asyncio.create_task(say())
    await serve(application, config)
    await saying


asyncio.run(main())
