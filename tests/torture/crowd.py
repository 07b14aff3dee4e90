# SPDX-License-Identifier: Apache-2.0
"""Many connections that do little: idle ones, and ones that send a byte now and then. One thread keeps them all."""
import selectors
import socket
import ssl
import threading
import time


class Member:
    """One connection. kind: a name of the row's; ended: seconds after it began that the server closed it, None: has not;
    got: what the server sent until then."""

    def __init__(self, kind, sock, drip=b"", step=1.0):
        self.kind, self.sock, self.drip, self.step = kind, sock, drip, step
        self.began = time.monotonic()
        self.next = self.began + step
        self.sent, self.got, self.ended = 0, b"", None


class Crowd(threading.Thread):
    """Add members with join_in(); stop() closes what is left."""

    def __init__(self, host, port):
        super().__init__(daemon=True)
        self.address, self.members = (host, port), []
        self.selector, self.lock, self.over = selectors.DefaultSelector(), threading.Lock(), False

    def join_in(self, kind, first=b"", drip=b"", tls=None, handshake=True, step=1.0):
        """Connects (with tls: a context; without handshake the bytes are sent as they are), sends `first`, and from then on
        a byte of `drip` every `step` seconds."""
        sock = socket.create_connection(self.address, timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None and handshake:
            sock = tls.wrap_socket(sock, server_hostname="localhost")
        if first:
            sock.sendall(first)
        sock.setblocking(False)
        member = Member(kind, sock, drip, step)
        with self.lock:
            self.members.append(member)
            self.selector.register(sock, selectors.EVENT_READ, member)
        return member

    def of(self, kind):
        return [m for m in self.members if m.kind == kind]

    def there(self, kind=None):
        """How many the server has not closed."""
        return sum(1 for m in self.members if m.ended is None and kind in (None, m.kind))

    def run(self):
        while not self.over:
            for key, _ in self.selector.select(0.05):
                self._read(key.data)
            now = time.monotonic()
            with self.lock:
                due = [m for m in self.members if m.ended is None and m.sent < len(m.drip) and m.next <= now]
            for m in due:
                self._drip(m)

    def _drip(self, m):
        m.next += m.step
        try:
            m.sock.send(m.drip[m.sent:m.sent + 1])
            m.sent += 1
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self._end(m)

    def _read(self, m):
        try:
            while True:
                data = m.sock.recv(65536)
                if not data:
                    break
                m.got += data[:4096]
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            pass
        self._end(m)

    def _end(self, m):
        if m.ended is None:
            m.ended = time.monotonic() - m.began
            with self.lock:
                self.selector.unregister(m.sock)
            m.sock.close()

    def stop(self):
        self.over = True
        if self.ident:
            self.join()
        for m in self.members:
            if m.ended is None:
                m.sock.close()
        self.selector.close()
