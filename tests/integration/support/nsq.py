# SPDX-License-Identifier: Apache-2.0
"""A consumer of nsqd, nsq_tail, and the authorization server that an nsqd may ask."""
import contextlib
import http.server
import json
import os
import socket
import struct
import subprocess
import threading
import urllib.parse
import urllib.request

from .brokers import prefix
from .wait import SCALE, wait_for


class Message:
    """One message of a topic: what a consumer sees of it."""

    def __init__(self, body):
        self.body = body
        self.envelope = json.loads(body)
        (self.record,) = self.envelope["Records"]
        self.event, self.key = self.envelope["EventName"], self.envelope["Key"]
        self.sequencer = self.record["s3"]["object"]["sequencer"]


class Nsq:
    """A broker of the fixture start_broker."""

    def __init__(self, broker):
        self.broker, self.port = broker, broker.port

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def http(self, path, body=None):
        url = f"http://127.0.0.1:{self.port + 1}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=20 * SCALE) as r:
            return r.read()

    def topic(self, name):
        """What nsqd counts of a topic; None: it is not there."""
        topics = json.loads(self.http(f"/stats?format=json&topic={urllib.parse.quote(name)}"))["topics"]
        return topics[0] if topics else None

    def finished(self, topic, channel="test", deadline=20):
        """Waits until nsqd knows that the channel's consumer is done with all it got: what it does not know, it sends again."""
        def done():
            found = [c for c in self.topic(topic)["channels"] if c["channel_name"] == channel]
            return found and not any(found[0][k] for k in ("depth", "in_flight_count", "deferred_count"))
        wait_for(done, deadline, "nsqd to hear that all was finished")

    def clients(self):
        return [p for p in json.loads(self.http("/stats?format=json"))["producers"] or []]

    @contextlib.contextmanager
    def subscribe(self, topic, channel="test"):
        """From the first message on, whenever it was sent: a topic keeps what no channel has asked for."""
        consumer = Consumer(self.port, topic, channel)
        try:
            yield consumer
        finally:
            consumer.close()

    def tail(self, topic, number):
        """What the guide's consumer prints: so many messages."""
        done = subprocess.run([os.path.join(prefix(), "bin", "nsq_tail"), "-nsqd-tcp-address", self.address, "-topic", topic,
                               "-channel", "tail", "-n", str(number)],
                              capture_output=True, text=True, timeout=60 * SCALE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


class Consumer:
    def __init__(self, port, topic, channel):
        self.messages, self.lock = [], threading.Lock()
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=None)
        self.sock.sendall(b"  V2SUB %s %s\nRDY 1000\n" % (topic.encode(), channel.encode()))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _take(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise OSError("closed")
            data += more
        return data

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                size, kind = struct.unpack(">II", self._take(8))
                data = self._take(size - 4)
                if kind == 2:
                    with self.lock:
                        self.messages.append(data[26:])
                    self.sock.sendall(b"FIN %s\n" % data[10:26])
                elif data == b"_heartbeat_":
                    self.sock.sendall(b"NOP\n")

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()

    def take(self):
        with self.lock:
            bodies = list(self.messages)
        return bodies

    def wait(self, n, deadline=20):
        wait_for(lambda: len(self.take()) >= n, deadline, f"{n} messages")
        return [Message(b) for b in self.take()]

    def wait_distinct(self, n, deadline=60):
        """Until n different changes have come."""
        wait_for(lambda: len(self.take()) >= n and len({Message(b).sequencer for b in self.take()}) >= n, deadline, f"{n} changes")
        return [Message(b) for b in self.take()]


class Gatekeeper:
    """The server that nsqd asks about a secret (--auth-http-address): it knows those in `allowed`, each with a topic."""

    def __init__(self, allowed):
        keeper = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                secret = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query).get("secret", [""])[0]
                topic = keeper.allowed.get(secret)
                self.send_response(200 if topic else 403)
                self.end_headers()
                self.wfile.write(json.dumps({"ttl": 3600, "identity": "belfry", "authorizations": [
                    {"permissions": ["publish", "subscribe"], "topic": topic, "channels": [".*"]}]}).encode())

            def log_message(self, *args):
                pass

        self.allowed = allowed
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def nsq_env(nsq_or_address, target_id="1", **keys):
    """Environment of one NSQ target; keys such as topic, tls."""
    address = nsq_or_address if isinstance(nsq_or_address, str) else nsq_or_address.address
    keys = {"nsqd_address": address, "topic": "minio", **keys}
    suffix = f"_{target_id}" if target_id else ""
    env = {f"MINIO_NOTIFY_NSQ_ENABLE{suffix}": "on"}
    env.update({f"MINIO_NOTIFY_NSQ_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
    return env
