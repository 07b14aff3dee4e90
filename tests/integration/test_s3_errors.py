# SPDX-License-Identifier: Apache-2.0
"""Every error that an operation can give, one row each: status, code, and the document around it. Errors of the signature
itself are in test_s3_auth, of framing in test_http_table, of a full or failing disk in test_storage."""
import base64
import glob
import hashlib
import os
import re
import urllib.parse

import pytest
from support.server import ROOT
from support.sigv4 import UNSIGNED

MD5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
COPY = "x-amz-copy-source"
TAGGING = b"<Tagging><TagSet><Tag><Key>%s</Key><Value/></Tag></TagSet></Tagging>"
RULE = "<NotificationConfiguration>{}</NotificationConfiguration>"
SHA = hashlib.sha256(b"other").hexdigest()


def delete_headers(body):
    return {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}


# method, target, headers, body, status, code. {b}: a bucket that holds "k" (b"hello").
ERRORS = [
    # 400
    ("PUT", "/{b}/x", {"x-amz-storage-class": "GLACIER"}, b"x", 400, "InvalidStorageClass"),
    ("PUT", "/{b}/x", {"Content-MD5": "zzz"}, b"x", 400, "InvalidDigest"),
    ("PUT", "/{b}/x", {"Content-MD5": MD5}, b"x", 400, "BadDigest"),
    ("PUT", "/{b}/x", {"x-amz-checksum-crc32": "AAAAAA=="}, b"x", 400, "BadDigest"),
    ("PUT", "/{b}/x", {"x-amz-checksum-crc32": "A"}, b"x", 400, "InvalidRequest"),
    ("PUT", "/{b}/x", {"x-amz-meta-a": "v" * 2100}, b"x", 400, "MetadataTooLarge"),
    ("PUT", "/{b}/" + "k" * 1025, {}, b"x", 400, "KeyTooLongError"),
    ("PUT", "/{b}/%FF", {}, b"x", 400, "XMinioInvalidObjectName"),
    ("PUT", "/{b}/a/../x", {}, b"x", 400, "XMinioInvalidResourceName"),
    ("PUT", "/{b}/x", {"X-Minio-Internal-A": "1"}, b"x", 400, "InvalidArgument"),
    ("PUT", "/{b}/x", {"x-amz-tagging": "a=1&a=1"}, b"x", 400, "InvalidTag"),
    ("PUT", "/{b}/x", {"x-amz-tagging": "%"}, b"x", 400, "InvalidArgument"),
    ("PUT", "/{b}/k?tagging", {}, TAGGING % b"aws:a", 400, "InvalidTag"),
    ("PUT", "/{b}/k?tagging", {}, b"<Tagging>", 400, "MalformedXML"),
    ("PUT", "/{b}/x", {COPY: "nonsense"}, b"", 400, "InvalidArgument"),
    ("PUT", "/{b}/x", {COPY: "/{b}/k", "x-amz-metadata-directive": "X"}, b"", 400, "InvalidArgument"),
    ("PUT", "/{b}/k", {COPY: "/{b}/k"}, b"", 400, "InvalidRequest"),
    ("PUT", "/{b}/k?retention", {}, b"<x/>", 400, "InvalidRequest"),
    ("GET", "/{b}/k?legal-hold", {}, b"", 400, "InvalidRequest"),
    ("GET", "/{b}/k?versionId=x", {}, b"", 400, "InvalidArgument"),
    ("GET", "/{b}?max-keys=x", {}, b"", 400, "InvalidArgument"),
    ("GET", "/{b}?list-type=2&continuation-token=x", {}, b"", 400, "InvalidArgument"),
    ("GET", "/{b}?versions&version-id-marker=null", {}, b"", 400, "InvalidArgument"),
    ("PUT", "/AB", {}, b"", 400, "InvalidBucketName"),
    ("PUT", "/new-bucket-x", {}, b"<CreateBucketConfiguration>", 400, "MalformedXML"),
    ("POST", "/{b}?delete", {}, b"<Delete/>", 400, "MissingContentMD5"),
    ("POST", "/{b}?delete", {"x-amz-checksum-algorithm": "CRC32"}, b"<Delete/>", 400, "MissingContentMD5"),
    ("POST", "/{b}?delete", delete_headers(b"<Delete/>"), b"<Delete/>", 400, "MalformedXML"),
    ("PUT", "/{b}?notification", {}, b"<a", 400, "MalformedXML"),
    ("PUT", "/{b}?notification", {}, RULE.format("<QueueConfiguration><Queue>arn:minio:sqs::9:webhook</Queue><Event>s3:ObjectCreated:*"
                                                 "</Event></QueueConfiguration>").encode(), 400, "InvalidArgument"),
    ("PUT", "/{b}?acl", {}, b"", 400, "MissingSecurityHeader"),
    ("PATCH", "/{b}/k", {}, b"", 400, "BadRequest"),
    ("POST", "/{b}/k", {}, b"", 400, "BadRequest"),
    # 404
    ("GET", "/{b}/nope", {}, b"", 404, "NoSuchKey"),
    ("GET", "/missing-bucket-x/k", {}, b"", 404, "NoSuchBucket"),
    ("GET", "/missing-bucket-x", {}, b"", 404, "NoSuchBucket"),
    ("PUT", "/missing-bucket-x/k", {}, b"x", 404, "NoSuchBucket"),
    ("DELETE", "/missing-bucket-x/k", {}, b"", 404, "NoSuchBucket"),
    ("DELETE", "/missing-bucket-x", {}, b"", 404, "NoSuchBucket"),
    ("POST", "/missing-bucket-x?delete", delete_headers(b"<Delete/>"), b"<Delete/>", 404, "NoSuchBucket"),
    ("PUT", "/{b}/x", {COPY: "/{b}/nope"}, b"", 404, "NoSuchKey"),
    ("PUT", "/{b}/x", {COPY: "/missing-bucket-x/k"}, b"", 404, "NoSuchBucket"),
    ("PUT", "/{b}/nope", {"If-Match": '"x"'}, b"x", 404, "NoSuchKey"),
    ("GET", "/{b}/k?versionId=00000000-0000-4000-8000-000000000000", {}, b"", 404, "NoSuchVersion"),
    ("GET", "/{b}/nope?tagging", {}, b"", 404, "NoSuchKey"),
    ("GET", "/{b}?policy", {}, b"", 404, "NoSuchBucketPolicy"),
    ("GET", "/{b}?lifecycle", {}, b"", 404, "NoSuchLifecycleConfiguration"),
    ("GET", "/{b}?tagging", {}, b"", 404, "NoSuchTagSet"),
    ("GET", "/{b}?encryption", {}, b"", 404, "ServerSideEncryptionConfigurationNotFoundError"),
    ("GET", "/{b}?object-lock", {}, b"", 404, "ObjectLockConfigurationNotFoundError"),
    ("GET", "/{b}?replication", {}, b"", 404, "ReplicationConfigurationNotFoundError"),
    ("GET", "/{b}?cors", {}, b"", 404, "NoSuchCORSConfiguration"),
    ("GET", "/{b}?website", {}, b"", 404, "NoSuchWebsiteConfiguration"),
    # 409, 412, 416, 501
    ("PUT", "/{b}", {}, b"", 409, "BucketAlreadyOwnedByYou"),
    ("DELETE", "/{b}", {}, b"", 409, "BucketNotEmpty"),
    ("GET", "/{b}/k", {"If-Match": '"x"'}, b"", 412, "PreconditionFailed"),
    ("PUT", "/{b}/k", {"If-None-Match": "*"}, b"x", 412, "PreconditionFailed"),
    ("PUT", "/{b}/k", {"If-Match": '"x"'}, b"x", 412, "PreconditionFailed"),
    ("PUT", "/{b}/x", {COPY: "/{b}/k", "x-amz-copy-source-if-match": '"x"'}, b"", 412, "PreconditionFailed"),
    ("PUT", "/{b}/k", {COPY: "/{b}/k", "x-amz-metadata-directive": "REPLACE", "If-None-Match": "*"}, b"", 412,
     "PreconditionFailed"),
    ("DELETE", "/{b}/k", {"If-Match": '"x"'}, b"", 412, "PreconditionFailed"),
    ("GET", "/{b}/k", {"Range": "bytes=5-"}, b"", 416, "InvalidRange"),
    ("PUT", "/{b}/x", {"x-amz-server-side-encryption": "AES256"}, b"x", 501, "NotImplemented"),
    ("PUT", "/{b}?policy", {}, b"{}", 501, "NotImplemented"),
    ("GET", "/{b}?inventory", {}, b"", 501, "NotImplemented"),
]


@pytest.fixture(scope="module")
def held(s3):
    s3.make_bucket("errors-held")
    assert s3.put("errors-held", "k", b"hello").status == 200
    return "errors-held"


@pytest.mark.parametrize("method,target,headers,body,status,code", ERRORS,
                         ids=[f"{r[5]}-{r[0]}{i}" for i, r in enumerate(ERRORS)])
def test_error(s3, held, method, target, headers, body, status, code):
    target = target.format(b=held)
    headers = {n: v.format(b=held) for n, v in headers.items()}
    reply = s3.request(method, target, headers, body)
    assert (reply.status, reply.code) == (status, code), reply
    assert reply.get("content-type") == "application/xml" and reply.body.startswith(b"<?xml")
    tree = reply.xml
    assert tree.tag == "Error" and tree.findtext("Message")
    assert tree.findtext("RequestId") == reply.get("x-amz-request-id") and tree.findtext("HostId") == reply.get("x-amz-id-2")
    assert tree.findtext("Resource") is not None
    path = urllib.parse.unquote(target.partition("?")[0], errors="replace").lstrip("/")
    assert tree.findtext("BucketName") in (path.partition("/")[0], None)
    assert s3.get(held, "k").body == b"hello", "and nothing was changed"
    if not held_only(s3, held):
        pytest.fail("an object was made")


def held_only(s3, held):
    return [k.text for k in s3.request("GET", f"/{held}").xml.iter("Key")] == ["k"]


@pytest.mark.parametrize("target,status,code", [("/{b}/nope", 404, "NoSuchKey"), ("/missing-bucket-x/k", 404, "NoSuchBucket"),
                                                ("/missing-bucket-x", 404, "NoSuchBucket"),
                                                ("/{b}/k?versionId=x", 400, "InvalidArgument")])
def test_error_without_a_body(s3, held, target, status, code):
    reply = s3.request("HEAD", target.format(b=held))
    assert (reply.status, reply.get("x-minio-error-code")) == (status, code) and reply.get("x-minio-error-desc")


def test_missing_length(s3, held):
    with s3.server.raw() as c:
        c.send(s3.build("PUT", f"/{held}/x", payload_hash=UNSIGNED, length=False))
        reply = c.reply()
    assert (reply.status, reply.code) == (411, "MissingContentLength")


def test_content_hash(s3, held):
    reply = s3.put(held, "x", b"hello", payload_hash=SHA)
    assert (reply.status, reply.code) == (400, "XAmzContentSHA256Mismatch")


def test_too_large(s3, held):
    with s3.server.raw() as c:
        head = s3.build("PUT", f"/{held}/x", payload_hash=UNSIGNED, length=False)
        c.send(head[:-2] + b"Content-Length: 5368709121\r\n\r\n")
        reply = c.reply()
    assert (reply.status, reply.code) == (400, "EntityTooLarge")


def test_anonymous(server, held):
    for target, status, code in ((f"/{held}/k", 403, "AccessDenied"), ("/", 403, "AccessDenied"),
                                 (f"/{held}/k?response-content-type=a%2Fb", 400, "InvalidRequest")):
        with server.raw() as c:
            c.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            reply = c.reply()
        assert (reply.status, reply.code) == (status, code), reply


def test_another_region(make_server):
    server = make_server(env={"MINIO_REGION": "eu-test-1"}, region="eu-test-1").start()
    body = b"<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>"
    reply = server.s3.request("PUT", "/elsewhere", body=body % b"us-west-2")
    assert (reply.status, reply.code) == (400, "InvalidRegion")
    assert server.s3.request("HEAD", "/elsewhere").status == 404
    assert server.s3.request("PUT", "/here-then", body=body % b"eu-test-1").status == 200


@pytest.mark.long
def test_a_body_that_does_not_come(s3, held):
    """Told after a minute."""
    with s3.server.raw(timeout=90) as c:
        head = s3.build("PUT", f"/{held}/x", payload_hash=UNSIGNED, length=False)
        c.send(head[:-2] + b"Content-Length: 5\r\n\r\nhe")
        reply = c.reply()
    assert (reply.status, reply.code) == (400, "RequestTimeout")
    assert held_only(s3, held)


UNTESTED = {
    "NotModified": "304 has no body (test_s3_conditional)",
    "XMinioServerNotInitialized": "a listener that comes in the milliseconds of a stop",
}


def test_every_code_of_the_table_has_a_test():
    with open(os.path.join(ROOT, "src", "s3", "error.h"), encoding="utf-8") as f:
        codes = {c for c in re.findall(r'X\(\w+, \d+, "(\w*)"', f.read()) if c}
    assert len(codes) > 50
    tests = ""
    for path in glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_*.py")):
        with open(path, encoding="utf-8") as f:
            tests += f.read()
    assert {c for c in codes if not re.search(rf'\b{c}"', tests)} == set() and set(UNTESTED) <= codes


OVERRIDES = [("content-type", "text/x"), ("content-language", "de"), ("expires", "Thu, 01 Dec 2037 16:00:00 GMT"),
             ("cache-control", "no-cache"), ("content-disposition", 'attachment; filename="a b"'), ("content-encoding", "gzip")]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_response_overrides(s3, held, method):
    query = "&".join(f"response-{n}={urllib.parse.quote(v)}" for n, v in OVERRIDES)
    reply = s3.request(method, f"/{held}/k?{query}")
    assert reply.status == 200 and [reply.get(n) for n, _ in OVERRIDES] == [v for _, v in OVERRIDES]
    reply = s3.request(method, f"/{held}/k?response-content-type=a%0d%0ax-evil:%201")
    assert reply.status == 200 and reply.get("x-evil") is None
