# SPDX-License-Identifier: Apache-2.0
"""Large bodies with flat memory, and a full disk."""
import hashlib
import os
import subprocess
import threading

import pytest
from support.ops import put_head
from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.server import Server
from support.sigv4 import UNSIGNED
from support.wait import SANITIZED, wait_for

BLOCK = hashlib.sha512(b"belfry").digest() * 16384      # 1 MiB
MIB = 1 << 20


def stream_up(server, bucket, key, mib, watch):
    """PUT so many MiB over one socket; watch() is called between the blocks. The MD5 of what was sent."""
    md5 = hashlib.md5()
    with server.raw(timeout=120) as c:
        c.send(put_head(server.s3, bucket, key, [("Content-Length", str(mib * MIB))], UNSIGNED))
        for i in range(mib):
            block = i.to_bytes(8, "big") + BLOCK[8:]
            md5.update(block)
            c.send(block)
            if i % 16 == 0:
                watch()
        reply = c.reply()
    assert reply.status == 200, reply
    assert reply.get("etag") == f'"{md5.hexdigest()}"'
    return md5.hexdigest()


def stream_down(server, bucket, key, mib, watch):
    md5, got = hashlib.md5(), 0
    with server.raw(timeout=120) as c:
        c.send(server.s3.build("GET", f"/{bucket}/{key}"))
        c._until(b"\r\n\r\n")
        got += len(c.buffer)
        md5.update(c.buffer)
        while got < mib * MIB:
            data = c.sock.recv(MIB)
            assert data, f"ended after {got} bytes"
            got += len(data)
            md5.update(data)
            watch()
    assert got == mib * MIB
    return md5.hexdigest()


def round_trip(server, mib, growth):
    s3 = server.s3
    s3.make_bucket("large")
    assert s3.put("large", "warm", b"w" * 3_000_000).status == 200
    assert s3.get("large", "warm").status == 200
    before, peak = server.rss(), [0]

    def watch():
        peak[0] = max(peak[0], server.rss())
    sent = stream_up(server, "large", "big", mib, watch)
    assert stream_down(server, "large", "big", mib, watch) == sent
    print(f"resident before {before >> 20} MiB, at most {peak[0] >> 20} MiB")
    assert SANITIZED or peak[0] - before < growth, f"grew by {(peak[0] - before) >> 20} MiB"


def test_300_mib(make_server):
    round_trip(make_server().start(), 300, 48 * MIB)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_5_gib(make_server):
    round_trip(make_server().start(), 5120, 48 * MIB)


def test_many_large_at_once(make_server):
    """Sixteen uploads of 20 MiB with slow senders beside small ones: bounded memory, right bytes."""
    server = make_server().start()
    server.s3.make_bucket("many")
    sums, before = {}, server.rss()
    peak = [before]

    def upload(number):
        sums[number] = stream_up(server, "many", f"k{number}", 20, lambda: peak.__setitem__(0, max(peak[0], server.rss())))

    threads = [threading.Thread(target=upload, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(sums) == 16
    for number, md5 in sums.items():
        assert hashlib.md5(server.s3.get("many", f"k{number}").body).hexdigest() == md5
    assert SANITIZED or peak[0] - before < 160 * MIB, f"grew by {(peak[0] - before) >> 20} MiB"


@pytest.mark.sanitize
def test_gone_while_waiting(make_server):
    """Clients that leave while their request waits for the memory of others: nothing of it stays (leaks end a sanitizer's run)."""
    server = make_server().start()
    server.s3.make_bucket("crowd")
    head = put_head(server.s3, "crowd", "k", [("Content-Length", str(MIB))], UNSIGNED)
    crowd = [server.raw(timeout=60) for _ in range(80)]     # more than 64 MiB of buffers
    for c in crowd:
        c.send(head)
    for c in reversed(crowd):                               # those that wait leave first
        c.reset()
    wait_for(lambda: server.s3.put("crowd", "after", b"x" * 300_000).status == 200, 20, "an upload to be taken")


# -- a full disk ----------------------------------------------------------------------------------

@pytest.fixture
def small_disk(tmp_path):
    path = tmp_path / "small"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(path)], capture_output=True,
                      check=False).returncode:
        pytest.skip("mounting a tmpfs is not permitted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def fill_up(path):
    """A file that takes every byte the file system has."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:
        pass
    finally:
        os.close(fd)


FULL = {(507, "XMinioStorageFull"), (503, "SlowDownWrite")}


def fill(server, bucket, size, kept, prefix):
    """PUT until refused; what was acknowledged goes to kept. The refusing reply."""
    for i in range(100_000):
        body = os.urandom(16) * (size // 16)
        reply = server.s3.put(bucket, f"{prefix}{i}", body)
        if reply.status != 200:
            return reply
        kept[f"{prefix}{i}"] = hashlib.md5(body).hexdigest()
    raise AssertionError("never full")


def assert_all_there(server, bucket, kept):
    with server.raw() as c:
        for key, md5 in kept.items():
            reply = server.s3.get(bucket, key, conn=c)
            assert reply.status == 200 and hashlib.md5(reply.body).hexdigest() == md5, (key, reply.status)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("filled_by", ["objects", "others"])
def test_full_disk(small_disk, tmp_path, receiver, filled_by):
    """Clear error, reads and deletes go on, events are still delivered, nothing lost, works again with room."""
    server = Server(small_disk / "data", env=webhook_env(receiver), log=tmp_path / "log").start()
    try:
        s3 = server.s3
        s3.make_bucket("full")
        assert s3.set_rules("full", rule(arn("1"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*")).status == 200
        kept = {}
        for i in range(10):
            assert s3.put("full", f"first{i}", b"f" * 100_000).status == 200
            kept[f"first{i}"] = hashlib.md5(b"f" * 100_000).hexdigest()
        ballast = small_disk / "ballast"
        if filled_by == "others":
            space = os.statvfs(small_disk)              # all but 4 MiB: less than the reserve, more than nothing
            with open(ballast, "wb") as f:
                f.write(bytes(space.f_bavail * space.f_frsize - 4 * MIB))
        refused = fill(server, "full", 2_000_000, kept, "big")
        assert (refused.status, refused.code) in FULL, refused
        small = s3.put("full", "small", b"x" * 1000)
        assert small.status == 200 or (small.status, small.code) in FULL, small
        if small.status == 200:
            kept["small"] = hashlib.md5(b"x" * 1000).hexdigest()
        assert_all_there(server, "full", kept)
        assert s3.request("GET", "/full?list-type=2").xml.findtext("KeyCount") == str(len(kept))
        if filled_by == "others":
            ballast.unlink()
        else:
            for key in [k for k in kept if k.startswith("big")][:30]:
                assert s3.delete("full", key).status == 204, "a delete makes room, so it is not refused"
                del kept[key]
        wait_for(lambda: s3.put("full", "again", b"a" * 2_000_000).status == 200, 30, "writes to be taken again")
        kept["again"] = hashlib.md5(b"a" * 2_000_000).hexdigest()
        assert_all_there(server, "full", kept)
        seen = lambda: {p.key.split("/")[1] for p in receiver.delivered()}      # noqa: E731
        wait_for(lambda: set(kept) <= seen(), 30, "an event for every acknowledged object")
        server.restart()
        assert_all_there(server, "full", kept)
    finally:
        server.kill()


@pytest.mark.timeout(240)
def test_disk_full_to_the_last_byte(small_disk, tmp_path):
    """Somebody else takes even the reserve: writes are refused, reads go on, a restart with room finds everything."""
    server = Server(small_disk / "data", log=tmp_path / "log").start()
    try:
        s3 = server.s3
        s3.make_bucket("full")
        kept = {}
        for i in range(50):
            body = os.urandom(3000)
            assert s3.put("full", f"k{i}", body).status == 200
            kept[f"k{i}"] = hashlib.md5(body).hexdigest()
        ballast = small_disk / "ballast"
        fill_up(ballast)
        refused = fill(server, "full", 48_000, kept, "more")        # space set aside before may still take some
        assert (refused.status, refused.code) in FULL, refused
        for i in range(20):
            reply = s3.put("full", f"never{i}", os.urandom(50_000))
            assert (reply.status, reply.code) in FULL, reply
        assert_all_there(server, "full", kept)
        ballast.unlink()
        server.stop()
        server.start()
        assert_all_there(server, "full", kept)
        wait_for(lambda: server.s3.put("full", "again", b"x" * 50_000).status == 200, 10, "writes to be taken")
    finally:
        server.kill()
