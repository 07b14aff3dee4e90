# SPDX-License-Identifier: Apache-2.0
"""Signature Version 2 in header and query; one way of authentication at a time."""
import base64
import hashlib
import hmac
import time
from email.utils import formatdate

import pytest
from botocore.exceptions import ClientError
from support.s3raw import key_path
from support.sigv4 import UNSIGNED_TRAILER, encode, unsigned_chunks
from test_clients import Mc, mc_binary


def sign(server, text):
    return base64.b64encode(hmac.new(server.password.encode(), text.encode(), hashlib.sha1).digest()).decode()


def header(server, method, target, headers=(), date=None, resource=None, user=None):
    """Headers with Date and Authorization. resource: what is signed, where it is not the target."""
    date = formatdate(usegmt=True) if date is None else date
    pairs = [("Date", date)] + list(headers)
    value = {n.lower(): v for n, v in pairs}
    amz = "".join(f"{n}:{v}\n" for n, v in sorted(value.items()) if n.startswith("x-amz-"))
    text = "\n".join([method, value.get("content-md5", ""), value.get("content-type", ""),
                      "" if "x-amz-date" in value else date, amz + (resource or target)])
    return pairs + [("Authorization", f"AWS {user or server.user}:{sign(server, text)}")]


def ask(server, method, target, headers=(), body=b"", **kwargs):
    signed = header(server, method, target, headers, **kwargs)
    return server.s3.request(method, target, signed, body, sign=False)


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply


@pytest.mark.sanitize
def test_header(server, bucket):
    path = key_path(bucket, "a b/ü+~")
    reply = ask(server, "PUT", path, [("Content-Type", "text/x"), ("x-amz-meta-a", "1"), ("x-amz-acl", "private")], b"hello")
    assert reply.status == 200, reply
    reply = ask(server, "GET", path)
    assert reply.body == b"hello" and reply.get("x-amz-meta-a") == "1"
    assert ask(server, "GET", f"/{bucket}?list-type=2&prefix=a", resource=f"/{bucket}").status == 200
    assert ask(server, "GET", f"/{bucket}?location").status == 200
    assert ask(server, "GET", f"{path}?x=1&response-content-type=a%2Fb",
               resource=f"{path}?response-content-type=a/b").get("content-type") == "a/b"
    assert ask(server, "GET", "/").status == 200
    assert ask(server, "HEAD", path).status == 200
    assert ask(server, "DELETE", path, [("x-amz-date", formatdate(usegmt=True))]).status == 204


def test_chunks_without_signatures(server, s3, bucket):
    headers = [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "5"),
               ("x-amz-trailer", "x-amz-checksum-crc32"), ("x-amz-content-sha256", UNSIGNED_TRAILER)]
    body = unsigned_chunks([b"hello"], ("x-amz-checksum-crc32", "NhCmhg=="))
    assert ask(server, "PUT", f"/{bucket}/k", headers, body).status == 200
    assert s3.get(bucket, "k").body == b"hello"
    headers[-1] = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
    refused(ask(server, "PUT", f"/{bucket}/bad", headers, body), 403, "AccessDenied")
    headers = [("x-amz-content-sha256", hashlib.sha256(b"other").hexdigest())]
    refused(ask(server, "PUT", f"/{bucket}/bad", headers, b"hello"), 400, "XAmzContentSHA256Mismatch")
    assert s3.head(bucket, "bad").status == 404


@pytest.mark.sanitize
@pytest.mark.parametrize("change,status,code", [
    (lambda h: h + [("x-amz-meta-a", "1")], 403, "SignatureDoesNotMatch"),
    (lambda h: h + [("Content-Type", "a/b")], 403, "SignatureDoesNotMatch"),
    (lambda h: h + [("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==")], 403, "SignatureDoesNotMatch"),
    (lambda h: [(n, v[:-2] + "A=") for n, v in h], 403, None),
    (lambda h: [h[0], ("Authorization", "AWS HAHAHA")], 400, "InvalidArgument"),
    (lambda h: [h[0], ("Authorization", "AWS NOBODY:FWeDfwojDSdS2Ztmpfeubhd9isU=")], 403, "InvalidAccessKeyId"),
    (lambda h: [h[0], ("Authorization", "")], 403, "AccessDenied"),
    (lambda h: [h[0], ("Authorization", "Basic eDp5")], 400, "InvalidRequest"),
    (lambda h: h[1:], 403, "AccessDenied")])
def test_changed_header(server, bucket, change, status, code):
    reply = server.s3.request("PUT", f"/{bucket}/k", change(header(server, "PUT", f"/{bucket}/k")), b"hello", sign=False)
    assert reply.status == status and code in (None, reply.code), reply


@pytest.mark.parametrize("date,code", [
    ("Tue, 07 Jul 2010 21:53:04 GMT", "RequestTimeTooSkewed"), ("Tue, 07 Jul 1950 21:53:04 GMT", "AccessDenied"),
    ("Tue, 07 Jul 2030 21:53:04 GMT", "RequestTimeTooSkewed"), ("Bad Date", "AccessDenied"), ("", "AccessDenied")])
def test_dates(server, bucket, date, code):
    refused(ask(server, "PUT", f"/{bucket}/k", date=date), 403, code)


def presign(server, method, target, expires=None, resource=None):
    expires = int(time.time()) + 300 if expires is None else expires
    text = f"{method}\n\n\n{expires}\n{resource or target}"
    join = "&" if "?" in target else "?"
    return f"{target}{join}AWSAccessKeyId={server.user}&Expires={expires}&Signature={encode(sign(server, text))}"


@pytest.mark.sanitize
def test_presigned(server, s3, bucket):
    def get(method, target, headers=(), body=b""):
        return s3.request(method, target, headers, body, sign=False)

    path = f"/{bucket}/a%20b"
    assert get("PUT", presign(server, "PUT", path), (), b"hello").status == 200
    assert get("GET", presign(server, "GET", path)).body == b"hello"
    reply = get("GET", presign(server, "GET", path + "?response-content-type=a%2Fb", resource=path + "?response-content-type=a/b"))
    assert reply.status == 200 and reply.get("content-type") == "a/b"
    assert get("GET", presign(server, "GET", f"/{bucket}?list-type=2", resource=f"/{bucket}")).status == 200
    refused(get("GET", presign(server, "GET", path, int(time.time()) - 1)), 403, "AccessDenied")
    refused(get("PUT", presign(server, "GET", path), (), b"x"), 403, "SignatureDoesNotMatch")
    refused(get("GET", presign(server, "GET", path) + "&response-content-type=x"), 403, "SignatureDoesNotMatch")
    refused(get("PUT", presign(server, "PUT", path), {"x-amz-copy-source": f"/{bucket}/a"}), 403, "SignatureDoesNotMatch")
    refused(get("DELETE", presign(server, "DELETE", f"/{bucket}"), {"x-minio-force-delete": "true"}), 403, "AccessDenied")
    # names of a query that are not signed make no other operation of it
    refused(get("GET", presign(server, "GET", path) + "&attributes"), 403, "SignatureDoesNotMatch")
    refused(get("GET", presign(server, "GET", f"/{bucket}") + "&events=x"), 403, "SignatureDoesNotMatch")
    signed = presign(server, "GET", path)
    for name in ("Expires", "Signature"):
        cut = "&".join(p for p in signed.replace("?", "?&").split("&") if not p.startswith(name + "="))
        refused(get("GET", cut), 403, "AccessDenied")


def test_virtual_host(make_server):
    """The bucket in the host is signed as the beginning of the path."""
    server = make_server(env={"MINIO_DOMAIN": "s3.test"}).start()
    server.s3.make_bucket("virtual")
    signed = header(server, "PUT", "/k", resource="/virtual/k")
    assert server.s3.request("PUT", "/k", signed, b"x", sign=False, host="virtual.s3.test").status == 200
    server.s3.make_bucket("another")
    refused(server.s3.request("PUT", "/k", signed, b"x", sign=False, host="another.s3.test"), 403, "SignatureDoesNotMatch")
    assert server.s3.get("virtual", "k").body == b"x"


def test_one_mechanism(server, s3, bucket):
    """Two at once are refused, whichever they are, and also when both are right."""
    path = f"/{bucket}/k"
    v2_query, v4_query = presign(server, "GET", path), s3.signer.presign("GET", path, s3.host)
    refused(s3.request("GET", v2_query), 400, "InvalidRequest")
    refused(s3.request("GET", v4_query), 400, "InvalidRequest")
    for target in (v2_query, v4_query):
        refused(s3.request("GET", target, header(server, "GET", path), sign=False), 400, "InvalidRequest")
    refused(s3.request("GET", v4_query + "&" + v2_query.split("?")[1], sign=False), 400, "InvalidRequest")


# -- clients -------------------------------------------------------------------------------------------

def test_boto(server, bucket):
    boto = server.boto(signature_version="s3")
    boto.put_object(Bucket=bucket, Key="a/ü b", Body=b"hello", ContentType="text/x", Metadata={"one": "1"})
    got = boto.get_object(Bucket=bucket, Key="a/ü b")
    assert got["Body"].read() == b"hello" and got["Metadata"] == {"one": "1"}
    boto.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/ü b"})
    assert [o["Key"] for o in boto.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/ü b", "copy"]
    assert [o["Key"] for o in boto.list_objects(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/ü b"]
    boto.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a/ü b"}, {"Key": "copy"}]})
    assert boto.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    with pytest.raises(ClientError, match="NoSuchKey"):
        boto.get_object(Bucket=bucket, Key="none")


def test_boto_presigned(server, bucket):
    boto = server.boto(signature_version="s3")
    for operation, method, data in (("put_object", "PUT", b"hello"), ("get_object", "GET", b"")):
        url = boto.generate_presigned_url(operation, Params={"Bucket": bucket, "Key": "a/ü b"})
        reply = server.s3.request(method, url[len(server.endpoint):], (), data, sign=False)
        assert reply.status == 200, reply
    assert reply.body == b"hello"


def test_mc(server, bucket, tmp_path):
    if mc_binary() is None:
        pytest.skip("mc is not installed (scripts/install-test-tools)")
    mc = Mc(tmp_path / "mc", server)
    done = mc.run("alias", "set", "v2", server.endpoint, server.user, server.password, "--api", "S3v2", "--path", "on")
    assert done.returncode == 0, done
    (tmp_path / "file").write_bytes(b"x" * 200_000)
    mc.run("cp", tmp_path / "file", f"v2/{bucket}/by-mc")
    assert mc.run("cat", f"v2/{bucket}/by-mc").stdout == b"x" * 200_000
    assert mc.lines("ls", f"v2/{bucket}")[0]["key"] == "by-mc"
    mc.run("rm", f"v2/{bucket}/by-mc")
