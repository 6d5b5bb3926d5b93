#!/usr/bin/env python3
"""usage: grpc-server.py PORT [--cert FILE --key FILE] [--health-only-after SECONDS]

A gRPC server with four methods, as gRPC has them: Unary, ClientStream, ServerStream, BidiStream, whose
messages are bytes; and Fail, Slow and Large. Its health is that of grpc.health.v1. Prints a line when it listens.
"""
import argparse
import concurrent.futures
import threading
import time

from gear import use_venv

use_venv()

import grpc  # noqa: E402

SERVICE = "tidegate.Echo"


def unary(request, context):
    context.set_trailing_metadata((("x-trailer", "unary"),))
    return request[::-1]


def client_stream(requests, context):
    return b",".join(requests)


def server_stream(request, context):
    for count in range(int(request)):
        yield str(count).encode()
    context.set_trailing_metadata((("x-trailer", "server"),))


def bidi_stream(requests, context):
    # One answer for each, before the next is there.
    for request in requests:
        yield request.upper()


def fail(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as told")


CANCELLED = threading.Event()


def slow(request, context):
    context.add_callback(CANCELLED.set)
    while context.is_active():
        time.sleep(0.05)
    return b""


def was_cancelled(request, context):
    return b"yes" if CANCELLED.wait(10) else b"no"


def large(request, context):
    return bytes(int(request))


def check(request, context):
    # HealthCheckRequest{service = 1}: a tag, a length, and the name.
    name = request[2:].decode() if request else ""
    if name not in ("", SERVICE, "down"):
        context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    # HealthCheckResponse{status = 1}: 1 is SERVING, 2 is NOT_SERVING.
    return bytes([8, 2 if name == "down" else 1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    # Connections are told to go after this.
    parser.add_argument("--max-age", type=int)
    args = parser.parse_args()
    options = []
    if args.max_age:
        options = [("grpc.max_connection_age_ms", args.max_age), ("grpc.max_connection_age_grace_ms", 60000)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=options)
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
        "BidiStream": grpc.stream_stream_rpc_method_handler(bidi_stream),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Slow": grpc.unary_unary_rpc_method_handler(slow),
        "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
        "Large": grpc.unary_unary_rpc_method_handler(large),
    }
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler(SERVICE, methods),
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
    ))
    address = f"127.0.0.1:{args.port}"
    if args.cert:
        with open(args.key, "rb") as key, open(args.cert, "rb") as cert:
            credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
        server.add_secure_port(address, credentials)
    else:
        server.add_insecure_port(address)
    server.start()
    print(f"listening on {address}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
