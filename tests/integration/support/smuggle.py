# SPDX-License-Identifier: Apache-2.0
"""Requests of which a server and whoever stands before it may disagree where they end.

Each row is a first request ("carrier", a signed PUT or GET whose framing is odd), what is hidden behind or in it
("smuggled": a whole, validly signed PUT), and an honest request that follows on the connection ("follow": another PUT).
What came of it is seen by effects: which of the three objects exist. Sources: RFC 9112 (6.1, 6.3, 7.1, 11.2), RFC 9110
(5.5, 7.2, 10.1.1), and the published classes: CL.TE, TE.CL, TE.TE, CL.0, 0.CL, TE.0, double lengths, line ends, Expect."""
import base64
import zlib

from .sigv4 import EMPTY_SHA256, UNSIGNED, UNSIGNED_TRAILER, unsigned_chunks


class Row:
    """What one case needs to make its bytes: names of its three objects, signed."""

    def __init__(self, s3, bucket, name):
        self.s3, self.bucket, self.name = s3, bucket, name
        self.smuggled = self.put("smuggled", body=b"S")
        self.follow = self.put("follow", body=b"F")

    def path(self, what):
        return f"/{self.bucket}/{self.name}-{what}"

    def head(self, what, *lines, method="PUT", version="1.1", signed=(), payload=UNSIGNED, target=None, host=True):
        """A signed head, then the lines as they are (bytes, each ended by CRLF), without the empty line."""
        path = self.path(what)
        headers = self.s3.signer.headers(method, path, [("Host", self.s3.host), *signed], payload)
        text = f"{method} {target or path} HTTP/{version}\r\n"
        text += "".join(f"{n}: {v}\r\n" for n, v in headers if host or n != "Host")
        return text.encode("latin-1") + b"".join(line + b"\r\n" for line in lines)

    def put(self, what, *lines, body=b"", length=True, **kw):
        lines += (b"Content-Length: %d" % len(body),) if length else ()
        return self.head(what, *lines, **kw) + b"\r\n" + body

    def get(self, *lines, body=b"", **kw):
        return self.head("seen", *lines, method="GET", payload=EMPTY_SHA256, **kw) + b"\r\n" + body

    def chunked(self, *lines, te=(b"Transfer-Encoding: chunked",), body=None, trailer=b"", ext=b"", data=None, **kw):
        """A PUT of `data` in aws-chunked form within HTTP's own chunks; body: other bytes in their place."""
        data = self.smuggled if data is None else data
        crc = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
        inner = unsigned_chunks([data], ("x-amz-checksum-crc32", crc))
        signed = [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(len(data))),
                  ("x-amz-trailer", "x-amz-checksum-crc32")]
        if body is None:
            body = b"%x%s\r\n%s\r\n0%s\r\n%s\r\n" % (len(inner), ext, inner, ext, trailer)
        return self.head("carrier", *te, *lines, signed=signed, payload=UNSIGNED_TRAILER, **kw) + b"\r\n" + body


CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"


def te(value, end=True):
    """A PUT with this Transfer-Encoding line and no length: 0, then the smuggled request."""
    return lambda r: r.chunked(te=(value,), body=(END if end else b"") + r.smuggled)


def both(length, coding=CHUNKED, order=1):
    def make(r):
        body = END + r.smuggled
        lines = (length if isinstance(length, bytes) else b"Content-Length: %d" % len(body), coding)[::order]
        return r.head("carrier", *lines) + b"\r\n" + body
    return make


def lengths(*lines):
    """A PUT with these Content-Length lines (%d: the smuggled request's), behind it that request."""
    return lambda r: (r.head("carrier", *(x % len(r.smuggled) if b"%d" in x else x for x in lines)) + b"\r\n" + r.smuggled)


def bad_chunk(body):
    """A chunked body in which the smuggled request begins after `body`."""
    return lambda r: r.chunked(body=body + r.smuggled + END)


def line(text):
    """An odd line in an otherwise good PUT whose body is the smuggled request."""
    return lambda r: r.put("carrier", text, body=r.smuggled)


# name, bytes, statuses of the replies (the first to what comes first), objects made: c(arrier) s(muggled) f(ollow).
# Without f the connection is closed after the last status. Never s: nothing frames it as a request of its own, but where a row
# is about honest pipelining.
ROWS = [
    # length and coding together
    ("cl-te", both(None), [400], ""),
    ("te-cl", both(None, order=-1), [400], ""),
    ("cl-0-te", both(b"Content-Length: 0"), [400], ""),
    ("cl-te-other-case", both(None, b"tRANSFER-eNCODING: CHUNKED"), [400], ""),
    ("cl-te-identity", both(None, b"Transfer-Encoding: identity"), [400], ""),
    ("cl-te-empty", both(None, b"Transfer-Encoding:"), [400], ""),
    ("cl-te-twice", both(None, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow"), [400], ""),
    # the coding, disguised
    ("te-xchunked", te(b"Transfer-Encoding: xchunked"), [400], ""),
    ("te-blank-before-colon", te(b"Transfer-Encoding : chunked"), [400], ""),
    ("te-tab-before-colon", te(b"Transfer-Encoding\t: chunked"), [400], ""),
    ("te-vertical-tab", te(b"Transfer-Encoding:\x0bchunked"), [400], ""),
    ("te-form-feed", te(b"Transfer-Encoding: \x0cchunked"), [400], ""),
    ("te-nul-after", te(b"Transfer-Encoding: chunked\x00"), [400], ""),
    ("te-quoted", te(b'Transfer-Encoding: "chunked"'), [400], ""),
    ("te-parameter", te(b"Transfer-Encoding: chunked;q=1"), [400], ""),
    ("te-chunked-gzip", te(b"Transfer-Encoding: chunked, gzip"), [400], ""),
    ("te-gzip-chunked", te(b"Transfer-Encoding: gzip, chunked"), [501], ""),
    ("te-chunked-twice", te(b"Transfer-Encoding: chunked, chunked"), [400], ""),
    ("te-chunked-identity-lines", te(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"), [400], ""),
    ("te-bare-cr", te(b"X: a\rTransfer-Encoding: chunked"), [400], ""),
    ("te-bare-lf", te(b"X: a\nTransfer-Encoding: chunked"), [400], ""),
    ("te-fold", te(b"Transfer-Encoding:\r\n chunked"), [400], ""),
    ("te-underscore", te(b"Transfer_Encoding: chunked"), [400, 400], ""),   # no body, as there is no framing
    ("te-nbsp", te(b"Transfer-Encoding: \xa0chunked"), [400], ""),
    ("te-in-1.0", lambda r: r.chunked(version="1.0", body=END + r.smuggled), [400], ""),
    ("te-good-with-blanks", lambda r: r.chunked(te=(b"Transfer-Encoding: \t chunked \t",)), [200, 200], "cf"),
    ("te-good-without-blank", lambda r: r.chunked(te=(b"transfer-encoding:CHUNKED",)), [200, 200], "cf"),
    # lengths
    ("cl-cl-differ", lengths(b"Content-Length: 0", b"Content-Length: %d"), [400], ""),
    ("cl-cl-same", lengths(b"Content-Length: %d", b"Content-Length: %d"), [400], ""),
    ("cl-list", lengths(b"Content-Length: 0, %d"), [400], ""),
    ("cl-plus", lengths(b"Content-Length: +0"), [400], ""),
    ("cl-minus", lengths(b"Content-Length: -1"), [400], ""),
    ("cl-hex", lengths(b"Content-Length: 0x0"), [400], ""),
    ("cl-blank-inside", lengths(b"Content-Length: 0 %d"), [400], ""),
    ("cl-fraction", lengths(b"Content-Length: 0.0"), [400], ""),
    ("cl-exponent", lengths(b"Content-Length: 0e1"), [400], ""),
    ("cl-octal-look", lengths(b"Content-Length: 000"), [200, 200, 200], "csf"),  # zeros are zeros: honest pipelining
    ("cl-wraps-64-bits", lengths(b"Content-Length: 18446744073709551616"), [400], ""),
    ("cl-wraps-32-bits", lengths(b"Content-Length: 4294967296000000000000"), [400], ""),
    ("cl-blank-before-colon", lengths(b"Content-Length : %d"), [400], ""),
    ("cl-fold", lengths(b"Content-Length: 0\r\n 1"), [400], ""),
    ("cl-empty", lengths(b"Content-Length:"), [400], ""),
    ("cl-underscore", lengths(b"Content_Length: %d", b"Content-Length: 0"), [200, 200, 200], "csf"),
    ("cl-named-by-connection", lambda r: r.put("carrier", b"Connection: content-length, keep-alive", body=r.smuggled),
     [200, 200], "cf"),
    ("te-named-by-connection", lambda r: r.chunked(b"Connection: transfer-encoding"), [200, 200], "cf"),
    # bodies where none is looked for
    ("cl-0-put", lambda r: r.put("carrier", body=r.smuggled), [200, 200], "cf"),
    ("cl-0-get", lambda r: r.get(b"Content-Length: %d" % len(r.smuggled), body=r.smuggled), [404, 200], "f"),
    ("0-cl-get-without-length", lambda r: r.get() + r.smuggled, [404, 200, 200], "sf"),      # honest pipelining
    ("te-0-get", lambda r: r.get(CHUNKED, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(r.smuggled), r.smuggled)), [404, 200], "f"),
    ("cl-0-missing-bucket", lambda r: r.put("carrier", body=r.smuggled).replace(f"/{r.bucket}/".encode(), b"/no-such/", 1),
     [403, 200], "f"),
    ("cl-0-bad-signature", lambda r: r.put("carrier", body=r.smuggled).replace(b"Signature=", b"Signature=f", 1),
     [403, 200], "f"),
    ("cl-0-upgrade-h2c", lambda r: r.put("carrier", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                                         b"HTTP2-Settings: AAMAAABkAAQAAP__", body=r.smuggled), [200, 200], "cf"),
    ("cl-0-upgrade-websocket", lambda r: r.put("carrier", b"Connection: Upgrade", b"Upgrade: websocket",
                                               b"Sec-WebSocket-Version: 13", body=r.smuggled), [200, 200], "cf"),
    ("cl-0-options", lambda r: b"OPTIONS /x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(r.smuggled) + r.smuggled,
     [200, 200], "f"),
    ("cl-0-trace", lambda r: b"TRACE / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(r.smuggled) + r.smuggled,
     [400], ""),
    ("cl-0-connect", lambda r: b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n" + r.smuggled, [400], ""),
    # chunks
    ("chunk-honest", lambda r: r.chunked(), [200, 200], "cf"),
    ("chunk-size-sign", bad_chunk(b"+0\r\n\r\n"), [400], ""),
    ("chunk-size-0x", bad_chunk(b"0x0\r\n\r\n"), [400], ""),
    ("chunk-size-blank", bad_chunk(b"0 \r\n\r\n"), [400], ""),
    ("chunk-size-wraps", bad_chunk(b"10000000000000000\r\n"), [400], ""),
    ("chunk-size-negative", bad_chunk(b"-1\r\n\r\n"), [400], ""),
    ("chunk-size-empty", bad_chunk(b"\r\n\r\n"), [400], ""),
    ("chunk-size-bare-lf", bad_chunk(b"0\n\r\n"), [400], ""),
    ("chunk-end-bare-lf", bad_chunk(b"0\r\n\n"), [400], ""),
    ("chunk-data-too-long", bad_chunk(b"1\r\nab\r\n0\r\n\r\n"), [400], ""),
    ("chunk-ext-bare-lf", bad_chunk(b"0;a\n\r\n\r\n"), [400], ""),
    ("chunk-ext-bare-cr", bad_chunk(b"0;a\rb\r\n\r\n"), [400], ""),
    ("chunk-ext-quoted-line-end", bad_chunk(b'0;a="\r\n\r\n'), [400], ""),
    ("chunk-ext-quoted-honest", lambda r: r.chunked(ext=b';a="b;\\"c"'), [200, 200], "cf"),
    ("chunk-ext-endless", bad_chunk(b"0;" + b"a" * 100_000 + b"\r\n\r\n"), [400], ""),
    ("chunk-ext-honest", lambda r: r.chunked(ext=b";name=value"), [200, 200], "cf"),
    ("chunk-trailer-bare-lf", bad_chunk(b"0\r\nX: y\n\r\n"), [400], ""),
    ("chunk-trailer-fold", bad_chunk(b"0\r\nX: y\r\n z\r\n\r\n"), [400], ""),
    ("chunk-trailer-endless", bad_chunk(b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"), [400], ""),
    ("chunk-trailer-length", lambda r: r.chunked(trailer=b"Content-Length: 100\r\nTransfer-Encoding: chunked\r\n"),
     [200, 200], "cf"),
    ("chunk-trailer-identity", lambda r: r.chunked(trailer=b"Host: evil\r\nAuthorization: x\r\nx-amz-meta-evil: 1\r\n"),
     [200, 200], "cf"),
    # line ends and names
    ("lf-only", lambda r: r.put("carrier", body=r.smuggled).replace(b"\r\n", b"\n"), [400], ""),
    ("lf-ends-head", lambda r: r.head("carrier", b"Content-Length: %d" % len(r.smuggled)) + b"\n" + r.smuggled, [400], ""),
    ("cr-only", line(b"X: a\rContent-Length: 0"), [400], ""),
    ("crcrlf", line(b"X: a\r"), [400], ""),
    ("fold", line(b"X: a\r\n b"), [400], ""),
    ("fold-before-first", lambda r: r.put("carrier", body=r.smuggled).replace(b"\r\nHost", b"\r\n Host", 1), [400], ""),
    ("no-colon", line(b"X"), [400], ""),
    ("empty-name", line(b": x"), [400], ""),
    ("blank-before-colon", line(b"X : y"), [400], ""),
    ("nul-in-name", line(b"X\x00Y: z"), [400], ""),
    ("nul-in-value", line(b"X: \x00"), [400], ""),
    ("very-long-line", line(b"X: " + b"a" * 1_000_000), [400], ""),
    ("crlf-before-next", lambda r: r.put("carrier", body=b"x") + b"\r\n", [200, 200], "cf"),
    ("two-crlf-before-next", lambda r: r.put("carrier", body=b"x") + b"\r\n\r\n", [200, 400], "c"),
    ("length-too-short", lambda r: r.put("carrier", b"Content-Length: 1", length=False, body=b"x" + b"y"), [200, 400], "c"),
    # hosts and targets
    ("two-hosts", line(b"Host: evil"), [400], ""),
    ("no-host", lambda r: r.put("carrier", body=r.smuggled, host=False), [400], ""),
    ("host-list", lambda r: r.put("carrier", body=r.smuggled).replace(b"Host: ", b"Host: evil, ", 1), [400], ""),
    ("absolute-form-other-host", lambda r: r.put("carrier", body=r.smuggled, target="http://evil" + r.path("carrier")),
     [403, 200], "f"),                                       # the signature is over the other host
    ("absolute-form-same-host", lambda r: r.put("carrier", body=r.smuggled, target=f"http://{r.s3.host}" + r.path("carrier")),
     [200, 200], "cf"),
    ("blank-in-target", lambda r: r.put("carrier", body=r.smuggled, target=r.path("carrier") + " x"), [400], ""),
    ("fragment-in-target", lambda r: r.put("carrier", body=r.smuggled, target=r.path("carrier") + "#x"), [400], ""),
    ("http-0.9", lambda r: f"PUT {r.path('carrier')}\r\n".encode() + r.smuggled, [400], ""),
    ("http-2.0", lambda r: r.put("carrier", version="2.0", body=r.smuggled), [505], ""),
    ("http-1.0-pipelined", lambda r: r.put("carrier", version="1.0", body=b"x") + r.smuggled, [200], "c"),
    ("http-1.0-keep-alive", lambda r: r.put("carrier", b"Connection: keep-alive", version="1.0", body=r.smuggled),
     [200, 200], "cf"),
    ("close-pipelined", lambda r: r.put("carrier", b"Connection: close", body=b"x") + r.smuggled, [200], "c"),
    ("close-hidden-in-a-list", lambda r: r.put("carrier", b"Connection: x, ClOsE ,y", body=b"x") + r.smuggled, [200], "c"),
    # expectations
    ("expect-body-at-once", lambda r: r.put("carrier", b"Expect: 100-continue", body=r.smuggled), [200, 200], "cf"),
    ("expect-refused", lambda r: r.put("carrier", b"Expect: 100-continue", body=r.smuggled)
     .replace(b"Signature=", b"Signature=f", 1), [403], ""),
    ("expect-get", lambda r: r.get(b"Expect: 100-continue", b"Content-Length: %d" % len(r.smuggled), body=r.smuggled),
     [404], ""),
    ("expect-other", line(b"Expect: y 100-continue"), [417], ""),
    ("expect-list", line(b"Expect: 100-continue, y"), [417], ""),
    ("expect-in-1.0", lambda r: r.put("carrier", b"Expect: 100-continue", version="1.0", body=b"x") + r.smuggled, [200], "c"),
    ("expect-chunked", lambda r: r.chunked(b"Expect: 100-continue"), [200, 200], "cf"),
    # what must mean nothing
    ("method-override", line(b"X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE"), [200, 200], "cf"),
    ("forwarded-host", line(b"X-Forwarded-Host: evil\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil"), [200, 200], "cf"),
]
