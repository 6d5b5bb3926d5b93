#!/usr/bin/env python3
"""Puts the same load on one proxy after the other, all on loopback, and compares their cost.

NAME is direct (no proxy), haproxy, nginx, envoy, traefik, caddy, ours, or limited (ours with every
limit of WebSockets and pings). The proxy runs on core 0, the back end and the load on core 1. Printed for each workload: throughput, and the
proxy's own processor time per operation, which stays comparable where the load side is what
limits. bench/run does all of it in one command; by hand, for example:

  perf.py --ours "target/release/tidegate serve --bind 127.0.0.1 --threads 1 \\
      --admin 127.0.0.1:9440 {DIR}/ours.yaml" ours haproxy nginx
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import measure
import proxies
from workloads import FRESH, NEEDS_PROXY, WORKLOADS, Run

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
PEERS = CACHE / "tidegate-bench" / "venv" / "bin"
BACKEND_PORT = 19800
FIRST_PORT = 19000


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("names", nargs="+", metavar="NAME")
    add("--secs", type=float, default=5, help="length of each timed workload (5)")
    add("--only", default="", help="workloads, by commas: " + ",".join(WORKLOADS))
    add("--idle", type=int, default=5000, help="idle tunnels (5000; at most 9900)")
    add("--rounds", type=int, default=1, help="how often, proxies in turn (1)")
    add("--peers", default=os.environ.get("PEERS_BIN", str(PEERS)), help=f"folder ({PEERS})")
    add("--dir", default=os.path.join(tempfile.gettempdir(), "tidegate-bench"), help="work folder")
    add("--ours", default="", help="command that starts the project")
    add("--ours-config", default=str(HERE / "gateway.yaml"), help="template of {DIR}/ours.yaml")
    add("--json", default="", help="file for the results")
    args = parser.parse_args()
    unknown = [name for name in args.only.split(",") if name and name not in WORKLOADS]
    if unknown:
        parser.error(f"no such workload: {', '.join(unknown)}")
    if {"ours", "limited"} & set(args.names) and not args.ours:
        parser.error("ours and limited need --ours COMMAND")
    return args


@contextlib.contextmanager
def alone():
    """Lets one run at a time: a second would share cores and ports, and spoil both."""
    with open(os.path.join(tempfile.gettempdir(), "tidegate-bench.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another perf.py is running: wait for it")
        yield


def build_wsload(folder):
    program = folder / "wsload"
    sources = sorted((HERE / "load").glob("*.c"))
    try:
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-o", program, *sources], check=True)
    except FileNotFoundError:
        sys.exit("no gcc found: run bench/install")
    return program


def operation_cost(run, function):
    """Runs one workload; (figure, CPU microseconds per operation, what else was seen)."""
    before = measure.cpu_seconds(run.pid) if run.pid else 0
    figure, operations, extra = function(run)
    after = measure.cpu_seconds(run.pid) if run.pid else 0
    return figure, (after - before) / operations * 1e6 if operations else float("nan"), extra


def run_proxy(name, index, args, started, wsload, results):
    direct = name == "direct"
    port = BACKEND_PORT if direct else FIRST_PORT + 2 * index
    process = None
    try:
        for title in args.only.split(",") if args.only else WORKLOADS:
            if direct and title in NEEDS_PROXY:
                continue
            if process and title in FRESH:
                proxies.stop(process)
                process = None
            if not direct and not process:
                process = started.start(name, port, port + 1)
            pid = process.pid if process else None
            run = Run(pid, port, port + 1, args.secs, args.idle, wsload)
            figure, cost, extra = operation_cost(run, WORKLOADS[title])
            results.setdefault(title, {}).setdefault(name, []).append([figure, cost, extra])
            print(f"{title:9} {name:8} {figure:12.0f}  cpu_us/op {cost:8.2f}  {extra}", flush=True)
    finally:
        if process:
            proxies.stop(process)


def compare(args):
    folder = pathlib.Path(args.dir)
    folder.mkdir(parents=True, exist_ok=True)
    wsload = build_wsload(folder)
    started = proxies.Proxies(folder, args.peers, BACKEND_PORT, args.ours, args.ours_config)
    results = {}
    echo = subprocess.Popen(["taskset", "-c", "1", wsload, "echo", str(BACKEND_PORT)])
    try:
        if not proxies.wait_for_port(echo, BACKEND_PORT) or echo.poll() is not None:
            sys.exit(f"the back end did not start: is port {BACKEND_PORT} taken?")
        for _ in range(args.rounds):
            for index, name in enumerate(args.names):
                run_proxy(name, index, args, started, wsload, results)
    finally:
        echo.kill()
        echo.wait()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1) + "\n")


def main():
    args = arguments()
    with alone():
        compare(args)


main()
