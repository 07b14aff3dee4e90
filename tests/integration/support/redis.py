# SPDX-License-Identifier: Apache-2.0
"""A real redis-server on a free port, what it is asked, and a peer that answers in its place, badly."""
import json
import os
import signal
import socket
import ssl
import subprocess
import threading

from .ports import free_port
from .wait import SCALE, wait_for


class RedisError(Exception):
    """An error reply."""


class Client:
    """The protocol's few lines: one command, one reply."""

    def __init__(self, port, password=None, user=None, tls=None, timeout=30):
        sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock = tls.wrap_socket(sock, server_hostname="localhost") if tls else sock
        self.stream = self.sock.makefile("rb")
        if password is not None:
            self("AUTH", *([user] if user else []), password)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.stream.close()
        self.sock.close()

    def __call__(self, *args):
        self.send(*args)
        return self.reply()

    def send(self, *args):
        parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def reply(self):
        line = self.stream.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.reply() for _ in range(int(rest))]
        return rest.decode()


class Redis:
    """One redis-server with a folder of its own; start() after stop() or kill() has its data again (appendonly, every
    command synced, unless told otherwise)."""

    def __init__(self, directory, *args, port=None, password=None, tls=None, client_tls=None, durable=True):
        self.directory, self.port = str(directory), port or free_port()
        self.args, self.password, self.tls, self.client_tls = list(args), password, tls, client_tls
        self.durable = durable
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.kill()

    def command(self):
        port = ["--port", "0", "--tls-port"] if self.tls else ["--port"]
        out = ["redis-server", *port, str(self.port), "--bind", "127.0.0.1", "--dir", self.directory, "--save", "",
               "--daemonize", "no"]
        if self.durable:
            out += ["--appendonly", "yes", "--appendfsync", "always"]
        if self.password:
            out += ["--requirepass", self.password]
        if self.tls:
            cert, key, ca, clients = self.tls
            out += ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", clients]
        return out + self.args

    def start(self):
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._ready, 20, "redis-server to be ready")
        return self

    def _ready(self):
        assert self.process.poll() is None, f"redis-server ended:\n{self.log()[-2000:]}"
        try:
            with self.client() as c:
                return c("PING") == "PONG"
        except RedisError as e:
            return "NOPERM" in str(e)
        except OSError:
            return False

    def log(self):
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20 * SCALE)
            self.process = None

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self):
        """It hangs: connections are made (by the system), nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    # -- asking ------------------------------------------------------------------
    def client(self):
        return Client(self.port, self.password, tls=self.client_tls)

    def __call__(self, *args):
        with self.client() as c:
            return c(*args)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def hash(self, key="events"):
        """field -> record"""
        flat = self("HGETALL", key)
        return {f.decode(): json.loads(v)["Records"][0] for f, v in zip(flat[::2], flat[1::2])}

    def list(self, key="events"):
        """The records, in order."""
        return [Item(v) for v in self("LRANGE", key, 0, -1)]

    def wait_hash(self, fields, deadline=20, key="events"):
        """Waits until exactly these fields are there."""
        wait_for(lambda: {f.decode() for f in self("HKEYS", key)} == set(fields), deadline, f"the fields {fields}")
        return self.hash(key)

    def wait_list(self, n, deadline=20, key="events"):
        wait_for(lambda: self("LLEN", key) >= n, deadline, f"{n} items")
        return self.list(key)


class Item:
    """One item of a list in format access."""

    def __init__(self, data):
        (outer,) = json.loads(data)
        assert list(outer) == ["Event", "EventTime"] and len(outer["Event"]) == 1
        self.data, self.record = data, outer["Event"][0]
        assert outer["EventTime"] == self.record["eventTime"]
        self.event = self.record["eventName"]
        thing = self.record["s3"]
        self.key = f'{thing["bucket"]["name"]}/{thing["object"]["key"]}'
        self.sequencer = thing["object"]["sequencer"]


def redis_env(redis_or_address, target_id="1", **keys):
    """Environment of one Redis target; keys such as format, password, tls."""
    address = redis_or_address if isinstance(redis_or_address, str) else redis_or_address.address
    keys = {"address": address, "key": "events", "format": "namespace", **keys}
    suffix = f"_{target_id}" if target_id else ""
    env = {f"MINIO_NOTIFY_REDIS_ENABLE{suffix}": "on"}
    env.update({f"MINIO_NOTIFY_REDIS_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
    return env


class Impostor:
    """Answers every connection's bytes with `answer`; None: never. over: stop being one."""

    def __init__(self, port, answer):
        self.answer, self.connections = answer, 0
        self._open, self.over = [], threading.Event()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self._open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self._open.append(sock)
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            while sock.recv(65536):
                if self.answer is not None:
                    sock.sendall(self.answer)
        except OSError:
            pass


def client_context(authority, cert=None, key=None):
    context = ssl.create_default_context(cafile=authority.cert)
    if cert:
        context.load_cert_chain(cert, key)
    return context
