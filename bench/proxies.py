"""Starts the proxies under test, each on core 0 with one worker, from the templates in peers/.

Names in braces in a template (and in --ours) are filled in: PORT TLS (where to listen), BE (the
back end's port), HOST, CRT KEY PEM (files), CRT_JSON KEY_JSON (their text), DIR (a folder), LIMITS
(settings of `limited`).
"""

import os
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# A name that needs no entry in /etc/hosts and yet goes out as SNI, which Caddy insists on.
HOST = "localhost"
# Every limit of a tunnel that this load can keep to, and pings.
LIMITS = (
    ", webSocket: {handshakeTimeoutInSec: 30, idleTimeoutInSec: 3600, maxLifetimeInSec: 86400, "
    "maxFrameSizeInBytes: 1048576, maxMessageSizeInBytes: 1048576, maxMessagesPerSecond: 1000000, "
    "maxTunnelsPerRule: 100000, maxTunnelsPerMember: 100000, maxTunnelsPerClient: 100000, "
    "ping: {intervalInSec: 30, timeoutInSec: 20}, tcpUserTimeoutInSec: 60}"
)
# As many as most systems allow; the same for every proxy, so that none grows bigger tables.
DESCRIPTORS = 20_000


def make_certificate(folder):
    key, certificate = folder / "key.pem", folder / "crt.pem"
    if key.exists():
        return
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"]
    command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", f"/CN={HOST}"]
    command += ["-addext", f"subjectAltName=DNS:{HOST},IP:127.0.0.1"]
    command += ["-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    # HAProxy wants both in one file.
    (folder / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())


class Proxies:
    """Knows how to start each proxy by its name."""

    def __init__(self, folder, peers, backend_port, ours, ours_config):
        self.folder, self.ours, self.ours_config = folder, ours, ours_config
        self.peers = pathlib.Path(peers) if peers else None
        make_certificate(folder)
        self.names = {
            "BE": backend_port,
            "HOST": HOST,
            "CRT": folder / "crt.pem",
            "KEY": folder / "key.pem",
            "PEM": folder / "both.pem",
            "DIR": folder,
            "CRT_JSON": (folder / "crt.pem").read_text().replace("\n", "\\n"),
            "KEY_JSON": (folder / "key.pem").read_text().replace("\n", "\\n"),
        }

    def fill(self, text, ports):
        for name, value in {**self.names, **ports}.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def render(self, template, ports, name=None):
        target = self.folder / (name or template.name)
        target.write_text(self.fill(template.read_text(), ports))
        return target

    def peer(self, program):
        return self.peers / program if self.peers else program

    def command(self, name, ports):
        """The command line that starts a proxy, its configuration written."""

        def config(template):
            return self.render(HERE / "peers" / template, ports)

        if name == "haproxy":
            return ["haproxy", "-db", "-f", config("haproxy.cfg")]
        if name == "nginx":
            return ["nginx", "-p", self.folder, "-c", config("nginx.conf")]
        if name == "envoy":
            command = [self.peer("envoy"), "--concurrency", "1", "--disable-hot-restart"]
            return [*command, "-l", "error", "-c", config("envoy.yaml")]
        if name == "traefik":
            config("traefik-dyn.yaml")
            return [self.peer("traefik"), f"--configfile={config('traefik.yaml')}"]
        if name == "caddy":
            command = [self.peer("caddy"), "run", "--adapter", "caddyfile"]
            return [*command, "--config", config("Caddyfile")]
        if name in ("ours", "limited"):
            ports = {**ports, "LIMITS": LIMITS if name == "limited" else ""}
            self.render(pathlib.Path(self.ours_config), ports, "ours.yaml")
            return shlex.split(self.fill(self.ours, ports))
        sys.exit(f"no proxy is called {name}: see perf.py --help")

    def start(self, name, port, tls_port):
        command = self.command(name, {"PORT": port, "TLS": tls_port})
        limit = ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
        command = ["taskset", "-c", "0", *limit, *[str(word) for word in command]]
        # One worker for the Go programs too; Caddy also keeps state in its home.
        environment = {**os.environ, "GOMAXPROCS": "1", "HOME": str(self.folder)}
        log = self.folder / f"{name}.log"
        with open(log, "w") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        if not wait_for_port(process, port):
            stop(process)
            sys.exit(f"{name} did not start: see {log}. bench/install installs the peers")
        # Lets what a proxy does right after its start (probes, reading ahead) settle.
        time.sleep(0.5)
        return process


def wait_for_port(process, port):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return True
        except OSError:
            time.sleep(0.1)
    return False


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    time.sleep(0.3)
