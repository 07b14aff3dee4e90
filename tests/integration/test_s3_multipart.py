# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads, request by request: parts, completion, abort, what is refused, GET by part."""
import hashlib
import os
import threading
from xml.etree import ElementTree

import pytest
from support.multipart import MIB, NS, Upload, document, etag_of
from support.s3raw import key_path

BIG = os.urandom(5 * MIB)


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def upload(s3, bucket):
    return Upload(s3, bucket, "dir/big")


def text(reply, name):
    return ElementTree.fromstring(reply.body).findtext(NS + name)


# -- the whole way ---------------------------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("last", [0, 1, 1000, 40_000, 70_001, 6 * MIB])
def test_two_parts(s3, bucket, last):
    bodies = [BIG, os.urandom(last)]
    up = Upload(s3, bucket, "k", {"content-type": "image/png", "x-amz-meta-a": "1"})
    assert up.created.status == 200 and text(up.created, "Bucket") == bucket and text(up.created, "Key") == "k"
    for number, body in enumerate(bodies, 1):
        reply = up.put(number, body)
        assert reply.status == 200 and reply.get("etag") == f'"{md5(body)}"' and reply.body == b""
    assert s3.get(bucket, "k").code == "NoSuchKey"
    reply = up.complete()
    assert reply.status == 200, reply.body
    assert text(reply, "ETag") == f'"{etag_of(bodies)}"'
    assert text(reply, "Location") == f"http://127.0.0.1:{s3.server.port}/{bucket}/k"
    reply = s3.get(bucket, "k")
    assert reply.status == 200 and reply.body == b"".join(bodies)
    assert reply.get("etag") == f'"{etag_of(bodies)}"'
    assert (reply.get("content-type"), reply.get("x-amz-meta-a")) == ("image/png", "1")
    assert s3.get(bucket, "k", {"range": f"bytes={5 * MIB - 10}-"}).body == (BIG + bodies[1])[-10 - last:]
    assert up.list().code == "NoSuchUpload"


@pytest.mark.parametrize("body", [b"", b"x", b"y" * 100_000])
def test_one_part(s3, bucket, upload, body):
    assert upload.put(7, body).status == 200
    assert text(upload.complete(), "ETag") == f'"{etag_of([body])}"'
    reply = s3.get(bucket, "dir/big")
    assert reply.body == body and reply.get("etag") == f'"{etag_of([body])}"'


def test_the_last_upload_of_a_part_counts(s3, bucket, upload):
    upload.put(1, b"first")
    upload.put(1, BIG)
    upload.put(2, b"x" * 50_000)
    upload.put(2, b"end")
    upload.put(9, b"not used")
    assert upload.complete([(1, upload.etags[1]), (2, upload.etags[2])]).status == 200
    assert s3.get(bucket, "dir/big").body == BIG + b"end"


def test_etags_without_quotes_and_namespace(s3, bucket, upload):
    upload.put(1, b"body")
    xml = document([(1, md5(b"body"))]).replace(
        b"<CompleteMultipartUpload>", b'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">')
    assert s3.request("POST", upload.path(), body=xml).status == 200
    assert s3.get(bucket, "dir/big").body == b"body"


def test_replaces_an_object_and_is_replaced(s3, bucket, upload):
    s3.put(bucket, "dir/big", b"old")
    upload.put(1, BIG)
    upload.put(2, b"tail")
    assert upload.complete().status == 200
    assert s3.get(bucket, "dir/big").body == BIG + b"tail"
    s3.put(bucket, "dir/big", b"new")
    assert s3.get(bucket, "dir/big").body == b"new"


# -- idempotence, abort ----------------------------------------------------------------------------------------------

def test_complete_again(s3, bucket, upload):
    upload.put(1, BIG)
    upload.put(2, b"tail")
    first = upload.complete()
    again = upload.complete()
    assert (again.status, again.body) == (200, first.body)
    assert upload.complete(headers={"If-None-Match": "*"}).status == 200
    s3.put(bucket, "dir/big", b"another")
    reply = upload.complete()
    assert (reply.status, reply.code) == (404, "NoSuchUpload")
    assert s3.get(bucket, "dir/big").body == b"another"


def test_complete_twice_at_once(s3, bucket, upload):
    upload.put(1, BIG)
    upload.put(2, b"tail")
    replies = []
    threads = [threading.Thread(target=lambda: replies.append(upload.complete())) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.status for r in replies] == [200] * 4
    assert len({r.body for r in replies}) == 1


def test_abort(s3, bucket, upload):
    upload.put(1, BIG)
    assert upload.abort().status == 204
    for reply in (upload.abort(), upload.list(), upload.put(2, b"x"), upload.complete(),
                  upload.copy(3, key_path(bucket, "dir/big"))):
        assert (reply.status, reply.code) == (404, "NoSuchUpload")
    assert s3.get(bucket, "dir/big").code == "NoSuchKey"


def test_an_upload_belongs_to_its_key(s3, bucket, upload):
    upload.put(1, b"x")
    other = Upload(s3, bucket, "other")
    other.id = upload.id
    assert other.complete([(1, md5(b"x"))]).code == "NoSuchUpload"
    assert other.put(1, b"x").code == "NoSuchUpload"


def test_bucket_goes_with_open_uploads(s3, bucket, upload):
    upload.put(1, BIG)
    assert s3.request("DELETE", key_path(bucket)).status == 204
    assert upload.put(2, b"x").code == "NoSuchBucket"
    s3.make_bucket(bucket)
    assert upload.put(2, b"x").code == "NoSuchUpload"


# -- what is refused -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", "", "1.5"])
def test_part_numbers(upload, number):
    reply = upload.put(number, b"x")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


@pytest.mark.parametrize("upload_id", ["", "x", "0" * 32, "../x", "A" * 32, "%00" * 8])
def test_unknown_uploads(s3, bucket, upload_id):
    up = Upload(s3, bucket, "k")
    up.id = upload_id
    for reply in (up.put(1, b"x"), up.list(), up.complete([(1, "x")]), up.abort()):
        assert reply.code == ("XMinioInvalidResourceName" if upload_id == "../x" else "NoSuchUpload"), reply


def test_missing_bucket(s3):
    reply = s3.request("POST", "/missing-bucket-x/k?uploads")
    assert (reply.status, reply.code) == (404, "NoSuchBucket")
    reply = s3.request("GET", "/missing-bucket-x?uploads")
    assert (reply.status, reply.code) == (404, "NoSuchBucket")


def test_lists_that_are_refused(s3, upload):
    upload.put(1, BIG)
    upload.put(2, b"small")
    upload.put(3, b"end")
    one, two, three = (upload.etags[i] for i in (1, 2, 3))
    for parts, code in (([(1, one), (2, two), (3, three)], "EntityTooSmall"),
                        ([(2, two), (1, one)], "InvalidPartOrder"), ([(1, one), (1, one)], "InvalidPartOrder"),
                        ([(1, two)], "InvalidPart"), ([(4, one)], "InvalidPart"), ([(0, one)], "InvalidPart"),
                        ([(10001, one)], "InvalidPart"), ([("x", one)], "MalformedXML"),
                        ([(1, one, {"ChecksumCRC32": "AAAAAA=="})], "InvalidPart")):
        reply = upload.complete(parts)
        assert (reply.status, reply.code) == (400, code), (parts, reply.body)
    for body in (b"", b"x", b"<CompleteMultipartUpload/>", b"<A><Part/></A>", document([])):
        reply = s3.request("POST", upload.path(), body=body)
        assert (reply.status, reply.code) == (400, "MalformedXML"), body
    assert upload.complete([(1, one), (3, three)]).status == 200


def test_conditions(s3, bucket, upload):
    upload.put(1, b"new")
    assert upload.complete(headers={"If-Match": '"x"'}).code == "NoSuchKey"
    s3.put(bucket, "dir/big", b"old")
    assert upload.complete(headers={"If-None-Match": "*"}).status == 412
    assert upload.complete(headers={"If-Match": '"x"'}).status == 412
    assert upload.complete(headers={"x-amz-mp-object-size": "4"}).code == "InvalidRequest"
    assert s3.get(bucket, "dir/big").body == b"old"
    assert upload.complete(headers={"If-Match": f'"{md5(b"old")}"', "x-amz-mp-object-size": "3"}).status == 200
    assert s3.get(bucket, "dir/big").body == b"new"


def test_damaged_parts_are_refused(upload):
    reply = upload.put(1, b"x", {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    assert (reply.status, reply.code) == (400, "BadDigest")
    assert upload.list().body.count(b"<Part>") == 0


# -- GET and HEAD by part --------------------------------------------------------------------------------------------

def test_get_by_part(s3, bucket, upload):
    bodies = [BIG, os.urandom(5 * MIB + 3), b"tail" * 10_000]
    for number, body in zip((2, 5, 9), bodies):
        upload.put(number, body)
    assert upload.complete().status == 200
    size, at = sum(map(len, bodies)), 0
    for number, body in enumerate(bodies, 1):
        reply = s3.get(bucket, "dir/big", query=f"?partNumber={number}")
        assert reply.status == 206 and reply.body == body
        assert reply.get("x-amz-mp-parts-count") == "3"
        assert reply.get("content-range") == f"bytes {at}-{at + len(body) - 1}/{size}"
        head = s3.request("HEAD", key_path(bucket, "dir/big") + f"?partNumber={number}")
        assert (head.status, head.get("content-length")) == (206, str(len(body)))
        assert head.get("x-amz-mp-parts-count") == "3"
        at += len(body)
    reply = s3.get(bucket, "dir/big", query="?partNumber=4")
    assert (reply.status, reply.code) == (416, "InvalidPartNumber")
    reply = s3.get(bucket, "dir/big", {"range": "bytes=0-1"}, query="?partNumber=1")
    assert (reply.status, reply.code) == (400, "InvalidRequest")
    assert s3.get(bucket, "dir/big", query="?partNumber=0").code == "InvalidArgument"


def test_part_of_a_plain_object(s3, bucket):
    s3.put(bucket, "k", b"0123456789")
    reply = s3.get(bucket, "k", query="?partNumber=1")
    assert (reply.status, reply.body, reply.get("x-amz-mp-parts-count")) == (206, b"0123456789", None)
    assert s3.get(bucket, "k", query="?partNumber=2").code == "InvalidPartNumber"
    s3.put(bucket, "k", b"")
    assert s3.get(bucket, "k", query="?partNumber=1").status == 200


# -- copies ----------------------------------------------------------------------------------------------------------

def test_part_copies(s3, bucket, upload):
    s3.put(bucket, "source", BIG + b"more")
    s3.put(bucket, "tiny", b"tiny")
    s3.put(bucket, "empty", b"")
    source = key_path(bucket, "source")
    assert upload.copy(1, source).status == 200
    assert upload.etags[1] == f'"{md5(BIG + b"more")}"'
    assert upload.copy(2, source, f"bytes=2-{5 * MIB + 1}").status == 200
    assert upload.copy(3, key_path(bucket, "tiny"), "bytes=1-2").status == 200
    assert upload.copy(4, key_path(bucket, "empty")).status == 200
    whole = BIG + b"more"
    assert upload.complete([(n, upload.etags[n]) for n in (1, 2, 3)]).status == 200
    want = whole + whole[2:5 * MIB + 2] + b"in"
    assert s3.get(bucket, "dir/big").body == want
    # of an object that has parts itself, across their border
    up = Upload(s3, bucket, "again")
    assert up.copy(1, key_path(bucket, "dir/big"), f"bytes=1-{len(want) - 1}").status == 200
    assert up.complete().status == 200
    assert s3.get(bucket, "again").body == want[1:]


def test_part_copies_that_are_refused(s3, bucket, upload):
    s3.put(bucket, "source", b"0123456789")
    source = key_path(bucket, "source")
    for value in ("bytes=0-", "bytes=-5", "0-5", "bytes=5-1", "bytes=a-b", "bytes=1-2,4-5", ""):
        reply = upload.copy(1, source, value or " ")
        assert (reply.status, reply.code) == (400, "InvalidArgument"), value
    assert upload.copy(1, source, "bytes=0-10").status == 416
    assert upload.copy(1, key_path(bucket, "none")).code == "NoSuchKey"
    assert upload.copy(1, key_path("missing-bucket-x", "none")).code == "NoSuchBucket"
    assert upload.copy(1, "nonsense").code == "InvalidArgument"
    assert upload.copy(0, source).code == "InvalidArgument"
    for name, value in (("if-match", '"x"'), ("if-none-match", f'"{md5(b"0123456789")}"')):
        assert upload.copy(1, source, headers=[("x-amz-copy-source-" + name, value)]).status == 412


def test_copies_of_objects_with_parts(s3, bucket, upload):
    """A copy has bytes of its own and keeps ETag and parts; a change of metadata alone keeps the bytes."""
    bodies = [BIG] + [b"tail"]
    for number, body in enumerate(bodies, 1):
        upload.put(number, body)
    upload.complete()
    source = key_path(bucket, "dir/big")
    assert s3.put(bucket, "copy", headers={"x-amz-copy-source": source}).status == 200
    assert s3.put(bucket, "dir/big", headers={"x-amz-copy-source": source, "x-amz-metadata-directive": "REPLACE",
                                              "x-amz-meta-b": "2"}).status == 200
    assert s3.get(bucket, "dir/big").body == BIG + b"tail"
    assert s3.get(bucket, "dir/big", query="?partNumber=2").body == b"tail"
    assert s3.delete(bucket, "dir/big").status == 204
    reply = s3.get(bucket, "copy")
    assert reply.body == BIG + b"tail" and reply.get("etag") == f'"{etag_of(bodies)}"'
    assert s3.get(bucket, "copy", query="?partNumber=2").body == b"tail"


# -- many parts ------------------------------------------------------------------------------------------------------

def many_parts(s3, bucket, count):
    """Parts below 5 MiB cannot be completed, so the parts are copies of one object."""
    s3.put(bucket, "five", BIG)
    up = Upload(s3, bucket, "many")
    for number in range(1, count):
        assert up.copy(number, key_path(bucket, "five")).status == 200
    assert up.put(count, b"end").status == 200
    return up


@pytest.mark.timeout(600)
def test_forty_parts(s3, bucket):
    """More extents than an object's row holds."""
    up = many_parts(s3, bucket, 40)
    assert up.complete().status == 200
    assert s3.head(bucket, "many").get("content-length") == str(39 * 5 * MIB + 3)
    assert s3.get(bucket, "many", query="?partNumber=40").body == b"end"
    assert s3.get(bucket, "many", query="?partNumber=17").body == BIG
    at = 20 * 5 * MIB
    assert s3.get(bucket, "many", {"range": f"bytes={at - 4}-{at + 3}"}).body == BIG[-4:] + BIG[:4]
    assert s3.put(bucket, "copy", headers={"x-amz-copy-source": key_path(bucket, "many")}).status == 200
    assert s3.delete(bucket, "many").status == 204
    assert s3.get(bucket, "copy", query="?partNumber=40").body == b"end"
    for number in range(1, 40):
        at = (number - 1) * 5 * MIB
        assert s3.get(bucket, "copy", {"range": f"bytes={at}-{at + 5 * MIB - 1}"}).body == BIG, number
