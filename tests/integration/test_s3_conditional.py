# SPDX-License-Identifier: Apache-2.0
"""Conditional requests and CopyObject."""
import threading
import time
from email.utils import formatdate

import pytest
from support.sigv4 import encode

OLD = formatdate(time.time() - 86400, usegmt=True)
NEW = formatdate(time.time() + 86400, usegmt=True)
TAG = '"5d41402abc4b2a76b9719d911017c592"'      # MD5 of b"hello"

# Headers of a GET or HEAD of an object whose ETag is TAG and which was just written.
READS = [
    ({"If-Match": TAG}, 200), ({"If-Match": TAG.strip('"')}, 200), ({"If-Match": "*"}, 200),
    ({"If-Match": f'"other", {TAG}'}, 200), ({"If-Match": '"other"'}, 412), ({"If-None-Match": TAG}, 304),
    ({"If-None-Match": TAG.strip('"')}, 304), ({"If-None-Match": "*"}, 304), ({"If-None-Match": f'"x", {TAG}'}, 304),
    ({"If-None-Match": '"other"'}, 200), ({"If-Modified-Since": OLD}, 200), ({"If-Modified-Since": NEW}, 304),
    ({"If-Modified-Since": "yesterday"}, 200), ({"If-Unmodified-Since": NEW}, 200), ({"If-Unmodified-Since": OLD}, 412),
    ({"If-Unmodified-Since": "yesterday"}, 200), ({"If-Match": TAG, "If-Unmodified-Since": OLD}, 200),
    ({"If-None-Match": '"other"', "If-Modified-Since": NEW}, 200), ({"If-Match": '"other"', "If-None-Match": TAG}, 304),
    ({"If-None-Match": TAG, "If-Modified-Since": OLD}, 304),
]


@pytest.mark.parametrize("headers,status", READS, ids=[", ".join(r[0]) + f" {i}" for i, r in enumerate(READS)])
def test_conditional_reads(s3, bucket, headers, status):
    assert s3.put(bucket, "k", b"hello", {"Cache-Control": "max-age=9"}).status == 200
    for reply in (s3.get(bucket, "k", headers), s3.head(bucket, "k", headers)):
        assert reply.status == status, reply
    reply = s3.get(bucket, "k", headers)
    if status == 304:
        assert reply.get("etag") == TAG and reply.get("last-modified") and reply.body == b""
        assert reply.get("cache-control") == "max-age=9"
    if status == 412:
        assert reply.code == "PreconditionFailed"


def test_own_modification_date(s3, bucket):
    assert s3.put(bucket, "k", b"hello").status == 200
    modified = s3.head(bucket, "k").get("last-modified")
    assert s3.get(bucket, "k", {"If-Modified-Since": modified}).status == 304
    assert s3.get(bucket, "k", {"If-Unmodified-Since": modified}).status == 200


@pytest.mark.sanitize
def test_conditional_put(s3, bucket):
    reply = s3.put(bucket, "k", b"x", {"If-Match": TAG})
    assert (reply.status, reply.code) == (404, "NoSuchKey")
    assert s3.put(bucket, "k", b"hello", {"If-None-Match": "*"}).status == 200
    reply = s3.put(bucket, "k", b"other", {"If-None-Match": "*"})
    assert (reply.status, reply.code) == (412, "PreconditionFailed")
    reply = s3.put(bucket, "k", b"other", {"If-None-Match": TAG})
    assert (reply.status, reply.code) == (412, "PreconditionFailed")
    reply = s3.put(bucket, "k", b"other", {"If-Match": '"0123"'})
    assert (reply.status, reply.code) == (412, "PreconditionFailed")
    assert s3.get(bucket, "k").body == b"hello"
    assert s3.put(bucket, "k", b"third", {"If-Match": TAG}).status == 200
    assert s3.get(bucket, "k").body == b"third"
    assert s3.delete(bucket, "k").status == 204
    assert s3.put(bucket, "k", b"again", {"If-None-Match": "*"}).status == 200


@pytest.mark.parametrize("size", [5, 2_000_000])
def test_conditional_put_with_a_large_body_fails_whole(s3, bucket, size):
    assert s3.put(bucket, "k", b"hello").status == 200
    reply = s3.put(bucket, "k", b"o" * size, {"If-None-Match": "*"})
    assert (reply.status, reply.code) == (412, "PreconditionFailed")
    assert s3.get(bucket, "k").body == b"hello"


@pytest.mark.sanitize
@pytest.mark.parametrize("size", [5, 1_500_000])
def test_of_many_creators_one_wins(s3, bucket, size):
    """The condition is decided at the commit, not when the request begins."""
    for round_number in range(5):
        statuses, barrier = [], threading.Barrier(8)

        def creator(number, key=f"k{round_number}", statuses=statuses, barrier=barrier):
            with s3.server.raw() as c:
                barrier.wait()
                statuses.append((s3.put(bucket, key, b"%d" % number * size, {"If-None-Match": "*"}, conn=c).status,
                                 number))

        threads = [threading.Thread(target=creator, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        winners = [n for status, n in statuses if status == 200]
        assert len(winners) == 1 and {s for s, _ in statuses} <= {200, 412, 409}, statuses
        assert s3.get(bucket, f"k{round_number}").body == b"%d" % winners[0] * size


def test_compare_and_swap_counts(s3, bucket):
    """Eight writers increment one number with If-Match: no increment is lost."""
    assert s3.put(bucket, "n", b"0").status == 200

    def increment(times):
        with s3.server.raw() as c:
            while times:
                reply = s3.get(bucket, "n", conn=c)
                tag = reply.get("etag")
                new = str(int(reply.body) + 1).encode()
                if s3.put(bucket, "n", new, {"If-Match": tag}, conn=c).status == 200:
                    times -= 1

    threads = [threading.Thread(target=increment, args=(10,)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert s3.get(bucket, "n").body == b"80"


# -- CopyObject ----------------------------------------------------------------------------

def copy(s3, bucket, key, source, headers=()):
    return s3.request("PUT", f"/{bucket}/{encode(key, '/')}", [("x-amz-copy-source", source), *dict(headers).items()])


@pytest.mark.sanitize
@pytest.mark.parametrize("size", [0, 5, 3_000_000])
def test_copy(s3, bucket, size):
    body = b"c" * size
    assert s3.put(bucket, "ü b/src", body, {"Content-Type": "image/x", "x-amz-meta-a": "1"}).status == 200
    for i, source in enumerate((f"/{bucket}/%C3%BC%20b/src", f"{bucket}/%C3%BC%20b%2Fsrc", f"{bucket}/%c3%bc%20b/src")):
        reply = copy(s3, bucket, f"dst{i}", source)
        assert reply.status == 200 and reply.get("content-type") == "application/xml", reply
        tree = reply.xml
        assert tree.tag == "CopyObjectResult"
        head = s3.head(bucket, f"dst{i}")
        assert tree.findtext("ETag") == head.get("etag") == s3.head(bucket, "ü b/src").get("etag")
        assert tree.findtext("LastModified").endswith("Z")
        assert head.get("content-type") == "image/x" and head.get("x-amz-meta-a") == "1"
    assert s3.delete(bucket, "ü b/src").status == 204
    for i in range(3):
        assert s3.get(bucket, f"dst{i}").body == body


def test_copy_between_buckets(s3, bucket):
    other = s3.make_bucket(bucket + "-2")
    assert s3.put(bucket, "k", b"x").status == 200
    assert copy(s3, other, "k", f"/{bucket}/k").status == 200
    assert s3.get(other, "k").body == b"x"


def test_copy_replaces_metadata(s3, bucket):
    assert s3.put(bucket, "k", b"x", {"Content-Type": "a/b", "x-amz-meta-a": "1", "Cache-Control": "no-cache"}).status == 200
    reply = copy(s3, bucket, "d", f"/{bucket}/k", {"x-amz-metadata-directive": "REPLACE", "x-amz-meta-b": "2",
                                                   "Content-Type": "c/d"})
    assert reply.status == 200
    head = s3.head(bucket, "d")
    assert head.get("content-type") == "c/d" and head.get("x-amz-meta-b") == "2"
    assert head.get("x-amz-meta-a") is None and head.get("cache-control") is None


def test_copy_ignores_metadata_without_replace(s3, bucket):
    assert s3.put(bucket, "k", b"x", {"x-amz-meta-a": "1"}).status == 200
    assert copy(s3, bucket, "d", f"/{bucket}/k", {"x-amz-meta-b": "2", "x-amz-metadata-directive": "COPY"}).status == 200
    head = s3.head(bucket, "d")
    assert head.get("x-amz-meta-a") == "1" and head.get("x-amz-meta-b") is None


@pytest.mark.parametrize("size", [5, 2_000_000])
def test_copy_onto_itself(s3, bucket, size):
    body = b"s" * size
    assert s3.put(bucket, "k", body, {"x-amz-meta-a": "1"}).status == 200
    reply = copy(s3, bucket, "k", f"/{bucket}/k")
    assert (reply.status, reply.code) == (400, "InvalidRequest")
    reply = copy(s3, bucket, "k", f"/{bucket}/k", {"x-amz-metadata-directive": "REPLACE", "x-amz-meta-b": "2"})
    assert reply.status == 200
    reply = s3.get(bucket, "k")
    assert reply.body == body and reply.get("x-amz-meta-b") == "2" and reply.get("x-amz-meta-a") is None
    assert copy(s3, bucket, "k", f"/{bucket}/k", {"x-amz-storage-class": "REDUCED_REDUNDANCY"}).status == 200
    assert s3.get(bucket, "k").body == body


COPY_ERRORS = [
    ("/{b}/nope", {}, 404, "NoSuchKey"), ("/missing-bucket-x/k", {}, 404, "NoSuchBucket"), ("{b}", {}, 400, "InvalidArgument"),
    ("/", {}, 400, "InvalidArgument"), ("/{b}/", {}, 400, "InvalidArgument"),
    ("/{b}/k", {"x-amz-metadata-directive": "MAYBE"}, 400, "InvalidArgument"),
    ("/{b}/k", {"x-amz-tagging-directive": "MAYBE"}, 400, "InvalidArgument"),
    ("/{b}/k?versionId=00000000-0000-4000-8000-000000000000", {}, 404, "NoSuchVersion"),
]


@pytest.mark.parametrize("source,headers,status,code", COPY_ERRORS, ids=[f"{r[0]}{r[1] or ''}" for r in COPY_ERRORS])
def test_copy_errors(s3, bucket, source, headers, status, code):
    assert s3.put(bucket, "k", b"x").status == 200
    reply = copy(s3, bucket, "d", source.format(b=bucket), headers)
    assert (reply.status, reply.code) == (status, code), reply
    assert s3.head(bucket, "d").status == 404


def test_copy_to_a_missing_bucket(s3, bucket):
    assert s3.put(bucket, "k", b"x").status == 200
    reply = copy(s3, "missing-bucket-x", "d", f"/{bucket}/k")
    assert (reply.status, reply.code) == (404, "NoSuchBucket")


COPY_CONDITIONS = [
    ({"x-amz-copy-source-if-match": TAG}, 200), ({"x-amz-copy-source-if-match": '"x"'}, 412),
    ({"x-amz-copy-source-if-none-match": TAG}, 412), ({"x-amz-copy-source-if-none-match": '"x"'}, 200),
    ({"x-amz-copy-source-if-modified-since": OLD}, 200), ({"x-amz-copy-source-if-modified-since": NEW}, 412),
    ({"x-amz-copy-source-if-unmodified-since": NEW}, 200), ({"x-amz-copy-source-if-unmodified-since": OLD}, 412),
    ({"x-amz-copy-source-if-match": TAG, "x-amz-copy-source-if-unmodified-since": OLD}, 200),
]


@pytest.mark.parametrize("headers,status", COPY_CONDITIONS, ids=[", ".join(n[18:] for n in r[0]) + f" {r[1]}" for r in COPY_CONDITIONS])
def test_copy_source_conditions(s3, bucket, headers, status):
    assert s3.put(bucket, "k", b"hello").status == 200
    reply = copy(s3, bucket, "d", f"/{bucket}/k", headers)
    assert reply.status == status, reply
    assert s3.head(bucket, "d").status == (200 if status == 200 else 404)


def test_copy_with_a_condition_on_the_destination(s3, bucket):
    assert s3.put(bucket, "k", b"hello").status == 200
    assert copy(s3, bucket, "d", f"/{bucket}/k", {"If-None-Match": "*"}).status == 200
    reply = copy(s3, bucket, "d", f"/{bucket}/k", {"If-None-Match": "*"})
    assert (reply.status, reply.code) == (412, "PreconditionFailed")


def test_copies_do_not_share_their_fate(s3, bucket):
    """A blob belongs to one row: deleting or overwriting either leaves the other alone."""
    body = bytes(range(256)) * 8000
    assert s3.put(bucket, "a", body).status == 200
    assert copy(s3, bucket, "b", f"/{bucket}/a").status == 200
    assert copy(s3, bucket, "c", f"/{bucket}/b").status == 200
    assert s3.put(bucket, "a", b"new").status == 200
    assert s3.delete(bucket, "b").status == 204
    assert s3.get(bucket, "c").body == body
