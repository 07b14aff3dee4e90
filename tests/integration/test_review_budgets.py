# SPDX-License-Identifier: Apache-2.0
"""Memory that requests wait for: nobody holds up the others, and who leaves the line leaves nothing behind."""
import base64
import contextlib
import hashlib
import threading

import pytest

from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.server import Server
from support.sigv4 import UNSIGNED
from support.wait import SANITIZED, wait_for

XML_MAX = 2 << 20
LARGE = 8 << 20


pytestmark = pytest.mark.sanitize


@pytest.fixture
def fresh(tmp_path):
    s = Server(tmp_path / "data").start()
    s.s3.make_bucket("bucket")
    yield s
    s.stop()                # fails on what a sanitizer says at the end


def begin(server, stack, method, target, size, headers=()):
    """A request whose body does not come."""
    c = stack.enter_context(server.raw())
    headers = dict(headers)
    data = server.s3.build(method, target, headers, payload_hash=UNSIGNED, length=False)
    c.send(data.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % size, 1))
    return c


def test_uploads_without_bytes_hold_up_nobody(fresh):
    with contextlib.ExitStack() as stack:
        for i in range(70):
            begin(fresh, stack, "PUT", f"/bucket/stuck{i}", LARGE)
        assert fresh.s3.put("bucket", "small", b"x").status == 200
        body = b"y" * LARGE
        assert fresh.s3.put("bucket", "large", body).status == 200


@pytest.mark.parametrize("method,target,size", [
    ("PUT", "/bucket/k", 100), ("POST", "/bucket?delete", 1000)])
def test_clients_that_leave_the_line(fresh, method, target, size):
    with contextlib.ExitStack() as stack:
        full = []
        while True:         # as many as are let through, and one more
            full.append(begin(fresh, stack, "POST", "/bucket?delete", XML_MAX, {"Expect": "100-continue"}))
            if not full[-1].readable(1):
                break
            assert full[-1].reply().status == 100
        assert len(full) > 8
        files = fresh.open_files()
        waiting = begin(fresh, stack, method, target, size, {"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="})
        wait_for(lambda: fresh.open_files() > files, 10, "the one that waits to be there")
        waiting.reset()
        wait_for(lambda: fresh.open_files() <= files, 10, "it to be noticed that it has left")
        for c in full:
            c.reset()
    assert fresh.s3.put("bucket", "k", b"x").status == 200


def test_many_keys_with_long_records(tmp_path):
    """A record for each of 1,000 keys out of a long head: made as they are written, not all of them before."""
    server = Server(tmp_path / "data", env=webhook_env("http://127.0.0.1:1/", QUEUE_LIMIT="1", QUEUE_FULL="drop")).start()
    try:
        server.s3.make_bucket("bucket")
        assert server.s3.set_rules("bucket", rule(arn("1"))).status == 200
        keys = "".join(f"<Object><Key>{i}</Key></Object>" for i in range(1000))
        body = f"<Delete>{keys}</Delete>".encode()
        headers = {"User-Agent": "&" * 6000, "Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
        replies, done = [], threading.Event()

        def delete():
            replies.append(server.s3.request("POST", "/bucket?delete", headers, body))
            if len(replies) == 8:
                done.set()

        before = peak = server.rss()
        threads = [threading.Thread(target=delete) for _ in range(8)]
        for t in threads:
            t.start()
        while not done.wait(0.002) and any(t.is_alive() for t in threads):
            peak = max(peak, server.rss())
        for t in threads:
            t.join()
        assert [r.status for r in replies] == [200] * 8
        assert all(len(r.xml.findall("Deleted")) == 1000 for r in replies)
        assert SANITIZED or peak - before < 100 << 20, f"{peak - before >> 20} MiB"
    finally:
        server.stop()
