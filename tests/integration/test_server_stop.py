# SPDX-License-Identifier: Apache-2.0
"""The program's end: what a signal lets finish, what it leaves, and what `check` says of it."""
import os
import signal
import socket
import threading
import time

import pytest
from support.ops import put_head
from support.server import run
from support.sigv4 import UNSIGNED
from support.wait import SCALE, wait_for


# -- signals -----------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_sigterm_lets_a_request_finish(make_server):
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("term")
    body = b"t" * 500_000
    with server.raw() as c:
        c.send(put_head(s3, "term", "k", [("Content-Length", str(len(body)))], UNSIGNED) + body[:1000])
        server.signal(signal.SIGTERM)

        def refused():
            try:
                socket.create_connection((server.host, server.port), timeout=1).close()
                return False
            except OSError:
                return True
        wait_for(refused, 5, "the port to be closed")
        c.send(body[1000:])
        assert c.reply().status == 200
    assert server.wait_exit() == 0
    server.start()
    assert server.s3.get("term", "k").body == body


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_with_idle_connections(make_server, number):
    server = make_server().start()
    conns = [server.raw() for _ in range(20)]
    for c in conns[:10]:
        c.send(b"GET /minio/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.reply().status == 200
    conns[15].send(b"GET / HT")
    began = time.monotonic()
    server.signal(number)
    assert server.wait_exit(10) == 0
    assert time.monotonic() - began < 10 * SCALE
    for c in conns:
        c.close()


def test_stop_with_a_stuck_request(make_server):
    """A client that never sends the rest does not hold the stop beyond ten seconds."""
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("stuck")
    with server.raw() as c:
        c.send(put_head(s3, "stuck", "k", [("Content-Length", "1000")], UNSIGNED) + b"x")
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait_exit(12) == 0
        assert time.monotonic() - began < 10.5 * SCALE


def test_nothing_is_lost_by_a_stop(make_server):
    """Writers go on while the server stops: what it said 200 to is there afterwards."""
    server = make_server().start()
    server.s3.make_bucket("stop")
    done, s3 = [], server.s3

    def writer(number):
        try:
            with server.raw() as c:
                for i in range(100_000):
                    if s3.put("stop", f"{number}-{i}", b"x", conn=c).status != 200:
                        return
                    done.append(f"{number}-{i}")
        except Exception:                               # noqa: BLE001 - the connection ends with the server
            return

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    wait_for(lambda: len(done) > 100, 10, "some writes")
    server.stop()
    for t in threads:
        t.join()
    server.start()
    with server.raw() as c:
        for key in done:
            assert s3.head("stop", key, conn=c).status == 200


# -- check ---------------------------------------------------------------------------------------------

def test_check(make_server):
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("check")
    for i in range(20):
        assert s3.put("check", f"k{i}", os.urandom(200_000 if i % 2 else 500)).status == 200
    assert s3.delete("check", "k1").status == 204
    assert run("check", server.directory).returncode == 4, "a directory in use is not checked"
    server.stop()
    done = run("check", server.directory)
    assert done.returncode == 0, done
    assert run("check", "/nonexistent-directory").returncode == 4


def largest_file(directory):
    paths = [os.path.join(d, f) for d, _, files in os.walk(directory) for f in files]
    return max((p for p in paths if not p.endswith((".log", ".sst", ".blob"))), key=os.path.getsize)


def test_damage_is_found_and_never_served(make_server):
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("damage")
    body = os.urandom(5_000_000)
    assert s3.put("damage", "k", body).status == 200
    server.stop()
    path = largest_file(server.directory)
    assert os.path.getsize(path) >= len(body), "the object is a file of its own"
    with open(path, "r+b") as f:
        f.seek(100)
        byte = f.read(1)
        f.seek(100)
        f.write(bytes([byte[0] ^ 1]))
    done = run("check", server.directory)
    assert done.returncode == 1 and "k" in done.stdout + done.stderr, done
    server.start()
    reply = s3.get("damage", "k")
    assert reply.status == 500 and reply.code == "InternalError", reply
    with open(path, "r+b") as f:
        f.seek(100)
        f.write(byte)
        f.seek(4_000_000)
        late = f.read(1)
        f.seek(4_000_000)
        f.write(bytes([late[0] ^ 1]))
    with server.raw() as c:
        c.send(s3.build("GET", "/damage/k"))
        got = b""
        try:
            while chunk := c.sock.recv(1 << 16):
                got += chunk
        except ConnectionResetError:
            pass
    content = got.partition(b"\r\n\r\n")[2]
    assert len(content) < len(body) and body.startswith(content), "cut short before the damaged block"
    wait_for(lambda: "damage" in server.log(), 5, "a log line")
