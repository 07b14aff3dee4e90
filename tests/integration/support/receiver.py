# SPDX-License-Identifier: Apache-2.0
"""A webhook receiver that records every request and misbehaves on command.

`behave` is called with each fully read Post and returns a Reply or one of the actions
below; `on_accept` is called for each new connection and may hold it unread."""
import json
import socket
import threading
import time

from .ports import free_port
from .wait import wait_for


class Post:
    """One request as it arrived. answered: the status sent, None while none was."""

    def __init__(self, number, connection, line, headers, body):
        self.number, self.connection, self.line = number, connection, line
        self.headers, self.body = headers, body
        self.time = time.monotonic()
        self.answered = None
        self.action = None

    def get(self, name):
        for n, v in self.headers:
            if n.lower() == name.lower():
                return v
        return None

    @property
    def path(self):
        return self.line.split(" ")[1]

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def record(self):
        return self.json["Records"][0]

    @property
    def event(self):
        return self.json["EventName"]

    @property
    def key(self):
        """bucket/object, raw."""
        return self.json["Key"]

    @property
    def sequencer(self):
        return self.record["s3"]["object"]["sequencer"]


class Answer:
    """An ordinary reply. wait: an Event to wait for first; slow: seconds to spread the bytes over;
    then: 'keep', or 'close' without having announced it; twice: send the whole reply two times."""

    def __init__(self, status=200, headers=(), body=b"", wait=None, slow=0.0, then="keep", twice=False):
        self.status, self.headers, self.body = status, list(headers), body
        self.wait, self.slow, self.then, self.twice = wait, slow, then, twice

    def __repr__(self):
        return f"Answer({self.status}, slow={self.slow}, then={self.then})"

    def render(self):
        head = f"HTTP/1.1 {self.status} Status\r\n" + "".join(f"{n}: {v}\r\n" for n, v in self.headers)
        return (head + f"Content-Length: {len(self.body)}\r\n\r\n").encode() + self.body


class Bytes:
    """Send these bytes instead of a reply, then close."""

    def __init__(self, data=b""):
        self.data = data

    def __repr__(self):
        return f"Bytes({self.data!r})"


OK = Answer()
GARBAGE = Bytes(b"\x00\xff\x7fthis is no HTTP\r\n\r\n")
CLOSE_UNANSWERED = Bytes(b"")
CLOSE_MID_HEAD = Bytes(b"HTTP/1.1 200 OK\r\nContent-Le")
CLOSE_MID_BODY = Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")


class Receiver:
    """Listens on one port for its whole life; stop() and start() make the port refuse and accept."""

    def __init__(self, behave=None, tls=None, port=None, path="/hook"):
        self.behave = behave or (lambda post: OK)
        self.on_accept = None
        self.tls, self.port, self.path = tls, port or free_port(), path
        self.lock = threading.Lock()
        self.posts = []
        self.connections = 0
        self.tls_failures = 0
        self._listener = None
        self._open = set()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{self.path}"

    # -- life -------------------------------------------------------------------
    def start(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(256)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self):
        """Refuse from now on, and cut what is open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            try:
                listener.shutdown(socket.SHUT_RDWR)     # close() alone would leave accept() waiting
            except OSError:
                pass
            listener.close()
        self.cut()

    def cut(self):
        """Close every open connection."""
        with self.lock:
            open_now, self._open = self._open, set()
        for s in open_now:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                if self._listener is not listener:
                    sock.close()
                    return
                self.connections += 1
                number = self.connections
                self._open.add(sock)
            threading.Thread(target=self._connection, args=(sock, number), daemon=True).start()

    def _connection(self, sock, number):
        raw = sock
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.on_accept is not None:
                self.on_accept(number)
            if self.tls is not None:
                try:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                except OSError:
                    self.tls_failures += 1
                    return
            stream = sock.makefile("rb", buffering=65536)
            while self._one(sock, stream, number):
                pass
        except (OSError, ValueError):
            pass
        finally:
            with self.lock:
                self._open.discard(raw)
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def _one(self, sock, stream, number):
        line = stream.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return False
        headers = []
        while True:
            h = stream.readline().decode("latin-1")
            if not h.endswith("\n"):
                return False
            h = h.rstrip("\r\n")
            if not h:
                break
            name, _, value = h.partition(":")
            headers.append((name, value.strip()))
        post = Post(0, number, line, headers, b"")
        if (post.get("expect") or "").lower() == "100-continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(post.get("content-length") or 0)
        post.body = stream.read(length)
        if len(post.body) != length:
            return False
        with self.lock:
            post.number = len(self.posts)
            post.time = time.monotonic()
            self.posts.append(post)
        post.action = self.behave(post)
        return self._answer(sock, post, post.action)

    def _answer(self, sock, post, action):
        if isinstance(action, Bytes):
            if action.data:
                sock.sendall(action.data)
            return False
        if action.wait is not None:
            action.wait.wait()
        data = action.render() * (2 if action.twice else 1)
        if action.slow:
            gap = action.slow / len(data)
            for i in range(len(data)):
                sock.sendall(data[i:i + 1])
                time.sleep(gap)
        else:
            sock.sendall(data)
        post.answered = action.status
        return action.then == "keep"

    # -- looking at it --------------------------------------------------------
    def snapshot(self):
        with self.lock:
            return list(self.posts)

    def delivered(self):
        """Posts that were answered 2xx, in order of arrival."""
        return [p for p in self.snapshot() if p.answered is not None and 200 <= p.answered < 300]

    def clear(self):
        with self.lock:
            self.posts.clear()

    def wait_posts(self, n, deadline=10):
        wait_for(lambda: len(self.posts) >= n, deadline, f"{n} posts (have {len(self.posts)})")
        return self.snapshot()

    def wait_delivered(self, n, deadline=15):
        wait_for(lambda: len(self.delivered()) >= n, deadline,
                 f"{n} deliveries (have {len(self.delivered())})")
        return self.delivered()


def webhook_env(receiver_or_url, target_id="1", **keys):
    """Environment of one webhook target; keys such as auth_token, queue_dir, queue_limit."""
    url = receiver_or_url if isinstance(receiver_or_url, str) else receiver_or_url.url
    suffix = f"_{target_id}" if target_id else ""
    env = {f"MINIO_NOTIFY_WEBHOOK_ENABLE{suffix}": "on", f"MINIO_NOTIFY_WEBHOOK_ENDPOINT{suffix}": url}
    env.update({f"MINIO_NOTIFY_WEBHOOK_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
    return env
