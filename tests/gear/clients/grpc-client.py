#!/usr/bin/env python3
"""usage: grpc-client.py HOST:PORT --cert FILE [--check CHECK...]

Calls grpc-server.py through a gateway that shows this certificate: every kind of call, trailers, status
codes, deadlines, cancelling, and many calls at once on one connection.
"""
import argparse
import concurrent.futures
import queue
import time

from gear import use_venv

use_venv()

import grpc  # noqa: E402

SERVICE = "/tidegate.Echo/"


def method(channel, kind, name):
    return getattr(channel, kind)(SERVICE + name, request_serializer=None, response_deserializer=None)


def expect(what, got, expected):
    if got != expected:
        raise SystemExit(f"{what}: {got!r}, not {expected!r}")


def code_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


def unary(channel):
    call = method(channel, "unary_unary", "Unary")
    expect("unary", call(b"abc", timeout=10), b"cba")
    answer, its = call.with_call(b"abc", timeout=10, metadata=(("x-own", "1"),))
    expect("trailers", dict(its.trailing_metadata())["x-trailer"], "unary")
    expect("an empty message", call(b"", timeout=10), b"")


def client_stream(channel):
    call = method(channel, "stream_unary", "ClientStream")
    expect("client stream", call(iter([b"a", b"b", b"c"]), timeout=10), b"a,b,c")


def server_stream(channel):
    call = method(channel, "unary_stream", "ServerStream")
    stream = call(b"100", timeout=10)
    expect("server stream", [int(part) for part in stream], list(range(100)))
    expect("its trailers", dict(stream.trailing_metadata())["x-trailer"], "server")


def bidi(channel):
    # What is answered decides when the next is asked: neither side waits for the other's end.
    asked = queue.Queue()
    call = method(channel, "stream_stream", "BidiStream")
    stream = call(iter(asked.get, None), timeout=20)
    for text in (b"one", b"two", b"three"):
        asked.put(text)
        expect("bidirectional stream", next(stream), text.upper())
        time.sleep(0.05)
    asked.put(None)
    expect("its end", list(stream), [])
    expect("its status", stream.code(), grpc.StatusCode.OK)


def status(channel):
    call = method(channel, "unary_unary", "Fail")
    expect("status", code_of(lambda: call(b"", timeout=10)), (grpc.StatusCode.FAILED_PRECONDITION, "as told"))
    call = method(channel, "unary_unary", "Nothing")
    expect("no such method", code_of(lambda: call(b"", timeout=10))[0], grpc.StatusCode.UNIMPLEMENTED)


def cancel(channel):
    slow = method(channel, "unary_unary", "Slow")
    future = slow.future(b"")
    # It has to be under way before it is cancelled.
    expect("deadline", code_of(lambda: slow(b"", timeout=0.5))[0], grpc.StatusCode.DEADLINE_EXCEEDED)
    future.cancel()
    call = method(channel, "unary_unary", "WasCancelled")
    expect("the member hears of it", call(b"", timeout=15), b"yes")


def large(channel):
    call = method(channel, "unary_unary", "Large")
    expect("a large answer", len(call(b"3000000", timeout=30)), 3000000)
    call = method(channel, "unary_unary", "Unary")
    expect("a large question", len(call(bytes(3000000), timeout=30)), 3000000)


def many(channel):
    call = method(channel, "unary_unary", "Unary")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        texts = [str(count).encode() for count in range(500)]
        answers = list(pool.map(lambda text: call(text, timeout=30), texts))
    expect("many calls", answers, [text[::-1] for text in texts])


def goaway(channel):
    # The member tells its connections to go again and again; no call may fail.
    call = method(channel, "unary_unary", "Unary")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        expect("a call while connections go", call(b"ab", timeout=10), b"ba")


CHECKS = {f.__name__: f for f in (unary, client_stream, server_stream, bidi, status, cancel, large, many, goaway)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--cert", required=True)
    parser.add_argument("--check", nargs="*", default=[name for name in CHECKS if name != "goaway"])
    args = parser.parse_args()
    with open(args.cert, "rb") as cert:
        credentials = grpc.ssl_channel_credentials(cert.read())
    options = (("grpc.ssl_target_name_override", "localhost"), ("grpc.max_receive_message_length", -1))
    with grpc.secure_channel(args.address, credentials, options) as channel:
        for name in args.check:
            CHECKS[name](channel)
            print(f"ok: {name}")


if __name__ == "__main__":
    main()
