# SPDX-License-Identifier: Apache-2.0
"""A client of ListenNotification over a raw connection: it sees every byte that the server sends."""
import json
import threading
from urllib.parse import urlencode

from .rawhttp import ConnectionEnded
from .wait import wait_for

ALL = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*", "s3:BucketCreated:*", "s3:BucketRemoved:*")


def listen_target(bucket="", events=ALL, **query):
    pairs = [("events", e) for e in events] + [(k, str(v)) for k, v in query.items()]
    return f"/{bucket}?{urlencode(pairs)}"


class Listener:
    """Listens from the moment the constructor returns: the reply's head has been read by then. With read=False nothing is
    read behind the head until begin()."""

    def __init__(self, server, bucket="", events=ALL, read=True, **query):
        self.conn = server.raw()
        self.conn.send(server.s3.build("GET", listen_target(bucket, events, **query)))
        head = self.conn._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(head[0].split()[1])
        self.headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:])}
        assert self.status == 200, head
        self.lines, self.blanks, self.ended = [], 0, None
        self._text = b""
        self._thread = threading.Thread(target=self._run, daemon=True)
        if read:
            self.begin()

    def begin(self):
        self._thread.start()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        try:
            self.conn.sock.shutdown(2)
        except OSError:
            pass
        if self._thread.ident:
            self._thread.join()
        self.conn.close()

    def _run(self):
        try:
            while True:
                size = int(self.conn._until(b"\r\n"), 16)
                if size == 0:
                    self.ended = "cleanly"
                    return
                self._take(self.conn._exactly(size))
                assert self.conn._exactly(2) == b"\r\n"
        except (ConnectionEnded, OSError, ValueError) as e:
            self.ended = self.ended or repr(e)

    def _take(self, data):
        self._text += data
        while b"\n" in self._text:
            line, _, self._text = self._text.partition(b"\n")
            self.blanks += len(line) - len(line.lstrip(b" "))
            self.lines.append(json.loads(line))
        if not self._text.strip(b" "):
            self.blanks += len(self._text)
            self._text = b""

    # -- what came -----------------------------------------------------------
    @property
    def records(self):
        return [line["Records"][0] for line in list(self.lines) if line["Records"]]

    @property
    def seen(self):
        """(name without s3:, bucket, key) of every event."""
        return [(r["eventName"][3:], r["s3"]["bucket"]["name"], r["s3"]["object"]["key"]) for r in self.records]

    @property
    def keys(self):
        return [key for _, _, key in self.seen]

    @property
    def position(self):
        """The last one told."""
        told = [line["Position"] for line in list(self.lines) if "Position" in line]
        return told[-1] if told else None

    @property
    def missed(self):
        return sum(line.get("Missed", 0) for line in list(self.lines))

    @property
    def heartbeats(self):
        return sum(1 for line in list(self.lines) if line == {"Records": None})

    def wait(self, n, deadline=10):
        """Until n events came; they."""
        wait_for(lambda: len(self.records) >= n, deadline, f"{n} events")
        return self.records
