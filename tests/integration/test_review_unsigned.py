# SPDX-License-Identifier: Apache-2.0
"""What is added to a signed request, or said twice in it, changes nothing."""
import pytest

from support.s3raw import arn, rule
from support.wait import wait_for
from test_s3_post import TYPE, form, policy_of, send, signed_v4


@pytest.mark.parametrize("name,value", [
    ("x-amz-copy-source", "/{bucket}/secret"), ("x-amz-meta-added", "1"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ("x-minio-source-replication-request", "true")])
@pytest.mark.parametrize("presigned", [False, True])
def test_added_headers_change_nothing(server, s3, bucket, name, value, presigned):
    assert s3.put(bucket, "secret", b"secret").status == 200
    extra = f"{name}: {value.format(bucket=bucket)}\r\n".encode()
    if presigned:
        target = s3.signer.presign("PUT", f"/{bucket}/k", s3.host)
        data = f"PUT {target} HTTP/1.1\r\nHost: {s3.host}\r\nContent-Length: 0\r\n\r\n".encode()
    else:
        data = s3.build("PUT", f"/{bucket}/k")
    with server.raw() as c:
        c.send(data.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n", 1))
        reply = c.reply()
    assert (reply.status, reply.code) == (403, "AccessDenied"), reply
    assert s3.get(bucket, "k").status == 404


def test_force_delete_must_be_signed(server, s3, bucket):
    assert s3.put(bucket, "k", b"x").status == 200
    target = s3.signer.presign("DELETE", f"/{bucket}", s3.host)
    with server.raw() as c:
        c.send(f"DELETE {target} HTTP/1.1\r\nHost: {s3.host}\r\nx-minio-force-delete: true\r\n\r\n".encode())
        assert c.reply().status == 403
    assert s3.get(bucket, "k").body == b"x"


def test_what_a_content_network_adds_may_pass(server, s3, bucket):
    data = s3.build("PUT", f"/{bucket}/k").replace(b"\r\n\r\n", b"\r\nX-Amz-Cf-Id: abc\r\nX-Amzn-Trace-Id: 1\r\n\r\n", 1)
    with server.raw() as c:
        c.send(data)
        assert c.reply().status == 200


@pytest.mark.parametrize("name,value", [
    ("Content-MD5", "XrY7u+Ae7tCTyyK7j1rNww=="), ("x-amz-checksum-crc32", "AAAAAA=="), ("x-amz-copy-source", "/a/b"),
    ("x-amz-storage-class", "STANDARD"), ("Range", "bytes=0-0")])
def test_single_values_come_once(s3, bucket, name, value):
    reply = s3.request("PUT", f"/{bucket}/k", [(name, value), (name.lower(), value)])
    assert (reply.status, reply.code) == (400, "InvalidArgument"), reply


def test_a_hundred_metadata_headers(s3, bucket):
    headers = {f"x-amz-meta-{i}": "v" for i in range(100)}
    assert s3.put(bucket, "many", b"x", headers).status == 200
    reply = s3.head(bucket, "many")
    assert all(reply.get(n) == "v" for n in headers), reply


def test_who_fills_in_a_form_cannot_keep_it_quiet(notified, hook_receiver):
    """A form's policy signs its fields, not the request's headers: none of ours has a meaning there."""
    bucket = notified.s3.make_bucket("quiet-forms")
    notified.s3.set_rules(bucket, rule(arn("1"), "s3:ObjectCreated:*"))
    for key, added in (("quiet", {"x-minio-source-replication-request": "true"}), ("plain", {})):
        body = form(dict({"key": key}, **signed_v4(notified, policy_of(bucket))))
        reply = send(notified, bucket, body, headers={"Content-Type": TYPE, **added})
        assert (reply.status, reply.code) == ((403, "AccessDenied") if added else (204, None)), reply
    wait_for(lambda: any(p.key == f"{bucket}/plain" for p in hook_receiver.snapshot()), 10, "the event of the other one")
    assert notified.s3.get(bucket, "quiet").status == 404
