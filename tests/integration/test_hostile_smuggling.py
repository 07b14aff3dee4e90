# SPDX-License-Identifier: Apache-2.0
"""Request smuggling, by effects: which objects were made and which events came, alone and behind a real nginx."""
import os
import shutil
import subprocess

import pytest
from support.ports import free_port
from support.rawhttp import ConnectionEnded, RawConn
from support.s3raw import arn, rule
from support.smuggle import ROWS, Row
from support.wait import wait_for

LIVE = b"GET /minio/health/live HTTP/1.1\r\nHost: live\r\n\r\n"
IDS = [r[0] for r in ROWS]


@pytest.fixture(scope="module")
def hall(notified):
    """A bucket of which each new object is an event."""
    s3 = notified.s3
    s3.make_bucket("hall")
    assert s3.set_rules("hall", rule(arn("1"), "s3:ObjectCreated:*")).status == 200
    return s3


def made(s3, row):
    return "".join(what[0] for what in ("carrier", "smuggled", "follow")
                   if s3.request("HEAD", row.path(what)).status == 200)


def replies(conn, most):
    """Statuses of final replies until the connection ends, or `most` of them came."""
    got = []
    while len(got) < most:
        try:
            reply = conn.reply()
        except (ConnectionEnded, OSError):
            break
        if reply.status >= 200:
            got.append(reply.status)
    return got


@pytest.mark.sanitize
@pytest.mark.parametrize("name,make,statuses,objects", ROWS, ids=IDS)
def test_alone(notified, hall, name, make, statuses, objects):
    row = Row(hall, "hall", name)
    open_after = "f" in objects
    with notified.raw() as c:
        c.try_send(make(row) + row.follow + (LIVE if open_after else b""))
        got = replies(c, len(statuses) + 2 if not open_after else len(statuses) + 1)
        assert got == statuses + [200] * open_after
        assert open_after or c.ended, "the connection is still open"
        if open_after:
            assert not c.buffer and not c.readable(0.02), "one reply too many"
    assert made(hall, row) == objects


def test_trailers_are_no_headers(notified, hall):
    row = Row(hall, "hall", "trailers")
    with notified.raw() as c:
        c.send(row.chunked(trailer=b"x-amz-meta-evil: 1\r\nContent-Type: text/evil\r\n"))
        assert c.reply().status == 200
    head = hall.request("HEAD", row.path("carrier"))
    assert head.get("x-amz-meta-evil") is None and head.get("content-type") == "binary/octet-stream"


# -- behind nginx ----------------------------------------------------------------------------------

NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format framed escape=json '$request';
  access_log {dir}/access.log framed;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_max_body_size 0; merge_slashes off; proxy_ignore_client_abort on;
  upstream belfry {{ server 127.0.0.1:{port}; keepalive 1; }}
  proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection "";
  server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://belfry; }} }}
  server {{ listen 127.0.0.1:{lax}; ignore_invalid_headers off; underscores_in_headers on;
    proxy_request_buffering off; large_client_header_buffers 4 64k; location / {{ proxy_pass http://belfry; }} }}
}}
"""


class Nginx:
    """nginx before a server: `ports` of one front that reads requests whole, and one that hands on whatever it can."""

    def __init__(self, directory, server):
        self.directory, self.ports = str(directory), {"strict": free_port(), "lax": free_port()}
        os.makedirs(self.directory)
        conf = os.path.join(self.directory, "nginx.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(NGINX.format(dir=self.directory, port=server.port, plain=self.ports["strict"], lax=self.ports["lax"]))
        self.process = subprocess.Popen(["nginx", "-p", self.directory, "-c", conf, "-e", f"{self.directory}/error.log"],
                                        stdin=subprocess.DEVNULL)
        wait_for(self._up, 10, "nginx")

    def _up(self):
        assert self.process.poll() is None, open(f"{self.directory}/error.log", encoding="utf-8").read()
        try:
            for port in self.ports.values():
                RawConn("127.0.0.1", port).close()
            return True
        except OSError:
            return False

    def framed(self):
        """The request lines that nginx took for requests."""
        with open(f"{self.directory}/access.log", encoding="latin-1") as f:
            return f.read().split("\n")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def front(notified, module_dir):
    if not shutil.which("nginx"):
        pytest.skip("no nginx here (scripts/install-deps test)")
    nginx = Nginx(module_dir / "nginx", notified)
    yield nginx
    nginx.stop()


def victim(conn, s3, number):
    """Another client's request must get its own answer, whatever the attacker left on the way to the server."""
    reply = s3.request("GET", f"/hall/victim-{number}", conn=conn)
    assert (reply.status, reply.body) == (200, b"victim %d" % number), reply


@pytest.mark.parametrize("kind", ["strict", "lax"])
def test_behind_nginx(notified, hall, front, kind):
    """One client after the other attacks; a victim shares the one connection that nginx keeps to the server."""
    for n in range(3):
        assert hall.put("hall", f"victim-{n}", b"victim %d" % n).status == 200
    wrong, processed = [], 0
    with RawConn("127.0.0.1", front.ports[kind]) as other:
        for name, make, _, _ in ROWS:
            row = Row(hall, "hall", f"{kind}-{name}")
            with RawConn("127.0.0.1", front.ports[kind], timeout=5) as c:
                c.try_send(make(row) + row.follow)
                try:                                            # nginx waits where bytes may be missing: half-close ends it
                    c.sock.shutdown(1)
                except OSError:
                    pass
                replies(c, 4)
            for n in range(3):
                victim(other, hall, n)
            framed = front.framed()
            for what in ("carrier", "smuggled", "follow"):
                there = hall.request("HEAD", row.path(what)).status == 200
                processed += there
                if there and not any(line.startswith("PUT ") and row.path(what) + " " in line for line in framed):
                    wrong.append(f"{name}: {what} was made, but nginx framed no such request")
    assert not wrong
    assert processed >= 20, "the front lets nothing through: this tests nothing"


def test_events_are_those_of_the_objects(notified, hall, hook_receiver):
    """Each object there is has been told of, and nothing else has. Last of the module."""
    listed, after = [], ""
    while True:
        page = hall.request("GET", f"/hall?list-type=2&start-after={after}").xml
        keys = [k.text for k in page.iter("Key")]
        listed += keys
        if page.findtext("IsTruncated") != "true":
            break
        after = keys[-1]
    wait_for(lambda: {p.key for p in hook_receiver.delivered()} == {f"hall/{k}" for k in listed}, 20,
             "one event for each object")
    assert len(listed) >= 40
