# SPDX-License-Identifier: Apache-2.0
"""One TCP (or TLS) connection that sends exactly the bytes it is told to and reads replies."""
import re
import select
import socket
import struct
import xml.etree.ElementTree as ET

from .wait import SCALE


class Reply:
    """A parsed reply. headers: list of (name, value) in order."""

    def __init__(self, version, status, reason, headers, body):
        self.version, self.status, self.reason = version, status, reason
        self.headers, self.body = headers, body

    def get(self, name, default=None):
        for n, v in self.headers:
            if n.lower() == name.lower():
                return v
        return default

    @property
    def xml(self):
        """The body as an element tree without namespaces."""
        text = re.sub(rb' xmlns="[^"]*"', b"", self.body, count=1)
        return ET.fromstring(text)

    @property
    def code(self):
        """The S3 error code: of the XML, or of the header a HEAD error carries."""
        if not self.body:
            return self.get("x-minio-error-code")
        try:
            return self.xml.findtext("Code")
        except ET.ParseError:
            return None

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:400]!r}>"


class ConnectionEnded(Exception):
    """The peer closed before a whole reply had arrived; carries what did."""

    def __init__(self, got):
        super().__init__(f"connection ended after {len(got)} bytes: {got[:200]!r}")
        self.got = got


class RawConn:
    """timeout: seconds for each blocking step."""

    def __init__(self, host, port, timeout=15, tls=None, server_hostname=None):
        self.sock = socket.create_connection((host, port), timeout=timeout * SCALE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_hostname or host)
        self.buffer = b""
        self.ended = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with a RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def try_send(self, data):
        """Send, but a server that already refused and closed is not an error."""
        try:
            self.sock.sendall(data)
            return True
        except OSError:
            return False

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
        self.buffer += data
        return bool(data)

    def readable(self, seconds):
        if self.buffer:
            return True
        return bool(select.select([self.sock], [], [], seconds * SCALE)[0])

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._fill():
                raise ConnectionEnded(self.buffer)
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def _exactly(self, n):
        while len(self.buffer) < n:
            if not self._fill():
                raise ConnectionEnded(self.buffer)
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _chunked(self):
        body = b""
        while True:
            size = int(self._until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                while self._until(b"\r\n"):
                    pass
                return body
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"

    def reply(self, method="GET"):
        """The next whole reply (1xx included)."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        match = re.fullmatch(r"(HTTP/\d\.\d) (\d{3})(?: (.*))?", head[0])
        assert match, f"not a status line: {head[0]!r}"
        headers = []
        for line in head[1:]:
            name, colon, value = line.partition(":")
            assert colon and name and name == name.strip(), f"bad header line {line!r}"
            headers.append((name, value.strip()))
        reply = Reply(match[1], int(match[2]), match[3], headers, b"")
        if method == "HEAD" or reply.status < 200 or reply.status in (204, 304):
            return reply
        if (reply.get("transfer-encoding") or "").lower() == "chunked":
            reply.body = self._chunked()
        elif reply.get("content-length") is not None:
            reply.body = self._exactly(int(reply.get("content-length")))
        else:
            while self._fill():
                pass
            reply.body, self.buffer = self.buffer, b""
        return reply

    def at_end(self, seconds=5):
        """True when the peer has closed and nothing more came."""
        if self.buffer:
            return False
        if self.ended:
            return True
        if not self.readable(seconds):
            return False
        return not self._fill()
