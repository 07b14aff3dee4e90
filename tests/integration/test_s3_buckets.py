# SPDX-License-Identifier: Apache-2.0
"""Buckets, their names, what every reply carries, and what is answered 501 or 400."""
import re

import pytest
from support.s3raw import NS

OWNER = "02d6176db174dc93cb1b899f7c6078f08654445fe8cf1b6ce98d8855f66bdbf4"


@pytest.mark.sanitize
def test_life_of_a_bucket(s3):
    reply = s3.request("PUT", "/life-of-a-bucket")
    assert reply.status == 200 and reply.get("location") == "/life-of-a-bucket" and reply.body == b""
    reply = s3.request("HEAD", "/life-of-a-bucket")
    assert reply.status == 200 and reply.get("x-amz-bucket-region")
    assert s3.request("GET", "/life-of-a-bucket").status == 200
    reply = s3.request("PUT", "/life-of-a-bucket")
    assert (reply.status, reply.code) == (409, "BucketAlreadyOwnedByYou")
    assert s3.put("life-of-a-bucket", "k", b"1").status == 200
    reply = s3.request("DELETE", "/life-of-a-bucket")
    assert (reply.status, reply.code) == (409, "BucketNotEmpty")
    assert s3.delete("life-of-a-bucket", "k").status == 204
    reply = s3.request("DELETE", "/life-of-a-bucket/")
    assert reply.status == 204 and reply.body == b"" and reply.get("content-length") in (None, "0")
    assert s3.request("HEAD", "/life-of-a-bucket").status == 404
    reply = s3.request("DELETE", "/life-of-a-bucket")
    assert (reply.status, reply.code) == (404, "NoSuchBucket")


@pytest.mark.sanitize
def test_a_bucket_made_again_is_empty(s3):
    s3.make_bucket("made-again")
    assert s3.put("made-again", "old", b"1").status == 200
    assert s3.request("DELETE", "/made-again", {"x-minio-force-delete": "true"}).status == 204
    assert s3.get("made-again", "old").code == "NoSuchBucket"
    s3.make_bucket("made-again")
    assert s3.get("made-again", "old").code == "NoSuchKey"
    listing = s3.request("GET", "/made-again?list-type=2").xml
    assert listing.findtext("KeyCount") == "0"


def test_list_buckets(s3):
    for name in ("list-b", "list-a", "list-c"):
        s3.make_bucket(name)
    reply = s3.request("GET", "/")
    assert reply.status == 200 and reply.get("content-type") == "application/xml"
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    assert f'<ListAllMyBucketsResult xmlns="{NS}">'.encode() in reply.body
    tree = reply.xml
    assert tree.findtext("Owner/ID") == OWNER
    names = [b.findtext("Name") for b in tree.iter("Bucket")]
    assert names == sorted(names) and {"list-a", "list-b", "list-c"} <= set(names)
    for b in tree.iter("Bucket"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", b.findtext("CreationDate"))


def test_location(s3, bucket):
    reply = s3.request("GET", f"/{bucket}?location=")
    assert reply.status == 200
    assert reply.xml.tag == "LocationConstraint" and not reply.xml.text
    assert NS.encode() in reply.body
    assert s3.request("GET", "/missing-bucket-x?location").code == "NoSuchBucket"


def test_create_with_configuration(s3):
    for i, region in enumerate(("", "us-east-1")):
        body = f'<CreateBucketConfiguration xmlns="{NS}"><LocationConstraint>{region}</LocationConstraint>' \
               "</CreateBucketConfiguration>"
        assert s3.request("PUT", f"/with-configuration-{i}", body=body.encode()).status == 200
    reply = s3.request("PUT", "/with-bad-xml", body=b"<Create")
    assert (reply.status, reply.code) == (400, "MalformedXML")


BAD_NAMES = ["ab", "a" * 64, "Upper", "under_score", ".dot", "dot.", "-dash", "dash-", "a..b", "a.-b", "a-.b",
             "192.168.0.1", "with%20blank", "%C3%BCber", "minio"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_bucket_names(s3, name):
    reply = s3.request("PUT", f"/{name}")
    assert (reply.status, reply.code) in ((400, "InvalidBucketName"), (403, "AllAccessDisabled")), reply


@pytest.mark.parametrize("name", ["abc", "a" * 63, "0digit", "with.dots", "with-dashes"])
def test_good_bucket_names(s3, name):
    assert s3.request("PUT", f"/{name}").status == 200
    assert s3.request("DELETE", f"/{name}").status == 204


def test_every_reply_has_the_common_headers(s3, bucket):
    assert s3.put(bucket, "k", b"1").status == 200
    ids = set()
    for method, target in (("GET", "/"), ("GET", f"/{bucket}"), ("HEAD", f"/{bucket}/k"), ("GET", f"/{bucket}/nope"),
                           ("GET", f"/{bucket}/k"), ("PATCH", "/"), ("DELETE", "/")):
        reply = s3.request(method, target)
        assert reply.get("server") == "MinIO"
        assert reply.get("accept-ranges") == "bytes"
        assert re.fullmatch(r"[0-9A-F]{16}", reply.get("x-amz-request-id")), reply
        assert re.fullmatch(r"[0-9a-f]{64}", reply.get("x-amz-id-2")), reply
        assert reply.get("date")
        assert reply.get("x-amz-request-id") not in ids
        ids.add(reply.get("x-amz-request-id"))


def test_form_of_an_error(s3, bucket):
    reply = s3.get(bucket, "no <such> & key")
    assert reply.status == 404 and reply.get("content-type") == "application/xml"
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    tree = reply.xml
    assert tree.tag == "Error"
    assert tree.findtext("Code") == "NoSuchKey"
    assert tree.findtext("Message") == "The specified key does not exist."
    assert tree.findtext("Key") == "no <such> & key"
    assert tree.findtext("BucketName") == bucket
    assert tree.findtext("RequestId") == reply.get("x-amz-request-id")
    assert tree.findtext("HostId") == reply.get("x-amz-id-2")
    assert tree.findtext("Resource").startswith(f"/{bucket}/no")


def test_form_of_a_head_error(s3, bucket):
    reply = s3.head(bucket, "nope")
    assert reply.status == 404 and reply.body == b""
    assert reply.get("x-minio-error-code") == "NoSuchKey"
    assert reply.get("x-minio-error-desc") == '"The specified key does not exist."'
    reply = s3.request("HEAD", "/missing-bucket-x")
    assert reply.status == 404 and reply.get("x-minio-error-code") == "NoSuchBucket"


NOT_BUILT = [
    ("PUT", "?policy"), ("PUT", "?lifecycle"), ("PUT", "?encryption"), ("PUT", "?object-lock"), ("PUT", "?replication"),
    ("PUT", "?versioning"), ("PUT", "?tagging"), ("PUT", "?cors"), ("PUT", "?website"), ("PUT", "?logging"),
    ("PUT", "?publicAccessBlock"), ("PUT", "?ownershipControls"), ("GET", "?inventory"),
    ("GET", "?metrics"), ("GET", "?analytics"), ("GET", "?intelligent-tiering"), ("PUT", "?accelerate"),
    ("PUT", "?requestPayment"), ("GET", "/k?torrent"), ("POST", "/k?select&select-type=2"), ("POST", "/k?restore"),
]


@pytest.mark.parametrize("method,rest", NOT_BUILT, ids=[f"{m}{r}" for m, r in NOT_BUILT])
def test_operations_that_are_not_built(s3, bucket, method, rest):
    """Never silently something else: a PUT ?acl must not make an object, a DELETE ?policy not delete the bucket."""
    assert s3.put(bucket, "k", b"content").status == 200
    reply = s3.request(method, f"/{bucket}{rest}", body=b"<x/>" if method in ("PUT", "POST") else b"")
    if (reply.status, reply.code) != (501, "NotImplemented"):
        # What a client asks every bucket about may be answered as 'not configured' or empty.
        assert method == "GET" and reply.status in (200, 404), reply
        assert reply.code not in ("NoSuchBucket", "NoSuchKey"), reply
        assert b"ListBucketResult" not in reply.body and reply.body != b"content"
    assert s3.get(bucket, "k").body == b"content"


NO_OPERATION = [("POST", "/{b}/k"), ("PATCH", "/{b}/k"), ("DELETE", "/"), ("PUT", "/"), ("POST", "/{b}"), ("PATCH", "/{b}"),
                ("HEAD", "/")]


@pytest.mark.parametrize("method,target", NO_OPERATION, ids=[f"{m}{t}" for m, t in NO_OPERATION])
def test_what_is_no_operation(s3, bucket, method, target):
    reply = s3.request(method, target.format(b=bucket))
    assert (reply.status, reply.code) == (400, "BadRequest"), reply


REFUSED_HEADERS = [
    ("x-amz-server-side-encryption", "AES256"), ("x-amz-server-side-encryption", "aws:kms"),
    ("x-amz-server-side-encryption-aws-kms-key-id", "k"), ("x-amz-object-lock-mode", "GOVERNANCE"),
    ("x-amz-object-lock-retain-until-date", "2030-01-01T00:00:00Z"), ("x-amz-object-lock-legal-hold", "ON"),
    ("x-amz-acl", "public-read"), ("x-amz-acl", "public-read-write"), ("x-amz-grant-read", 'id="x"'),
    ("x-amz-grant-write", 'id="x"'), ("x-amz-grant-full-control", 'id="x"'), ("x-amz-grant-read-acp", 'id="x"'),
    ("x-amz-grant-write-acp", 'id="x"'), ("x-amz-website-redirect-location", "/x"), ("x-amz-write-offset-bytes", "0"),
]


@pytest.mark.parametrize("name,value", REFUSED_HEADERS, ids=[f"{n}={v}" for n, v in REFUSED_HEADERS])
def test_headers_that_must_not_be_ignored(s3, bucket, name, value):
    reply = s3.put(bucket, "k", b"secret", {name: value})
    assert (reply.status, reply.code) == (501, "NotImplemented"), reply
    assert s3.head(bucket, "k").status == 404


def test_sse_c_is_refused(s3, bucket):
    headers = {"x-amz-server-side-encryption-customer-algorithm": "AES256",
               "x-amz-server-side-encryption-customer-key": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
               "x-amz-server-side-encryption-customer-key-md5": "FONMLVmYRbxXKg8jjvGyrA=="}
    reply = s3.put(bucket, "k", b"secret", headers)
    assert (reply.status, reply.code) in ((501, "NotImplemented"), (400, "InvalidRequest"))
    assert s3.head(bucket, "k").status == 404


def test_default_acl_is_accepted(s3, bucket):
    assert s3.put(bucket, "k", b"x", {"x-amz-acl": "private"}).status == 200


@pytest.mark.parametrize("path", ["/{b}/../x", "/{b}/a/../b", "/{b}/.", "/{b}/a/./b", "/{b}/%2e%2e/x", "/../x", "/{b}/a/.."])
def test_dot_segments(s3, bucket, path):
    reply = s3.request("GET", path.format(b=bucket))
    assert (reply.status, reply.code) == (400, "XMinioInvalidResourceName"), reply


def test_dot_segments_in_a_query(s3, bucket):
    reply = s3.request("GET", f"/{bucket}?prefix=a/../b")
    assert (reply.status, reply.code) == (400, "XMinioInvalidResourceName"), reply
    assert s3.request("GET", f"/{bucket}?delimiter=..").status == 200
    assert s3.request("GET", f"/{bucket}?prefix=a..b").status == 200


def test_internal_headers_are_refused(s3, bucket):
    reply = s3.put(bucket, "k", b"x", {"X-Minio-Internal-Foo": "1"})
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_metadata_too_large(s3, bucket):
    reply = s3.put(bucket, "k", b"x", {"x-amz-meta-a": "v" * 2100})
    assert (reply.status, reply.code) == (400, "MetadataTooLarge")
    reply = s3.put(bucket, "k", b"x", {"x-other": "v" * 9000})
    assert (reply.status, reply.code) == (400, "MetadataTooLarge")
    assert s3.put(bucket, "k", b"x", {"x-amz-meta-a": "v" * 1900}).status == 200


def test_options(server):
    with server.raw() as c:
        c.send(b"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = c.reply()
        assert reply.status == 200 and reply.body == b""
