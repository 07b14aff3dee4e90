# SPDX-License-Identifier: Apache-2.0
"""Put, get, head, delete: bodies, metadata, keys, ranges."""
import base64
import hashlib
import os
import re
from email.utils import parsedate_to_datetime

import pytest
from support.s3raw import key_path
from support.sigv4 import UNSIGNED

SIZES = [0, 1, 15, 1000, 4096, 32767, 65536, 100_000, 131_073, 1_000_000, 5_000_001]


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.mark.sanitize
@pytest.mark.parametrize("size", SIZES)
def test_sizes(s3, bucket, size):
    body = os.urandom(size)
    reply = s3.put(bucket, "k", body)
    assert reply.status == 200 and reply.body == b""
    assert reply.get("etag") == f'"{md5(body)}"'
    reply = s3.get(bucket, "k")
    assert reply.status == 200 and reply.body == body
    assert reply.get("content-length") == str(size)
    assert reply.get("etag") == f'"{md5(body)}"'
    reply = s3.head(bucket, "k")
    assert reply.status == 200 and reply.get("content-length") == str(size)


def test_overwrite_and_delete(s3, bucket):
    for body in (b"one", b"x" * 3_000_000, b"two", b"", b"y" * 2_000_000):
        assert s3.put(bucket, "k", body).status == 200
        assert s3.get(bucket, "k").body == body
    for _ in range(2):
        reply = s3.delete(bucket, "k")
        assert reply.status == 204 and reply.body == b""
        assert s3.get(bucket, "k").code == "NoSuchKey"


def test_dates(s3, bucket):
    reply = s3.put(bucket, "k", b"x")
    put_date = parsedate_to_datetime(reply.get("date"))
    reply = s3.head(bucket, "k")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", reply.get("last-modified"))
    assert abs((parsedate_to_datetime(reply.get("last-modified")) - put_date).total_seconds()) <= 2


def test_missing_bucket(s3):
    for reply in (s3.put("missing-bucket-x", "k", b"1"), s3.get("missing-bucket-x", "k"),
                  s3.delete("missing-bucket-x", "k"), s3.request("GET", "/missing-bucket-x")):
        assert (reply.status, reply.code) == (404, "NoSuchBucket")


# -- metadata --------------------------------------------------------------------------

STORED = {"content-type": "image/jpeg", "cache-control": "max-age=60", "content-disposition": 'attachment; filename="x"',
          "content-encoding": "gzip", "content-language": "de", "expires": "Wed, 21 Oct 2037 07:28:00 GMT"}


def test_stored_headers_come_back(s3, bucket):
    assert s3.put(bucket, "k", b"x", STORED).status == 200
    for reply in (s3.get(bucket, "k"), s3.head(bucket, "k")):
        for name, value in STORED.items():
            assert reply.get(name) == value, name


def test_overwriting_replaces_metadata(s3, bucket):
    assert s3.put(bucket, "k", b"x", dict(STORED, **{"x-amz-meta-a": "1"})).status == 200
    assert s3.put(bucket, "k", b"x").status == 200
    reply = s3.head(bucket, "k")
    assert reply.get("content-type") == "binary/octet-stream"
    assert reply.get("cache-control") is None and reply.get("x-amz-meta-a") is None


def test_user_metadata(s3, bucket):
    sent = {"x-amz-meta-foo": "bar", "X-Amz-Meta-MiXed": "Value", "x-amz-meta-empty": "", "x-amz-meta-blank": "a  b"}
    assert s3.put(bucket, "k", b"x", sent).status == 200
    reply = s3.head(bucket, "k")
    assert reply.get("x-amz-meta-foo") == "bar"
    assert reply.get("x-amz-meta-mixed") == "Value"
    assert reply.get("x-amz-meta-empty") == ""
    assert reply.get("x-amz-meta-blank") == "a  b"
    assert all(n == n.lower() for n, _ in reply.headers if n.lower().startswith("x-amz-meta-"))


def test_repeated_metadata_is_joined(s3, bucket):
    assert s3.put(bucket, "k", b"x", [("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]).status == 200
    assert s3.head(bucket, "k").get("x-amz-meta-a") == "1,2"


@pytest.mark.parametrize("sent,kept", [("aws-chunked", None), ("gzip,aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip"),
                                       ("gzip", "gzip")])
def test_aws_chunked_is_not_stored(s3, bucket, sent, kept):
    from support.sigv4 import UNSIGNED_TRAILER, unsigned_chunks
    data = b"hello"
    if "aws-chunked" in sent:
        reply = s3.put(bucket, "k", unsigned_chunks([data], ("x-amz-checksum-crc32", "NhCmhg==")),
                       {"content-encoding": sent, "x-amz-decoded-content-length": "5",
                        "x-amz-trailer": "x-amz-checksum-crc32"}, payload_hash=UNSIGNED_TRAILER)
    else:
        reply = s3.put(bucket, "k", data, {"content-encoding": sent})
    assert reply.status == 200, reply
    reply = s3.get(bucket, "k")
    assert reply.body == data and reply.get("content-encoding") == kept


def test_storage_class(s3, bucket):
    assert s3.put(bucket, "k", b"x", {"x-amz-storage-class": "STANDARD"}).status == 200
    assert s3.head(bucket, "k").get("x-amz-storage-class") is None
    assert s3.put(bucket, "k", b"x", {"x-amz-storage-class": "REDUCED_REDUNDANCY"}).status == 200
    assert s3.head(bucket, "k").get("x-amz-storage-class") == "REDUCED_REDUNDANCY"
    reply = s3.put(bucket, "k", b"x", {"x-amz-storage-class": "PLATINUM"})
    assert (reply.status, reply.code) == (400, "InvalidStorageClass")


OVERRIDES = {"response-content-type": "text/x", "response-content-language": "fr", "response-cache-control": "no-cache",
             "response-content-disposition": "inline", "response-content-encoding": "br",
             "response-expires": "Thu, 01 Dec 2037 16:00:00 GMT"}


def test_response_overrides(s3, bucket):
    from support.sigv4 import encode
    assert s3.put(bucket, "k", b"x", STORED).status == 200
    query = "?" + "&".join(f"{n}={encode(v)}" for n, v in OVERRIDES.items())
    reply = s3.get(bucket, "k", query=query)
    assert reply.status == 200
    for name, value in OVERRIDES.items():
        assert reply.get(name.removeprefix("response-")) == value, name


# -- integrity ----------------------------------------------------------------------------

def test_content_md5(s3, bucket):
    good = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert s3.put(bucket, "k", b"hello", {"Content-MD5": good}).status == 200
    reply = s3.put(bucket, "bad", b"hullo", {"Content-MD5": good})
    assert (reply.status, reply.code) == (400, "BadDigest")
    for value in ("zzz", "", "bm90IGEgZGlnZXN0"):
        reply = s3.put(bucket, "bad", b"hello", {"Content-MD5": value})
        assert (reply.status, reply.code) == (400, "InvalidDigest"), value
    assert s3.head(bucket, "bad").status == 404


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_wrong_sha256(s3, bucket, size):
    body = b"h" * size
    reply = s3.put(bucket, "bad", body, payload_hash=hashlib.sha256(b"other").hexdigest())
    assert (reply.status, reply.code) == (400, "XAmzContentSHA256Mismatch")
    assert s3.head(bucket, "bad").status == 404


def test_failed_put_keeps_the_old_object(s3, bucket):
    assert s3.put(bucket, "k", b"old").status == 200
    for body in (b"new", b"n" * 3_000_000):
        assert s3.put(bucket, "k", body, payload_hash="0" * 64).status == 400
        assert s3.get(bucket, "k").body == b"old"


def test_short_body_stores_nothing(server, s3, bucket):
    for size in (1000, 3_000_000):
        data = s3.build("PUT", f"/{bucket}/short", body=b"x" * size)
        with server.raw() as c:
            c.send(data[:-1])
    assert s3.head(bucket, "short").status == 404


def test_put_without_length(server, s3, bucket):
    with server.raw() as c:
        c.send(s3.build("PUT", f"/{bucket}/k", payload_hash=UNSIGNED, length=False))
        reply = c.reply()
        assert (reply.status, reply.code) == (411, "MissingContentLength")


def test_too_large(server, s3, bucket):
    with server.raw() as c:
        c.send(s3.build("PUT", f"/{bucket}/k", [("Content-Length", str(6 << 40))], payload_hash=UNSIGNED, length=False))
        reply = c.reply()
        assert (reply.status, reply.code) == (400, "EntityTooLarge")


# -- keys ------------------------------------------------------------------------------------

KEYS = ["a", "a/b", "a/b/c", "a//b", "/lead", "trail/", "with blank", "plus+plus", "ü/日本語/🜁", "per%cent", "q?x=1", "#hash",
        "<xml>&\"'", "a;b,c:d@e=f$g!h*i(j)k", "back\\slash", "...", "a..b", "..a", "~tilde", "\n", "tab\tkey", "k" * 1024,
        "ü" * 512, "%2F", "+", "=", "a" * 300 + "/" + "b" * 300]


@pytest.mark.parametrize("key", KEYS, ids=[ascii(k)[:40] for k in KEYS])
def test_keys(s3, bucket, key):
    body = key.encode()
    assert s3.put(bucket, key, body).status == 200
    assert s3.get(bucket, key).body == body
    assert s3.head(bucket, key).status == 200
    assert s3.delete(bucket, key).status == 204
    assert s3.get(bucket, key).status == 404


def test_a_flat_key_space(s3, bucket):
    for key in ("a", "a/", "a/b", "a/b/", "a//b"):
        assert s3.put(bucket, key, key.encode()).status == 200
    for key in ("a", "a/", "a/b", "a/b/", "a//b"):
        assert s3.get(bucket, key).body == key.encode()


@pytest.mark.parametrize("key", ["k" * 1025, "ü" * 513, "k" * 3000])
def test_keys_too_long(s3, bucket, key):
    reply = s3.put(bucket, key, b"x")
    assert (reply.status, reply.code) == (400, "KeyTooLongError")


@pytest.mark.parametrize("raw", ["%00", "a%00b", "%ff", "%c3%28", "%ed%a0%80"])
def test_keys_that_are_no_text(s3, bucket, raw):
    reply = s3.request("PUT", f"/{bucket}/{raw}", body=b"x")
    assert reply.status == 400 and reply.code, reply


def test_percent_encoded_slash_is_a_slash(s3, bucket):
    assert s3.request("PUT", f"/{bucket}/a%2Fb", body=b"1").status == 200
    assert s3.get(bucket, "a/b").body == b"1"


# -- ranges ----------------------------------------------------------------------------------

RANGES = [  # object of 10 bytes: header, status, first, last
    ("bytes=0-0", 206, 0, 0), ("bytes=1-3", 206, 1, 3), ("bytes=5-", 206, 5, 9), ("bytes=-3", 206, 7, 9),
    ("bytes=0-99", 206, 0, 9), ("bytes=-99", 206, 0, 9), ("bytes=9-9", 206, 9, 9), ("bytes=10-", 416, 0, 0),
    ("bytes=99-100", 416, 0, 0), ("bytes=-0", 416, 0, 0), ("bytes=0-1,3-4", 200, 0, 9), ("bytes=a-b", 200, 0, 9),
    ("lines=0-1", 200, 0, 9), ("bytes=", 200, 0, 9), ("bytes=-", 200, 0, 9), ("0-1", 200, 0, 9),
]


@pytest.mark.parametrize("header,status,first,last", RANGES, ids=[r[0] for r in RANGES])
def test_ranges(s3, bucket, header, status, first, last):
    assert s3.put(bucket, "k", b"0123456789").status == 200
    reply = s3.get(bucket, "k", {"Range": header})
    assert reply.status == status, reply
    if status == 416:
        assert reply.code == "InvalidRange"
        assert reply.xml.findtext("ActualObjectSize") == "10"
        return
    assert reply.body == b"0123456789"[first:last + 1]
    assert reply.get("content-range") == (f"bytes {first}-{last}/10" if status == 206 else None)
    head = s3.head(bucket, "k", {"Range": header})
    assert head.status == status and head.get("content-length") == str(last - first + 1)


def test_reversed_range(s3, bucket):
    assert s3.put(bucket, "k", b"0123456789").status == 200
    assert s3.get(bucket, "k", {"Range": "bytes=5-2"}).status in (416, 200)


def test_range_of_an_empty_object(s3, bucket):
    assert s3.put(bucket, "k", b"").status == 200
    assert s3.get(bucket, "k", {"Range": "bytes=0-0"}).status == 416


@pytest.mark.sanitize
def test_ranges_of_a_large_object(s3, bucket):
    body = os.urandom(3_000_003)
    assert s3.put(bucket, "k", body).status == 200
    with s3.server.raw() as c:
        for first, last in ((0, 0), (65535, 65536), (131071, 131072), (1_000_000, 2_999_999), (3_000_002, 3_000_002),
                            (0, 3_000_002), (12345, 1_234_567)):
            reply = s3.get(bucket, "k", {"Range": f"bytes={first}-{last}"}, conn=c)
            assert reply.status == 206 and reply.body == body[first:last + 1]
            assert reply.get("content-range") == f"bytes {first}-{last}/3000003"


def test_key_path_of_helpers():
    assert key_path("b", "a b/ü") == "/b/a%20b/%C3%BC"
