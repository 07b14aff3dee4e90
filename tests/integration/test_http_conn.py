# SPDX-License-Identifier: Apache-2.0
"""Connections: interim replies, chunked bodies, clients that vanish, slow ones, memory of idle ones."""
import os
import resource
import ssl
import time

import pytest
from support.ops import put_head
from support.rawhttp import ConnectionEnded, RawConn
from support.sigv4 import UNSIGNED, UNSIGNED_TRAILER, unsigned_chunks
from support.wait import SANITIZED, SCALE, wait_for


@pytest.mark.sanitize
def test_100_continue_comes_before_the_body(server, s3, bucket):
    with server.raw() as c:
        c.send(put_head(s3, bucket, "k", [("Expect", "100-continue"), ("Content-Length", "5")]))
        assert c.reply().status == 100
        c.send(b"hello")
        assert c.reply().status == 200
    assert s3.get(bucket, "k").body == b"hello"


@pytest.mark.sanitize
@pytest.mark.parametrize("change", ["signature", "bucket", "anonymous"])
def test_no_100_continue_when_refused(server, s3, bucket, change):
    target = f"/{'missing-' if change == 'bucket' else ''}{bucket}/k"
    head = s3.build("PUT", target, [("Expect", "100-continue"), ("Content-Length", "5")], payload_hash=UNSIGNED,
                    length=False, sign=change != "anonymous")
    if change == "signature":
        head = head.replace(b"Signature=", b"Signature=0000")
    with server.raw() as c:
        c.send(head)
        reply = c.reply()
        assert reply.status in (400, 403, 404), reply
        assert reply.code
        assert not (c.buffer and c.buffer.startswith(b"HTTP/1.1 100"))


@pytest.mark.parametrize("headers,status", [({}, 200), ({"If-Match": '"x"'}, 404)])
def test_100_continue_before_no_body(server, s3, bucket, headers, status):
    """botocore expects one for an empty body, too; without it the next reply on the connection is misread there."""
    with server.raw() as c:
        for i in range(3):
            c.send(s3.build("PUT", f"/{bucket}/k{i}", {"Expect": "100-continue", **headers}))
            assert c.reply().status == 100
            assert c.reply().status == status
        c.send(s3.build("GET", f"/{bucket}"))
        assert c.reply().status == 200


def test_without_expect_no_interim_reply(server, s3, bucket):
    with server.raw() as c:
        c.send(put_head(s3, bucket, "k", [("Content-Length", "5")]))
        assert not c.readable(0.3)
        c.send(b"hello")
        assert c.reply().status == 200


def chunked(pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@pytest.mark.sanitize
def test_chunked_around_aws_chunked(server, s3, bucket):
    data = os.urandom(200_000)
    inner = unsigned_chunks([data[:65536], data[65536:]], ("x-amz-checksum-crc32", _crc32(data)))
    pieces = [inner[i:i + 7001] for i in range(0, len(inner), 7001)]
    with server.raw() as c:
        c.send(put_head(s3, bucket, "k", [("Transfer-Encoding", "chunked"), ("Content-Encoding", "aws-chunked"),
                                          ("x-amz-decoded-content-length", str(len(data))),
                                          ("x-amz-trailer", "x-amz-checksum-crc32")], UNSIGNED_TRAILER))
        c.send(chunked(pieces))
        assert c.reply().status == 200
    reply = s3.get(bucket, "k")
    assert reply.body == data and reply.get("content-encoding") is None


def _crc32(data):
    import base64
    import zlib
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


# The five bytes b"hello" in aws-chunked form, to be wrapped once more by HTTP's own chunks.
INNER = unsigned_chunks([b"hello"], ("x-amz-checksum-crc32", "NhCmhg=="))
SIZE = b"%x" % len(INNER)


def put_chunked(conn, s3, bucket, body):
    conn.send(put_head(s3, bucket, "k", [("Transfer-Encoding", "chunked"), ("Content-Encoding", "aws-chunked"),
                                         ("x-amz-trailer", "x-amz-checksum-crc32"),
                                         ("x-amz-decoded-content-length", "5")], UNSIGNED_TRAILER))
    conn.try_send(body)
    return conn.reply()


@pytest.mark.sanitize
def test_chunk_extensions_and_trailers_are_skipped(server, s3, bucket):
    with server.raw() as c:
        reply = put_chunked(c, s3, bucket, SIZE + b';name=value;q="x"\r\n' + INNER + b"\r\n000\r\nX-Trailer: ignored\r\n\r\n")
        assert reply.status == 200, reply
        assert s3.get(bucket, "k", conn=c).body == b"hello"


BAD_CHUNKS = {
    "size-not-hex": b"zz\r\n" + INNER + b"\r\n0\r\n\r\n",
    "size-negative": b"-" + SIZE + b"\r\n" + INNER + b"\r\n0\r\n\r\n",
    "size-0x": b"0x" + SIZE + b"\r\n" + INNER + b"\r\n0\r\n\r\n",
    "size-empty": b"\r\n" + INNER + b"\r\n0\r\n\r\n",
    "size-overflow": b"fffffffffffffffff\r\n" + INNER + b"\r\n0\r\n\r\n",
    "size-blank-inside": SIZE + b" " + SIZE + b"\r\n" + INNER + b"\r\n0\r\n\r\n",
    "no-crlf-after-data": SIZE + b"\r\n" + INNER + b"X0\r\n\r\n",
    "data-too-long": SIZE + b"\r\n" + INNER + b"!" + b"\r\n0\r\n\r\n",
    "bare-lf-after-size": SIZE + b"\n" + INNER + b"\r\n0\r\n\r\n",
    "bare-lf-after-data": SIZE + b"\r\n" + INNER + b"\n0\r\n\r\n",
    "bare-lf-in-extension": SIZE + b";a\nb\r\n" + INNER + b"\r\n0\r\n\r\n",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunks(server, s3, bucket, body):
    with server.raw() as c:
        reply = put_chunked(c, s3, bucket, body + b"GET /minio/health/live HTTP/1.1\r\nHost: second\r\n\r\n")
        assert reply.status == 400, reply
        assert reply.code
        assert c.at_end(), f"answered once more: {c.buffer[:80]!r}"
    assert s3.head(bucket, "k").status == 404


def test_chunked_without_any_length_is_refused(server, s3, bucket):
    with server.raw() as c:
        c.send(put_head(s3, bucket, "k", [("Transfer-Encoding", "chunked")]))
        c.try_send(b"5\r\nhello\r\n0\r\n\r\n")
        reply = c.reply()
        assert (reply.status, reply.code) == (411, "MissingContentLength")


def leave(conn, how):
    if how == "reset":
        conn.reset()
    else:
        conn.close()


@pytest.mark.sanitize
@pytest.mark.parametrize("how", ["close", "reset"])
def test_clients_vanish_in_every_phase(server, s3, bucket, how):
    """Nothing is stored, nothing leaks: the server answers afterwards with as many open files as before."""
    big = b"x" * 3_000_000
    assert s3.put(bucket, "big", big).status == 200
    whole = s3.build("PUT", f"/{bucket}/gone", [("Connection", "close")], big)
    head_end = whole.index(b"\r\n\r\n") + 4
    before = server.open_files()
    for cut in (0, 1, 10, head_end // 2, head_end - 1, head_end, head_end + 1, head_end + 70_000, len(whole) - 1):
        c = server.raw()
        c.try_send(whole[:cut])
        leave(c, how)
    for _ in range(5):
        c = server.raw()
        c.send(s3.build("GET", f"/{bucket}/big"))
        c.sock.recv(1000)
        leave(c, how)
        c = server.raw()
        c.send(put_head(s3, bucket, "gone", [("Expect", "100-continue"), ("Content-Length", "5")]))
        c.sock.recv(10)
        leave(c, how)
    wait_for(lambda: server.open_files() <= before + 2, 10, "connections and files to be closed")
    assert s3.head(bucket, "gone").status == 404
    assert s3.get(bucket, "big").body == big


@pytest.mark.sanitize
def test_vanished_after_the_whole_request(server, s3, bucket):
    """The request is complete, so it may be carried out; either way the server stays whole."""
    for i in range(20):
        c = server.raw()
        c.send(s3.build("PUT", f"/{bucket}/k{i}", body=b"z" * 1000))
        c.reset()
    assert s3.put(bucket, "after", b"1").status == 200
    for i in range(20):
        reply = s3.get(bucket, f"k{i}")
        assert reply.status == 404 or reply.body == b"z" * 1000


def test_half_closed_client_still_gets_its_reply(server, s3, bucket):
    import socket
    assert s3.put(bucket, "k", b"abc").status == 200
    with server.raw() as c:
        c.send(s3.build("GET", f"/{bucket}/k"))
        c.sock.shutdown(socket.SHUT_WR)
        assert c.reply().body == b"abc"


def test_slow_reader_does_not_hold_others(server, s3, bucket):
    big = os.urandom(8_000_000)
    assert s3.put(bucket, "big", big).status == 200
    with server.raw() as slow:
        slow.send(s3.build("GET", f"/{bucket}/big"))
        time_before = time.monotonic()
        for i in range(50):
            assert s3.put(bucket, f"k{i}", b"x").status == 200
        assert time.monotonic() - time_before < 5 * SCALE
        assert slow.reply().body == big


def test_errors_while_the_body_is_sent(server, s3, bucket):
    """A refused upload is answered although the client goes on sending."""
    data = s3.build("PUT", f"/missing-{bucket}/k", body=b"x" * 5_000_000)
    with server.raw() as c:
        c.try_send(data)
        reply = c.reply()
        assert (reply.status, reply.code) == (404, "NoSuchBucket")


@pytest.mark.sanitize
def test_many_requests_on_one_connection(server, s3, bucket):
    with server.raw() as c:
        for i in range(300):
            assert s3.put(bucket, "k", b"%d" % i, conn=c).status == 200
            assert s3.get(bucket, "k", conn=c).body == b"%d" % i


@pytest.mark.sanitize
def test_error_replies_keep_the_connection(server, s3, bucket):
    with server.raw() as c:
        for _ in range(3):
            assert s3.get(bucket, "nope", conn=c).status == 404
            assert s3.head(bucket, "nope", conn=c).status == 404
            assert s3.request("GET", f"/missing-{bucket}", conn=c).status == 404
        assert s3.put(bucket, "k", b"1", conn=c).status == 200


@pytest.mark.long
@pytest.mark.timeout(300)
def test_slow_heads_are_cut(server):
    """A client that dribbles its head does not hold a connection for ever."""
    with RawConn(server.host, server.port, timeout=200) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        end = time.monotonic() + 180
        try:
            while time.monotonic() < end:
                c.send(b"X-A: 1\r\n")
                if c.readable(1):
                    break
            reply = c.reply()
            assert reply.status in (400, 408), reply
            assert c.at_end()
        except (ConnectionEnded, OSError):
            pass                                    # closing without a word is right too
        assert time.monotonic() < end, "still open after three minutes"


def open_many(server, n, tls=None):
    conns = []
    for _ in range(n):
        c = RawConn(server.host, server.port, 30, tls)
        c.send(b"GET /minio/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        conns.append(c)
        assert c.reply().status == 200
    return conns


def close_all(conns):
    for c in conns:
        c.close()


def memory_per_connection(server, n, tls=None):
    """Growth of the resident size by n idle connections that have each made one request, per connection."""
    close_all(open_many(server, 200, tls))                      # what is allocated once is allocated now
    files = server.open_files()
    before = server.rss()
    conns = open_many(server, n, tls)
    wait_for(lambda: server.open_files() >= files + n - 200, 10, "the connections to be open")
    after = server.rss()
    close_all(conns)
    return (after - before) / n


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(SANITIZED, reason="sanitizers use memory of their own")
def test_memory_of_an_idle_connection(make_server, many_files):
    server = make_server().start()
    per = memory_per_connection(server, 2000)
    print(f"{per:.0f} bytes per idle connection")
    assert per <= 8 * 1024


@pytest.mark.skipif(SANITIZED, reason="sanitizers use memory of their own")
def test_memory_of_an_idle_tls_connection(make_server, many_files, authority, tmp_path):
    certs = tmp_path / "certs"
    certs.mkdir()
    authority.issue("idle", into=(certs / "public.crt", certs / "private.key"))
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    server = make_server(scheme="https", tls=context, args=["--certs-dir", str(certs)]).start()
    per = memory_per_connection(server, 1000, context)
    print(f"{per:.0f} bytes per idle TLS connection")
    assert per <= 40 * 1024
