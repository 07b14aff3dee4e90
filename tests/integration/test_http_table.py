# SPDX-License-Identifier: Apache-2.0
"""RFC 9112 held against raw bytes: one row, one socket, one expected answer.

Every refused row is followed on the wire by a second, valid request: if that one is
answered too, the server and whoever is in front of it disagree about where a request
ends (request smuggling), whatever the first status was."""
import pytest
from support.rawhttp import ConnectionEnded

pytestmark = pytest.mark.sanitize

OK_PATH = b"/minio/health/live"
SECOND = b"GET /minio/health/live HTTP/1.1\r\nHost: second\r\n\r\n"


def get(*headers, path=OK_PATH, version=b"HTTP/1.1", host=b"Host: x", method=b"GET", end=b"\r\n"):
    lines = [method + b" " + path + b" " + version] + ([host] if host else []) + list(headers)
    return end.join(lines) + end + end


def post(*headers, body=b""):
    return get(*headers, path=b"/b/k", method=b"PUT") + body


# (name, bytes, statuses that are right). All of them must close and carry an S3 error.
REFUSED = [
    ("length-and-chunked", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    ("chunked-and-length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"), 400),
    ("two-lengths-differ", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"), 400),
    ("two-lengths-same", post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    ("length-list", post(b"Content-Length: 5, 5", body=b"hello"), 400),
    ("length-negative", post(b"Content-Length: -5", body=b"hello"), 400),
    ("length-plus", post(b"Content-Length: +5", body=b"hello"), 400),
    ("length-hex", post(b"Content-Length: 0x5", body=b"hello"), 400),
    ("length-empty", post(b"Content-Length:", body=b""), 400),
    ("length-blank-inside", post(b"Content-Length: 1 0", body=b"0123456789"), 400),
    ("length-overflow", post(b"Content-Length: 99999999999999999999999", body=b"x"), 400),
    ("length-64-bit-wrap", post(b"Content-Length: 18446744073709551621", body=b"hello"), 400),
    ("te-unknown", post(b"Transfer-Encoding: rot13", body=b""), (400, 501)),
    ("te-gzip-only", post(b"Transfer-Encoding: gzip", body=b""), (400, 501)),
    ("te-chunked-not-last", post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), (400, 501)),
    ("te-chunked-twice", post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 400),
    ("te-two-headers", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), 400),
    ("te-vertical-tab", post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), 400),
    ("te-look-alike", post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), (400, 501)),
    ("te-in-1.0", get(b"Transfer-Encoding: chunked", path=b"/b/k", method=b"PUT", version=b"HTTP/1.0") + b"0\r\n\r\n",
     400),
    ("fold-blank", get(b"X-A: 1", b" folded: 2"), 400),
    ("fold-tab", get(b"X-A: 1", b"\tfolded"), 400),
    ("fold-first-line", b"GET /minio/health/live HTTP/1.1\r\n Host: x\r\n\r\n", 400),
    ("fold-hides-length", post(b"Content-Length: 5", b" 6", body=b"hello!"), 400),
    ("blank-before-colon", get(b"X-A : 1"), 400),
    ("tab-before-colon", get(b"X-A\t: 1"), 400),
    ("length-blank-before-colon", post(b"Content-Length : 5", body=b"hello"), 400),
    ("empty-name", get(b": 1"), 400),
    ("no-colon", get(b"nonsense"), 400),
    ("name-with-parenthesis", get(b"X-(A): 1"), 400),
    ("name-with-8-bit", get(b"X-\xfcber: 1"), 400),
    ("bare-lf-everywhere", get(end=b"\n"), 400),
    ("bare-lf-after-request-line", b"GET /minio/health/live HTTP/1.1\nHost: x\r\n\r\n", 400),
    ("bare-lf-after-header", b"GET /minio/health/live HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n", 400),
    ("bare-lf-at-the-end", b"GET /minio/health/live HTTP/1.1\r\nHost: x\r\n\n", 400),
    ("bare-cr-in-value", get(b"X-A: 1\r2"), 400),
    ("two-cr", b"GET /minio/health/live HTTP/1.1\r\r\nHost: x\r\n\r\n", 400),
    ("nul-in-value", get(b"X-A: 1\x002"), 400),
    ("nul-in-name", get(b"X\x00A: 1"), 400),
    ("nul-in-target", get(path=b"/minio/health/live\x00"), 400),
    ("control-in-value", get(b"X-A: 1\x012"), 400),
    ("no-host", get(host=None), 400),
    ("two-hosts", get(b"Host: y"), 400),
    ("two-hosts-same", get(b"Host: x"), 400),
    ("two-hosts-other-case", get(b"hOST: x"), 400),
    ("host-with-blank", get(host=b"Host: a b"), 400),
    ("http-0.9", b"GET /minio/health/live\r\n\r\n", 400),
    ("http-2.0", get(version=b"HTTP/2.0"), (400, 505)),
    ("http-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    ("http-3.1", get(version=b"HTTP/3.1"), (400, 505)),
    ("version-lower-case", get(version=b"http/1.1"), 400),
    ("version-broken", get(version=b"HTTP/1.x"), (400, 505)),
    ("version-two-digits", get(version=b"HTTP/1.10"), (400, 505)),
    ("absolute-form-other-scheme", get(path=b"ftp://x/minio/health/live"), 400),
    ("absolute-form-with-user", get(path=b"http://u@x/minio/health/live"), 400),
    ("absolute-form-without-host", get(path=b"http:///minio/health/live"), 400),
    ("authority-form", get(path=b"x:80", method=b"CONNECT"), (400, 405)),
    ("no-leading-slash", get(path=b"minio/health/live"), 400),
    ("blank-in-target", get(path=b"/minio/health/live x"), 400),
    ("two-blanks", b"GET  /minio/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("tab-for-blank", b"GET\t/minio/health/live\tHTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("no-target", b"GET HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ("method-lower-case", get(method=b"get"), (400, 405)),
    ("method-unknown", get(method=b"FROBNICATE"), (400, 405, 501)),
    ("tls-on-a-plain-port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400),
    ("garbage", b"\xde\xad\xbe\xef\r\n\r\n", 400),
    ("target-too-long", get(path=b"/" + b"a" * 100_000), (400, 414, 431)),
    ("head-too-large", get(b"X-A: " + b"a" * 300_000), (400, 431)),
    ("too-many-headers", get(*[b"X-%d: 1" % i for i in range(5000)]), (400, 431)),
]


@pytest.mark.parametrize("data,statuses", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(server, data, statuses):
    statuses = statuses if isinstance(statuses, tuple) else (statuses,)
    with server.raw() as c:
        c.try_send(data + SECOND)
        reply = c.reply()
        assert reply.status in statuses, reply
        assert (reply.get("connection") or "").lower() == "close", reply
        assert reply.get("content-type") == "application/xml"
        assert reply.code, "the body is an S3 error"
        assert reply.get("x-amz-request-id") == reply.xml.findtext("RequestId")
        assert c.at_end(), f"answered once more: {c.buffer[:100]!r}"


# Requests that are unusual and right: the connection goes on.
ACCEPTED = [
    ("plain", get()),
    ("crlf-before", b"\r\n" + get()),
    ("host-empty-value-name-case", get(host=b"hOsT: x:9000")),
    ("no-blank-after-colon", get(b"X-A:1")),
    ("blanks-around-value", get(b"X-A: \t  1 \t ")),
    ("empty-value", get(b"X-A:")),
    ("8-bit-value", get(b"X-A: \xfc\xe4")),
    ("length-zero", get(b"Content-Length: 0")),
    ("upgrade-h2c-ignored", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")),
    ("upgrade-websocket-ignored", get(b"Connection: Upgrade", b"Upgrade: websocket")),
    ("absolute-form", get(path=b"http://x:9000/minio/health/live")),
    ("absolute-form-two-hosts-same-name", get(path=b"HTTP://y/minio/health/live")),
    ("query", get(path=OK_PATH + b"?x=1&y")),
    ("head", get(method=b"HEAD")),
    ("fifty-headers", get(*[b"X-%d: 1" % i for i in range(50)])),
    ("te-header-is-not-transfer-encoding", get(b"TE: trailers")),
]


@pytest.mark.parametrize("data", [r[1] for r in ACCEPTED], ids=[r[0] for r in ACCEPTED])
def test_accepted(server, data):
    method = "HEAD" if data.startswith(b"HEAD") else "GET"
    with server.raw() as c:
        c.send(data)
        reply = c.reply(method)
        assert reply.status == 200, reply
        assert (reply.get("connection") or "").lower() != "close"
        c.send(SECOND)
        assert c.reply().status == 200


def test_the_same_byte_by_byte(server):
    with server.raw() as c:
        for b in get(b"X-A: 1"):
            c.send(bytes([b]))
        assert c.reply().status == 200


def test_http_1_0_closes(server):
    with server.raw() as c:
        c.send(get(version=b"HTTP/1.0"))
        assert c.reply().status == 200
        assert c.at_end()


def test_connection_close_is_kept(server):
    with server.raw() as c:
        c.send(get(b"Connection: close") + SECOND)
        reply = c.reply()
        assert reply.status == 200 and (reply.get("connection") or "").lower() == "close"
        assert c.at_end()


def test_pipelining_answers_in_order(server, s3, bucket):
    for i in range(5):
        assert s3.put(bucket, f"k{i}", b"%d" % i * 1000).status == 200
    data = b"".join(s3.build("GET", f"/{bucket}/k{i % 5}") for i in range(40))
    with server.raw() as c:
        c.send(data)
        for i in range(40):
            assert c.reply().body == b"%d" % (i % 5) * 1000


def test_pipelined_put_then_get(server, s3, bucket):
    with server.raw() as c:
        c.send(s3.build("PUT", f"/{bucket}/p", body=b"first") + s3.build("GET", f"/{bucket}/p"))
        assert c.reply().status == 200
        assert c.reply().body == b"first"


def test_body_of_a_get_is_not_taken_for_a_request(server):
    body = SECOND
    with server.raw() as c:
        c.send(get(b"Content-Length: %d" % len(body)) + body + get(method=b"HEAD"))
        assert c.reply().status == 200
        try:
            second = c.reply("HEAD")
        except ConnectionEnded:
            return                      # closing instead of reading the body away is right too
        assert second.status == 200 and c.buffer == b""
        assert not c.readable(0.3), "the body was answered as a request"


EXPECT_OTHER = get(b"Expect: a-pony")


def test_unknown_expectation(server):
    with server.raw() as c:
        c.send(EXPECT_OTHER)
        assert c.reply().status in (417, 400)
