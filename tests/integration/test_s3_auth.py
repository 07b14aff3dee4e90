# SPDX-License-Identifier: Apache-2.0
"""Signatures: header, presigned, chunked; what is refused and how; checksums."""
import base64
import hashlib
import os
import time
import zlib

import pytest
from support import sigv4
from support.sigv4 import STREAMING, STREAMING_TRAILER, UNSIGNED, UNSIGNED_TRAILER, Signer, iso, unsigned_chunks


@pytest.fixture(scope="module")
def target(server):
    server.s3.make_bucket("auth-tests")
    assert server.s3.put("auth-tests", "k", b"hello").status == 200
    return "/auth-tests/k"


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply


def test_anonymous(s3, target):
    for method, path in (("GET", "/"), ("GET", target), ("PUT", target), ("DELETE", target), ("GET", "/auth-tests")):
        refused(s3.request(method, path, sign=False), 403, "AccessDenied")
    assert s3.request("HEAD", target, sign=False).status == 403


@pytest.mark.sanitize
def test_wrong_credentials(server, s3, target):
    refused(s3.request("GET", target, signer=Signer("nobody", server.password)), 403, "InvalidAccessKeyId")
    refused(s3.request("GET", target, signer=Signer(server.user, "wrong-secret")), 403, "SignatureDoesNotMatch")


def test_skew(s3, target):
    now = time.time()
    assert s3.request("GET", target, when=now - 14 * 60).status == 200
    assert s3.request("GET", target, when=now + 14 * 60).status == 200
    refused(s3.request("GET", target, when=now - 16 * 60), 403, "RequestTimeTooSkewed")
    refused(s3.request("GET", target, when=now + 16 * 60), 403, "RequestTimeTooSkewed")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "anything"])
def test_any_region_without_a_configured_one(server, s3, target, region):
    assert s3.request("GET", target, signer=Signer(server.user, server.password, region)).status == 200


def test_configured_region(make_server):
    server = make_server(env={"MINIO_REGION": "eu-test-1"}, region="eu-test-1").start()
    server.s3.make_bucket("region")
    other = Signer(server.user, server.password, "us-east-1")
    reply = server.s3.request("GET", "/region", signer=other)
    refused(reply, 400, "AuthorizationHeaderMalformed")
    assert "eu-test-1" in reply.xml.findtext("Message") and reply.xml.findtext("Region") == "eu-test-1"
    assert server.s3.request("GET", "/region?location", signer=other).status == 200
    assert server.s3.request("GET", "/", signer=other).status == 200
    reply = server.s3.request("GET", "/region?location")
    assert reply.xml.text == "eu-test-1"
    assert server.s3.request("HEAD", "/region").get("x-amz-bucket-region") == "eu-test-1"


def test_other_service_in_the_scope(server, s3, target):
    reply = s3.request("GET", target, signer=Signer(server.user, server.password, service="ec2"))
    assert reply.status == 400 and reply.code in ("AuthorizationParametersError", "AuthorizationHeaderMalformed")


# Changes to a good Authorization header, and the statuses that are right.
SPOILED = [
    ("no-signature", lambda h: h.split(", Signature=")[0], (400,)),
    ("no-credential", lambda h: "AWS4-HMAC-SHA256 " + h.split(", ", 1)[1], (400,)),
    ("no-signed-headers", lambda h: h.split(", ")[0] + ", " + h.split(", ")[2], (400,)),
    ("short-scope", lambda h: h.replace("/s3/aws4_request", ""), (400,)),
    ("wrong-terminator", lambda h: h.replace("aws4_request", "aws5_request"), (400,)),
    ("bad-date", lambda h: h.replace("/20", "/2x", 1), (400, 403)),
    ("signature-short", lambda h: h[:-1], (400, 403)),
    ("signature-upside-down", lambda h: h[:-64] + h[-64:][::-1], (403,)),
    ("signature-not-hex", lambda h: h[:-64] + "z" * 64, (400, 403)),
    ("host-not-signed", lambda h: h.replace("SignedHeaders=host;", "SignedHeaders="), (400, 403)),
    ("absent-header-signed", lambda h: h.replace("SignedHeaders=host;", "SignedHeaders=absent;host;"), (400, 403)),
    ("unknown-scheme", lambda h: "Digest " + h, (400,)),
    ("sigv4a", lambda h: h.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), (400, 501)),
    ("scheme-alone", lambda h: "AWS4-HMAC-SHA256", (400,)),
    ("bearer", lambda h: "Bearer abc", (400, 403)),
]


@pytest.mark.sanitize
@pytest.mark.parametrize("spoil,statuses", [r[1:] for r in SPOILED], ids=[r[0] for r in SPOILED])
def test_spoiled_authorization(server, s3, target, spoil, statuses):
    data = s3.build("GET", target)
    head, _, rest = data.partition(b"Authorization: ")
    value, _, rest = rest.partition(b"\r\n")
    with server.raw() as c:
        c.send(head + b"Authorization: " + spoil(value.decode()).encode() + b"\r\n" + rest)
        reply = c.reply()
        assert reply.status in statuses and reply.code, reply


def test_changed_after_signing(server, s3, target):
    data = s3.build("GET", target, {"Range": "bytes=0-1"})
    for old, new in ((b"bytes=0-1", b"bytes=0-2"), (b"GET /auth-tests/k", b"GET /auth-tests/j"), (b"/k HTTP", b"/k?x=1 HTTP")):
        with server.raw() as c:
            c.send(data.replace(old, new))
            refused(c.reply(), 403, "SignatureDoesNotMatch")


def test_two_mechanisms_at_once(server, s3, target):
    presigned = s3.signer.presign("GET", target, s3.host)
    refused(s3.request("GET", presigned), 400, "InvalidRequest")


@pytest.mark.parametrize("key", ["a b+c/ü~(1)*'!$&,;=:@[]#?%.txt", "x//y", "a%2Fb"])
def test_canonical_corner_cases(s3, target, key):
    assert s3.put("auth-tests", key, b"1", {"x-amz-meta-a": "one   two  three"}).status == 200
    assert s3.get("auth-tests", key).body == b"1"
    assert s3.request("GET", "/auth-tests?prefix=a%2Fb%20c%2Bd&delimiter=/&z").status == 200
    assert s3.request("GET", "/auth-tests?prefix=a+b&list-type=2").status == 200


# -- presigned -----------------------------------------------------------------------------

@pytest.mark.sanitize
def test_presigned(server, s3, target):
    def plain(method, presigned, body=b""):
        return s3.request(method, presigned, body=body, sign=False)

    assert plain("GET", s3.signer.presign("GET", target, s3.host)).body == b"hello"
    assert plain("HEAD", s3.signer.presign("HEAD", target, s3.host)).status == 200
    assert plain("PUT", s3.signer.presign("PUT", "/auth-tests/put", s3.host), b"by a browser").status == 200
    assert s3.get("auth-tests", "put").body == b"by a browser"
    assert plain("DELETE", s3.signer.presign("DELETE", "/auth-tests/put", s3.host)).status == 204
    refused(plain("PUT", s3.signer.presign("GET", target, s3.host), b"x"), 403, "SignatureDoesNotMatch")
    refused(plain("GET", s3.signer.presign("GET", target, s3.host).replace("/k?", "/j?")), 403, "SignatureDoesNotMatch")
    reply = plain("GET", s3.signer.presign("GET", target + "?response-content-type=text%2Fx", s3.host))
    assert reply.get("content-type") == "text/x"
    stranger = Signer("nobody", server.password)
    refused(plain("GET", stranger.presign("GET", target, s3.host)), 403, "InvalidAccessKeyId")


EXPIRIES = [(300, -301, 403, "AccessDenied"), (604800, -3600, 200, None), (604801, 0, 403, None), (0, 0, 403, None),
            (-7, 0, 403, None), ("x", 0, 400, "AuthorizationQueryParametersError"), (300, 20 * 60, 403, None),
            (1, -3, 403, "AccessDenied")]


@pytest.mark.parametrize("expires,offset,status,code", EXPIRIES, ids=[f"{e[0]}@{e[1]}" for e in EXPIRIES])
def test_expiry(s3, target, expires, offset, status, code):
    presigned = s3.signer.presign("GET", target, s3.host, expires, time.time() + offset)
    reply = s3.request("GET", presigned, sign=False)
    assert reply.status == status, reply
    assert code is None or reply.code == code


def test_presigned_parameter_missing(s3, target):
    presigned = s3.signer.presign("GET", target, s3.host)
    for name in ("X-Amz-Algorithm", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"):
        path, _, query = presigned.partition("?")
        cut = path + "?" + "&".join(p for p in query.split("&") if not p.startswith(name + "="))
        reply = s3.request("GET", cut, sign=False)
        assert reply.status in (400, 403) and reply.code, (name, reply)


def test_presigned_needs_its_metadata_signed(s3, target):
    presigned = s3.signer.presign("PUT", "/auth-tests/m", s3.host)
    reply = s3.request("PUT", presigned, {"x-amz-meta-a": "1"}, b"x", sign=False)
    assert reply.status in (400, 403), reply


# -- aws-chunked -----------------------------------------------------------------------------

def streaming_put(server, key, pieces, trailer=None, spoil=lambda b: b, decoded=None, checksum_name=None):
    """A signed chunked PUT on its own connection; spoil changes the body bytes after signing."""
    s3 = server.s3
    size = sum(map(len, pieces)) if decoded is None else decoded
    headers = [("Host", s3.host), ("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(size))]
    if trailer or checksum_name:
        headers.append(("x-amz-trailer", checksum_name or trailer[0]))
    when = time.time()
    signed = s3.signer.headers("PUT", f"/auth-tests/{key}", headers, STREAMING_TRAILER if trailer else STREAMING, when)
    seed = dict(signed)["Authorization"].rsplit("Signature=", 1)[1]
    body = spoil(s3.signer.chunks(iso(when), seed, pieces, trailer))
    head = f"PUT /auth-tests/{key} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed)
    with server.raw() as c:
        c.try_send((head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        return c.reply()


def crc32(data):
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


@pytest.mark.sanitize
@pytest.mark.parametrize("sizes", [[], [1], [65536, 1024], [8192] * 40 + [17], [1_000_000, 1_000_000, 3]])
def test_signed_chunks(server, s3, target, sizes):
    pieces = [os.urandom(n) for n in sizes]
    reply = streaming_put(server, "chunked", pieces)
    assert reply.status == 200, reply
    reply = s3.get("auth-tests", "chunked")
    assert reply.body == b"".join(pieces) and reply.get("content-encoding") is None
    assert reply.get("etag") == f'"{hashlib.md5(b"".join(pieces)).hexdigest()}"'


CHUNK_FAULTS = {
    "changed-data": (lambda b: b.replace(b"aaaa", b"aaab", 1), {(403, "SignatureDoesNotMatch")}),
    "changed-signature": (lambda b: b.replace(b"chunk-signature=", b"chunk-signature=0", 1)[:-1], None),
    "last-chunk-missing": (lambda b: b[:b.rindex(b"0;chunk")], {(400, "IncompleteBody")}),
    "no-signature": (lambda b: b.replace(b";chunk-signature=", b";x=", 1), None),
    "bad-size": (lambda b: b"zz" + b[2:], None),
    "size-too-large": (lambda b: b"fffffffffff" + b[b.index(b";"):], None),
    "garbage-for-a-body": (lambda b: b"not chunked at all", None),
    "empty-body": (lambda b: b"", None),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("spoil,right", CHUNK_FAULTS.values(), ids=CHUNK_FAULTS.keys())
@pytest.mark.parametrize("size", [100, 1_500_000])
def test_spoiled_chunks(server, s3, target, spoil, right, size):
    key = f"spoiled-{os.urandom(4).hex()}"
    reply = streaming_put(server, key, [b"a" * size, b"b" * 100], spoil=spoil)
    assert reply.status in (400, 403) and reply.code, reply
    assert right is None or (reply.status, reply.code) in right, reply
    assert s3.head("auth-tests", key).status == 404


@pytest.mark.parametrize("decoded", [199, 201, 0])
def test_decoded_length_must_be_true(server, s3, target, decoded):
    key = f"untrue-{decoded}"
    reply = streaming_put(server, key, [b"a" * 200], decoded=decoded)
    refused(reply, 400, "IncompleteBody")
    assert s3.head("auth-tests", key).status == 404


def test_decoded_length_is_needed(s3, target):
    reply = s3.put("auth-tests", "k2", b"0\r\n\r\n", payload_hash=UNSIGNED_TRAILER)
    refused(reply, 411, "MissingContentLength")


@pytest.mark.sanitize
@pytest.mark.parametrize("name,digest", [("x-amz-checksum-crc32", crc32), ("x-amz-checksum-crc32c", crc32c)])
def test_unsigned_trailer(s3, target, name, digest):
    data = os.urandom(5000)
    headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data)), "x-amz-trailer": name}
    good = unsigned_chunks([data[:4000], data[4000:]], (name, digest(data)))
    reply = s3.put("auth-tests", "t", good, headers, payload_hash=UNSIGNED_TRAILER)
    assert reply.status == 200 and reply.get(name) == digest(data), reply
    reply = s3.get("auth-tests", "t", {"x-amz-checksum-mode": "ENABLED"})
    assert reply.body == data and reply.get(name) == digest(data)
    for bad, codes in ((unsigned_chunks([data], (name, digest(b"x"))), {"BadDigest", "XAmzContentChecksumMismatch"}),
                       (unsigned_chunks([data]), None), (unsigned_chunks([data], ("x-other", "1")), None),
                       (unsigned_chunks([data], (name, "???")), None)):
        reply = s3.put("auth-tests", "bad", bad, headers, payload_hash=UNSIGNED_TRAILER)
        assert reply.status == 400 and (codes is None or reply.code in codes), reply
    assert s3.head("auth-tests", "bad").status == 404


UNKNOWN_STREAMING = ["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
                     "STREAMING-SOMETHING-NEW"]


@pytest.mark.parametrize("value", UNKNOWN_STREAMING)
def test_unknown_streaming_value(s3, target, value):
    reply = s3.put("auth-tests", "k2", b"x", {"x-amz-decoded-content-length": "1"}, payload_hash=value)
    refused(reply, 501, "NotImplemented")


@pytest.mark.parametrize("value", ["xyz", "E" * 63, ""])
def test_nonsense_payload_hash(s3, target, value):
    reply = s3.put("auth-tests", "k2", b"x", payload_hash=value)
    assert reply.status in (400, 403) and reply.code, reply


# -- checksums in headers ------------------------------------------------------------------------

@pytest.mark.parametrize("name,digest", [("x-amz-checksum-crc32", crc32), ("x-amz-checksum-crc32c", crc32c)])
def test_checksum_header(s3, target, name, digest):
    data = b"123456789"
    reply = s3.put("auth-tests", "c", data, {name: digest(data)})
    assert reply.status == 200 and reply.get(name) == digest(data)
    assert reply.get("x-amz-checksum-type") == "FULL_OBJECT"
    enabled = {"x-amz-checksum-mode": "ENABLED"}
    for reply in (s3.get("auth-tests", "c", enabled), s3.head("auth-tests", "c", enabled)):
        assert reply.get(name) == digest(data) and reply.get("x-amz-checksum-type") == "FULL_OBJECT"
    assert s3.get("auth-tests", "c").get(name) is None
    assert s3.get("auth-tests", "c", dict(enabled, Range="bytes=0-1")).get(name) is None
    reply = s3.put("auth-tests", "bad", data, {name: digest(b"other")})
    assert reply.status == 400 and reply.code in ("BadDigest", "XAmzContentChecksumMismatch")
    for value in ("zz", "AAAAAAAA", "!!!!!!=="):
        reply = s3.put("auth-tests", "bad", data, {name: value})
        assert reply.status == 400 and reply.code in ("InvalidArgument", "InvalidRequest"), reply
    assert s3.head("auth-tests", "bad").status == 404


def test_known_checksums():
    assert crc32(b"123456789") == "y/Q5Jg==" and crc32c(b"123456789") == "4waSgw=="


def test_two_checksums(s3, target):
    reply = s3.put("auth-tests", "bad", b"x", {"x-amz-checksum-crc32": crc32(b"x"), "x-amz-checksum-crc32c": crc32c(b"x")})
    assert reply.status == 400 and reply.code in ("InvalidRequest", "InvalidArgument")


def test_unsigned_payload(s3, target):
    assert s3.put("auth-tests", "u", b"anything", payload_hash=UNSIGNED).status == 200
    assert s3.get("auth-tests", "u").body == b"anything"


def test_the_signer_itself():
    """The published example: GET /test.txt with a Range, 24 May 2013."""
    signer = sigv4.Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    signed = signer.headers("GET", "/test.txt", [("host", "examplebucket.s3.amazonaws.com"), ("Range", "bytes=0-9")],
                            sigv4.EMPTY_SHA256, when=1369353600)
    assert dict(signed)["Authorization"].endswith("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
