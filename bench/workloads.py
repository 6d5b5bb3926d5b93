"""The workloads. Each takes a Run and returns (figure, operations, what else was seen)."""

import dataclasses
import re
import socket
import ssl
import subprocess
import time

import measure
from proxies import HOST

WORKLOADS = {}
# What a workload's figure is, for reports. CPU time per operation is what to compare, except
# for the idle ones, whose figure is bytes a tunnel.
UNITS = {}


@dataclasses.dataclass
class Run:
    """What a workload runs against."""

    pid: int | None  # None: no proxy, straight to the back end
    port: int
    tls_port: int
    seconds: float
    idle: int  # how many idle tunnels
    wsload: str


def workload(unit):
    def register(function):
        WORKLOADS[function.__name__] = function
        UNITS[function.__name__] = unit
        return function

    return register


def on_core_1(words):
    return ["taskset", "-c", "1", *[str(word) for word in words]]


def output(*words):
    # A load that breaks off shows in what it says, or does not say.
    return subprocess.run(on_core_1(words), capture_output=True, text=True, check=False).stdout


def number(pattern, text):
    found = re.search(pattern, text)
    return float(found.group(1)) if found else float("nan")




@workload("bytes/tunnel")
def ws_idle(run):
    before = measure.memory_kib(run.pid)
    command = [run.wsload, "idle", "127.0.0.1", run.port, HOST, run.idle, 3]
    load = subprocess.Popen(on_core_1(command), stdout=subprocess.PIPE, text=True)
    load.stdout.readline()  # all are open
    time.sleep(1.5)
    grown = measure.memory_kib(run.pid) - before
    alive = load.stdout.read().strip()
    load.wait()
    return grown * 1024 / run.idle, run.idle, {"alive": alive, "base_MiB": round(before / 1024, 1)}


UPGRADE = (
    "GET /chat HTTP/1.1\r\n"
    f"Host: {HOST}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)


@workload("bytes/tunnel")
def wss_idle(run):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    count = min(run.idle, 2000)
    before = measure.memory_kib(run.pid)
    held = []
    for _ in range(count):
        plain = socket.create_connection(("127.0.0.1", run.tls_port))
        tunnel = context.wrap_socket(plain, server_hostname=HOST)
        tunnel.sendall(UPGRADE.encode())
        if not tunnel.recv(4096).startswith(b"HTTP/1.1 101"):
            return float("nan"), 1, {"error": "no 101"}
        held.append(tunnel)
    time.sleep(1.5)
    grown = measure.memory_kib(run.pid) - before
    for tunnel in held:
        tunnel.close()
    return grown * 1024 / count, count, {}


def message_load(run, connections, size, window):
    said = output(
        run.wsload, "load", "127.0.0.1", run.port, HOST, connections, size, run.seconds, window
    )
    extra = {name: number(rf"{name} (\S+)", said) for name in ("p99_us", "MiB_s")}
    return number(r"per_s (\S+)", said), number(r"msgs (\S+)", said), extra


@workload("messages/s")
def ws_small(run):
    return message_load(run, connections=64, size=128, window=1)


@workload("messages/s")
def ws_bulk(run):
    return message_load(run, connections=8, size=65536, window=4)


@workload("handshakes/s")
def ws_shake(run):
    said = output(run.wsload, "shake", "127.0.0.1", run.port, HOST, run.seconds)
    failed = {"failed": number(r"failed (\S+)", said)}
    return number(r"per_s (\S+)", said), number(r"handshakes (\S+)", said), failed


def whole_seconds(run):
    """What wrk and h2load take; to them 0 is no time at all, or no limit."""
    return max(1, round(run.seconds))


def wrk(run, url):
    said = output("wrk", "-t1", "-c64", f"-d{whole_seconds(run)}s", "--latency", url)
    p99 = re.search(r"99%\s+(\S+)", said)
    # wrk says nothing of these where there are none.
    errors = re.search(r"(Socket errors|Non-2xx).*", said)
    extra = {"p99": p99.group(1) if p99 else "?", "errors": errors.group() if errors else ""}
    return number(r"Requests/sec:\s+(\S+)", said), number(r"(\d+) requests in", said), extra


@workload("requests/s")
def http(run):
    return wrk(run, f"http://127.0.0.1:{run.port}/")


@workload("requests/s")
def https(run):
    return wrk(run, f"https://{HOST}:{run.tls_port}/")


@workload("requests/s")
def h2(run):
    said = output(
        *["h2load", "-c8", "-m32", "-D", whole_seconds(run), "--warm-up-time=0"],
        f"https://{HOST}:{run.tls_port}/",
    )
    rate = number(r"finished in \S+, (\S+) req/s", said)
    return rate, number(r"(\d+) succeeded", said), {"failed": number(r"(\d+) failed", said)}


# Those that need a process that has not grown its heap yet.
FRESH = {"ws_idle", "wss_idle"}
# Those that need a proxy: what they measure is the proxy's memory, or its TLS.
NEEDS_PROXY = {"ws_idle", "wss_idle", "https", "h2"}
