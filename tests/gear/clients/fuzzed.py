"""The echo client that the Autobahn fuzzing server tests; made of the PyPI package `websockets`."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


async def run_case(base, port, case, agent):
    """Echoes whatever the fuzzing server sends for one case.

    `base` is the server's own URL, `port` where to connect: the server answers 400 to a Host
    with another port than its own, so the gateway is told the server's.
    """
    options = {
        "host": "127.0.0.1",
        "port": port,
        "max_size": None,
        "ping_interval": None,  # pings of its own would show up in the verdicts
        "compression": None,
        "extensions": [
            # Level 0 for the same reason as in server-python.py.
            ClientPerMessageDeflateFactory(
                client_max_window_bits=True, compress_settings={"level": 0}
            )
        ],
    }
    try:
        async with connect(f"{base}/runCase?casetuple={case}&agent={agent}", **options) as socket:
            async for message in socket:
                await socket.send(message)
    except (WebSocketException, OSError, EOFError):
        pass  # breaking off is what many cases are about; the server's verdict says if rightly


async def run_cases(base, port, cases, agent, at_once):
    waiting = list(reversed(cases))

    async def work():
        while waiting:
            await run_case(base, port, waiting.pop(), agent)

    await asyncio.gather(*[work() for _ in range(at_once)])


async def write_reports(base, agent):
    """Has the server write its reports; they are complete when it closes."""
    async with connect(f"{base}/updateReports?agent={agent}", open_timeout=60) as socket:
        await asyncio.wait_for(socket.wait_closed(), 300)
