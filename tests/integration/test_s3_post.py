# SPDX-License-Identifier: Apache-2.0
"""Uploads by forms: policies in both signatures, every condition, what is answered, and the event."""
import base64
import datetime
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import time
import uuid

import pytest
from support.checksums import ALGORITHMS, checksum, header
from support.record import pattern
from support.s3raw import arn, rule
from support.sigv4 import ALGORITHM, iso, signing_key
from support.wait import wait_for

BOUNDARY = "----form-7MA4YWxkTrZu0gW"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply


def b64(policy):
    return base64.b64encode(policy if isinstance(policy, bytes) else json.dumps(policy).encode()).decode()


def signed_v4(server, policy, when=None):
    date, text = iso(when), b64(policy)
    scope = f"{date[:8]}/us-east-1/s3/aws4_request"
    key = signing_key(server.password, date[:8], "us-east-1")
    return {"policy": text, "x-amz-algorithm": ALGORITHM, "x-amz-credential": f"{server.user}/{scope}",
            "x-amz-date": date, "x-amz-signature": hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}


def signed_v2(server, policy):
    text = b64(policy)
    mac = hmac.new(server.password.encode(), text.encode(), hashlib.sha1)
    return {"policy": text, "AWSAccessKeyId": server.user, "signature": base64.b64encode(mac.digest()).decode()}


def policy_of(bucket, *conditions, expires=600):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=expires)
    always = [{"bucket": bucket}, ["starts-with", "$key", ""], ["starts-with", "$x-amz-algorithm", ""],
              ["starts-with", "$x-amz-credential", ""], ["starts-with", "$x-amz-date", ""]]
    return {"expiration": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "conditions": always + list(conditions)}


def form(fields, data=b"hello", filename="f.txt", after=()):
    """A form's body. fields: dict or pairs; after: pairs behind the file."""
    pairs = list(fields.items()) if isinstance(fields, dict) else list(fields)
    out = []
    for name, value in pairs:
        out.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    if data is not None:
        out.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
                   "Content-Type: application/x-browser\r\n\r\n".encode() + data + b"\r\n")
    for name, value in after:
        out.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    return b"".join(out) + f"--{BOUNDARY}--\r\n".encode()


def send(server, bucket, body, headers=None, target=None):
    return server.s3.request("POST", target or f"/{bucket}", headers or {"Content-Type": TYPE}, body, sign=False)


def post(server, bucket, fields, *conditions, data=b"hello", sign=signed_v4, expires=600, **kwargs):
    """A form with a signed policy of these conditions."""
    target = kwargs.pop("target", None)
    signature = sign(server, policy_of(bucket, *conditions, expires=expires))
    return send(server, bucket, form(dict(fields, **signature), data, **kwargs), target=target)


# -- what is stored --------------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("size", [0, 1, 5, 30_000, 33_000, 600_000, 5_000_000])
@pytest.mark.parametrize("sign", [signed_v4, signed_v2])
def test_post(server, s3, bucket, sign, size):
    data = os.urandom(size)
    reply = post(server, bucket, {"key": "a/ü b"}, data=data, sign=sign)
    etag = f'"{hashlib.md5(data).hexdigest()}"'
    assert reply.status == 204 and reply.body == b"" and reply.get("etag") == etag, reply
    assert reply.get("location") == f"{server.endpoint}/{bucket}/a/%C3%BC%20b"
    got = s3.get(bucket, "a/ü b")
    assert got.body == data and got.get("etag") == etag and got.get("content-type") == "binary/octet-stream"


@pytest.mark.sanitize
def test_content_with_delimiters(server, s3, bucket):
    data = (b"\r\n--" + BOUNDARY[:-1].encode() + b"\r\n--\r\r\n\n--" + BOUNDARY.encode() + b"\r") * 3000
    assert post(server, bucket, {"key": "k"}, data=data).status == 204
    assert s3.get(bucket, "k").body == data


def test_fields(server, s3, bucket):
    fields = {"key": "k", "Content-Type": "text/x", "Cache-Control": "no-cache", "Content-Disposition": "inline",
              "X-Amz-Meta-One": "1", "x-amz-meta-zwei": "ü", "x-amz-storage-class": "REDUCED_REDUNDANCY", "acl": "private",
              "x-ignore-that": "x"}
    conditions = [["starts-with", f"${name}", ""] for name in fields if name != "x-ignore-that"]
    reply = post(server, bucket, fields, *conditions, after=[("submit", "Upload"), ("key", "other")])
    assert reply.status == 204, reply
    got = s3.head(bucket, "k")
    for name in ("content-type", "cache-control", "content-disposition", "x-amz-meta-one", "x-amz-storage-class"):
        assert got.get(name) == {n.lower(): v for n, v in fields.items()}[name]
    assert got.get("x-amz-meta-zwei").encode("latin-1").decode() == "ü"
    assert s3.head(bucket, "other").status == 404


@pytest.mark.parametrize("name", ["Cache-Control", "Expires", "Content-Type", "Content-Disposition", "X-Amz-Meta-A"])
def test_line_ends_in_values(server, s3, bucket, name):
    """A form's values may hold line ends; no reply with them has a header more than the server meant."""
    reply = post(server, bucket, {"key": "k", name: "a\r\nX-Evil: 1\r\n\r\nbody"}, ["starts-with", f"${name}", ""])
    assert reply.status == 204, reply
    etag = reply.get("etag")
    for headers, status in (({}, 200), ({"If-None-Match": etag}, 304), ({"If-Match": '"x"'}, 412),
                            ({"Range": "bytes=9-"}, 416)):
        for got in (s3.get(bucket, "k", headers), s3.head(bucket, "k", headers)):
            assert got.status == status and got.get("x-evil") is None, got
    assert s3.head(bucket, "k", {"If-None-Match": etag}).get(name) == (
        "a  X-Evil: 1    body" if name in ("Cache-Control", "Expires") else None)


@pytest.mark.parametrize("name", ["x-amz-meta-a: b", "x-amz-meta-a b", "x-amz-meta-a\rb", "x-amz-meta-ü", "x-amz-meta-a\0"])
def test_names_that_are_no_header(server, s3, bucket, name):
    """Metadata is given back as headers: what cannot be the name of one cannot be metadata."""
    reply = post(server, bucket, {"key": "k", name: "v"}, ["starts-with", "$x-amz-meta-a", ""], ["starts-with", f"${name}", ""])
    assert reply.status in (400, 403) and s3.head(bucket, "k").status == 404, reply


def test_tags(server, s3, bucket):
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>b</Key><Value/></Tag></TagSet></Tagging>"
    assert post(server, bucket, {"key": "k", "tagging": tags}, ["starts-with", "$tagging", ""]).status == 204
    assert s3.head(bucket, "k").get("x-amz-tagging-count") == "2"


@pytest.mark.parametrize("filename,key", [("f.txt", "up/f.txt/f.txt"), ("C:\\\\dir\\\\f.txt", "up/f.txt/f.txt"),
                                          ("/etc/f.txt", "up/f.txt/f.txt"), ("", "up//"), ("${filename}", None)])
def test_filename(server, s3, bucket, filename, key):
    reply = post(server, bucket, {"key": "up/${filename}/${filename}"}, ["starts-with", "$key", "up/"], filename=filename)
    assert reply.status == 204, reply
    assert s3.head(bucket, key or "up/${filename}/${filename}").status == 200


def test_filename_and_policy(server, s3, bucket):
    """A condition is about the key with the name in it."""
    assert post(server, bucket, {"key": "${filename}"}, ["eq", "$key", "f.txt"]).status == 204
    refused(post(server, bucket, {"key": "${filename}"}, ["eq", "$key", "f.txt"], filename="g.txt"), 403, "AccessDenied")
    refused(post(server, bucket, {"key": "${filename}"}, ["starts-with", "$key", "a/"], filename="a"), 403, "AccessDenied")
    assert s3.head(bucket, "g.txt").status == 404


def test_overwrites(server, s3, bucket):
    for data in (b"one", b"x" * 100_000, b"three"):
        assert post(server, bucket, {"key": "k"}, data=data).status == 204
        assert s3.get(bucket, "k").body == data


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksums(server, s3, bucket, algorithm):
    name = header(algorithm)
    for data in (b"123456789", bytes(range(256)) * 300):
        fields = {"key": "k", name: checksum(algorithm, data)}
        reply = post(server, bucket, fields, ["starts-with", "$" + name, ""], data=data)
        assert reply.status == 204 and reply.get(name) == fields[name], reply
        assert s3.head(bucket, "k", {"x-amz-checksum-mode": "ENABLED"}).get(name) == fields[name]
        fields = {"key": "bad", name: checksum(algorithm, b"other")}
        refused(post(server, bucket, fields, ["starts-with", "$" + name, ""], data=data), 400, "BadDigest")
    refused(post(server, bucket, {"key": "bad", name: "zz"}, ["starts-with", "$" + name, ""]), 400, "InvalidRequest")
    assert s3.head(bucket, "bad").status == 404


def test_content_md5(server, s3, bucket):
    anything = ["starts-with", "$Content-MD5", ""]
    assert post(server, bucket, {"key": "k", "Content-MD5": "XUFAKrxLKna5cZ2REBfFkg=="}, anything).status == 204
    refused(post(server, bucket, {"key": "bad", "Content-MD5": "JfnnlDI7RTiF9RgfG2JNCw=="}, anything), 400, "BadDigest")
    refused(post(server, bucket, {"key": "bad", "Content-MD5": "x"}, anything), 400, "InvalidDigest")
    assert s3.head(bucket, "bad").status == 404


# -- what is answered ------------------------------------------------------------------------------------

@pytest.mark.parametrize("asked,status", [(None, 204), ("200", 200), ("201", 201), ("204", 204), ("404", 204), ("x", 204)])
def test_status(server, bucket, asked, status):
    fields = {"key": "a b/&<ü>"} if asked is None else {"key": "a b/&<ü>", "success_action_status": asked}
    reply = post(server, bucket, fields, ["starts-with", "$success_action_status", ""])
    location = f"{server.endpoint}/{bucket}/a%20b/%26%3C%C3%BC%3E"
    assert reply.status == status and reply.get("location") == location, reply
    if status == 201:
        assert reply.xml.tag == "PostResponse" and reply.get("content-type") == "application/xml"
        assert {e.tag: e.text for e in reply.xml} == {"Location": location, "Bucket": bucket, "Key": "a b/&<ü>",
                                                      "ETag": '"5d41402abc4b2a76b9719d911017c592"'}
    else:
        assert reply.body == b""


@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
@pytest.mark.parametrize("address,join", [("http://example.test/done", "?"), ("https://example.test/?a=1", "&")])
def test_redirect(server, bucket, name, address, join):
    fields = {"key": "a b", name: address, "success_action_status": "201"}
    reply = post(server, bucket, fields, {name: address}, ["starts-with", "$success_action_status", ""])
    etag = "%225d41402abc4b2a76b9719d911017c592%22"
    assert reply.status == 303, reply
    assert reply.get("location") == f"{address}{join}bucket={bucket}&key=a%20b&etag={etag}"


@pytest.mark.parametrize("address", ["", "javascript:alert(1)", "http://a\tb", "http://x/\r\nX-Evil: 1", "/relative"])
def test_redirect_to_no_address(server, bucket, address):
    """As if it were not there; above all nothing of it becomes a header."""
    reply = post(server, bucket, {"key": "k", "redirect": address}, ["starts-with", "$redirect", ""])
    assert reply.status == 204 and reply.get("x-evil") is None, reply


# -- what is refused -------------------------------------------------------------------------------------

ANY_META = ["starts-with", "$x-amz-meta-a", ""]
REFUSED = [     # name, fields beside the key, conditions, status, code
    ("other-bucket", {}, [{"bucket": "other"}], 403, "AccessDenied"),
    ("other-key", {}, [["eq", "$key", "other"]], 403, "AccessDenied"),
    ("other-prefix", {}, [["starts-with", "$key", "other"]], 403, "AccessDenied"),
    ("extra-field", {"x-amz-meta-a": "1"}, [], 403, "AccessDenied"),
    ("extra-status", {"success_action_status": "200"}, [], 403, "AccessDenied"),
    ("value", {"x-amz-meta-a": "1"}, [["eq", "$x-amz-meta-a", ""]], 403, "AccessDenied"),
    ("field-missing", {}, [["starts-with", "$x-amz-meta-a", "bar"]], 403, "AccessDenied"),
    ("bucket-field", {"bucket": "other"}, [], 403, "AccessDenied"),
    ("too-large", {}, [["content-length-range", 0, 4]], 400, "EntityTooLarge"),
    ("too-small", {}, [["content-length-range", 6, 10]], 400, "EntityTooSmall"),
    ("none-allowed", {}, [["content-length-range", 0, 0]], 400, "EntityTooLarge"),
    ("range-short", {}, [["content-length-range", 0]], 400, "InvalidPolicyDocument"),
    ("range-negative", {}, [["content-length-range", -1, 0]], 400, "InvalidPolicyDocument"),
    ("empty-condition", {}, [{}], 400, "InvalidPolicyDocument"),
    ("unknown-operator", {}, [["like", "$key", "a"]], 400, "InvalidPolicyDocument"),
    ("storage-class", {"x-amz-storage-class": "PLATINUM"}, [["starts-with", "$x-amz-storage-class", ""]], 400,
     "InvalidStorageClass"),
    ("tags", {"tagging": "<Tagging><TagSet><Tag><Key></Key><Value>1</Value></Tag></TagSet></Tagging>"},
     [["starts-with", "$tagging", ""]], 400, "InvalidTag"),
    ("tags-xml", {"tagging": "a=1"}, [["starts-with", "$tagging", ""]], 400, "MalformedXML"),
    ("acl", {"acl": "public-read"}, [["starts-with", "$acl", ""]], 501, "NotImplemented"),
    ("encryption", {"x-amz-server-side-encryption": "AES256"}, [["starts-with", "$x-amz-server-side-encryption", ""]], 501,
     "NotImplemented"),
    ("metadata", {"x-amz-meta-a": "x" * 3000}, [ANY_META], 400, "MetadataTooLarge"),
    ("two-checksums", {header("CRC32"): "AAAAAA==", header("SHA1"): "2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
     [["starts-with", "$" + header("CRC32"), ""], ["starts-with", "$" + header("SHA1"), ""]], 400, "InvalidRequest"),
]


@pytest.mark.sanitize
@pytest.mark.parametrize("size", [5, 100_000])
@pytest.mark.parametrize("fields,conditions,status,code", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(server, s3, bucket, fields, conditions, status, code, size):
    if (code, size) == ("EntityTooSmall", 100_000):
        conditions = [["content-length-range", 100_001, 200_000]]
    reply = post(server, bucket, dict({"key": "k"}, **fields), *conditions, data=b"x" * size)
    refused(reply, status, code)
    assert s3.head(bucket, "k").status == 404


def without(fields, *names):
    return {n: v for n, v in fields.items() if n not in names}


@pytest.mark.sanitize
def test_signatures(server, s3, bucket):
    policy = policy_of(bucket)
    v4, v2 = signed_v4(server, policy), signed_v2(server, policy)

    def refuse(fields, status, code):
        refused(send(server, bucket, form(dict({"key": "k"}, **fields))), status, code)

    refuse({}, 403, "AccessDenied")                                     # anonymous
    refuse({"policy": v4["policy"]}, 400, "InvalidArgument")
    for name in ("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"):
        refuse(without(v4, name), 400, "InvalidArgument")
    for name in ("AWSAccessKeyId", "signature"):
        refuse(without(v2, name), 400, "InvalidArgument")
    refuse(without(v4, "policy"), 403, "SignatureDoesNotMatch")
    refuse(dict(v4, **v2), 400, "InvalidRequest")
    other = policy_of(bucket, ANY_META)
    refuse(dict(v4, policy=b64(other)), 403, "SignatureDoesNotMatch")
    refuse(dict(v2, policy=b64(other)), 403, "SignatureDoesNotMatch")
    refuse(dict(v4, **{"x-amz-signature": v4["x-amz-signature"][:-1]}), 403, "SignatureDoesNotMatch")
    refuse(dict(v2, signature="AAAA"), 403, "SignatureDoesNotMatch")
    refuse(dict(v4, **{"x-amz-credential": v4["x-amz-credential"].replace(server.user, "nobody")}), 403, "InvalidAccessKeyId")
    refuse(dict(v2, AWSAccessKeyId="nobody"), 403, "InvalidAccessKeyId")
    refuse(dict(v4, **{"x-amz-algorithm": "AWS4-HMAC-SHA1"}), 400, "InvalidArgument")
    refuse(dict(v4, **{"x-amz-security-token": "t"}), 403, "InvalidTokenId")
    refuse(signed_v4(server, policy, time.time() - 86400 * 3) | {"x-amz-date": v4["x-amz-date"]}, 400, "InvalidArgument")
    assert s3.head(bucket, "k").status == 404


def test_policies(server, s3, bucket):
    def refuse(policy, status, code):
        for sign in (signed_v4, signed_v2):
            refused(send(server, bucket, form(dict({"key": "k"}, **sign(server, policy)))), status, code)

    good = policy_of(bucket)
    refuse(policy_of(bucket, expires=-1), 403, "AccessDenied")
    refuse(b"not json", 400, "InvalidPolicyDocument")
    refuse(b"[]", 400, "InvalidPolicyDocument")
    refuse(b"", 400, "InvalidPolicyDocument")
    refuse(without(good, "expiration"), 400, "InvalidPolicyDocument")
    refuse(without(good, "conditions"), 400, "InvalidPolicyDocument")
    refuse(dict(good, conditions=[]), 400, "InvalidPolicyDocument")
    refuse(dict(good, conditions=[{}]), 400, "InvalidPolicyDocument")
    refuse(dict(good, expiration="tomorrow"), 400, "InvalidPolicyDocument")
    refuse({"EXPIRATION": good["expiration"], "conditions": good["conditions"]}, 400, "InvalidPolicyDocument")
    refuse({"expiration": good["expiration"], "CONDITIONS": good["conditions"]}, 400, "InvalidPolicyDocument")
    refuse(dict(good, conditions=good["conditions"][1:]), 403, "AccessDenied")
    refuse(dict(good, conditions=good["conditions"][:1]), 403, "AccessDenied")
    assert s3.head(bucket, "k").status == 404


@pytest.mark.sanitize
def test_malformed(server, s3, bucket):
    signature = signed_v4(server, policy_of(bucket))
    fields = dict({"key": "k"}, **signature)
    good = form(fields, b"x" * 50_000)

    def refuse(body, status=400, code="MalformedPOSTRequest", **kwargs):
        refused(send(server, bucket, body, **kwargs), status, code)

    refuse(b"")
    refuse(b"x" * 100)
    refuse(good[:-2 - 2 - len(BOUNDARY) - 2 - 2 - 3])                           # cut within the file
    refuse(good[:200])
    refuse(form(fields, None))                                                  # no file
    refuse(form(list(fields.items()) + [("KEY", "other")]))                     # a field twice
    refuse(form(dict(fields, **{f"x-ignore-{i}": "" for i in range(1000)})))
    refuse(good, headers={"Content-Type": "multipart/form-data"})
    refuse(good, headers={"Content-Type": "multipart/form-data; boundary=other"})
    refuse(form(signature), 400, "InvalidArgument")                             # no key
    refuse(form(dict(signature, key="")), 400, "InvalidArgument")
    refuse(form(dict(signature), after=[("key", "k")]), 400, "InvalidArgument")  # behind the file
    refuse(form(dict(fields, **{"x-ignore-a": "x" * (1 << 20)}), b"x"), 204, None)
    refuse(form(dict(fields, **{"x-ignore-a": "x" * (1 << 20) + "y"}), b"x"), 400, "MaxPostPreDataLengthExceeded")
    refuse(form(dict(fields, **{f"x-ignore-{i}": "x" * 500_000 for i in range(5)}), b"x"), 400,
           "MaxPostPreDataLengthExceeded")
    s3.delete(bucket, "k")
    refuse(form(dict(signature, key="x" * 1025)), 400, "KeyTooLongError")
    long = send(server, bucket, form(dict(signature, key="x" * 600_000)))
    assert long.code == "KeyTooLongError" and long.xml.findtext("RequestId"), "a whole document"
    refuse(form(dict(signature, key="a/../b")), 400, "XMinioInvalidResourceName")
    assert s3.request("GET", f"/{bucket}?list-type=2").xml.findtext("{*}KeyCount") == "0"


def test_where(server, s3, bucket):
    """The bucket is the request's, the key the form's; a signature of the request itself is a second mechanism."""
    body = form(dict({"key": "k"}, **signed_v4(server, policy_of(bucket))))
    refused(send(server, bucket, body, target=f"/{bucket}/k"), 405, "MethodNotAllowed")
    refused(send(server, bucket, body, target="/no-such-bucket"), 404, "NoSuchBucket")
    refused(s3.request("POST", f"/{bucket}", {"Content-Type": TYPE}, body), 400, "InvalidRequest")
    refused(s3.request("POST", s3.signer.presign("POST", f"/{bucket}", s3.host), {"Content-Type": TYPE}, body, sign=False),
            400, "InvalidRequest")
    refused(s3.request("POST", f"/{bucket}", {"Content-Type": TYPE}, body, sign=False, length=False), 411,
            "MissingContentLength")
    assert s3.head(bucket, "k").status == 404
    assert send(server, bucket, body, target=f"/{bucket}/").status == 204


def test_flat_memory(make_server):
    """A file passes through; and a client that goes leaves nothing."""
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("flat")
    data = os.urandom(1 << 20) * 96
    body = form(dict({"key": "k"}, **signed_v4(server, policy_of("flat"))), data)
    before = server.rss()
    assert send(server, "flat", body).status == 204
    grown = server.rss() - before
    assert grown < 40 << 20, f"{grown >> 20} MiB"
    assert s3.head("flat", "k").get("etag") == f'"{hashlib.md5(data).hexdigest()}"'
    with server.raw() as c:
        c.send(f"POST /flat HTTP/1.1\r\nHost: {s3.host}\r\nContent-Type: {TYPE}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
               + body[:20 << 20])
    assert s3.delete("flat", "k").status == 204
    blobs = os.path.join(server.directory, "blobs")
    wait_for(lambda: not [f for _, _, files in os.walk(blobs) for f in files], 10, "the files to be gone")


# -- the event -------------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_event(notified, hook_receiver):
    """principalId is empty: the credential stands in the form."""
    bucket = notified.s3.make_bucket(f"post-{uuid.uuid4().hex[:10]}")
    notified.s3.set_rules(bucket, rule(arn("1"), "s3:ObjectCreated:Post"))
    assert notified.s3.put(bucket, "not-this", b"x").status == 200
    fields = dict({"key": "a b.txt", "Content-Type": "text/x", "x-amz-meta-one": "1"},
                  **signed_v4(notified, policy_of(bucket, ["starts-with", "$Content-Type", ""],
                                                  ["starts-with", "$x-amz-meta-one", ""])))
    reply = send(notified, bucket, form(fields), headers={"Content-Type": TYPE, "User-Agent": "browser/1"})
    assert reply.status == 204
    posts = wait_for(lambda: [p for p in hook_receiver.snapshot() if p.key.startswith(bucket + "/")], 10, "the event")
    metadata = {"content-type": "text/x", "X-Amz-Meta-One": "1"}
    wanted = pattern("s3:ObjectCreated:Post", bucket, "a b.txt", "a+b.txt", "", notified.endpoint, "browser/1", size=5,
                     etag="5d41402abc4b2a76b9719d911017c592", content_type="text/x", metadata=metadata)
    assert wanted.fullmatch(posts[0].body.decode()), f"\n{posts[0].body.decode()}\n{wanted.pattern}"
    assert len(posts) == 1


# -- clients ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_boto(server, s3, bucket, version):
    boto = server.boto(signature_version=version)
    made = boto.generate_presigned_post(bucket, "up/${filename}", Fields={"x-amz-meta-a": "1", "success_action_status": "201"},
                                        Conditions=[{"x-amz-meta-a": "1"}, {"success_action_status": "201"},
                                                    ["content-length-range", 1, 1_000_000]], ExpiresIn=60)
    data = os.urandom(200_000)
    reply = send(server, bucket, form(made["fields"], data), target=made["url"][len(server.endpoint):])
    assert reply.status == 201 and reply.xml.findtext("Key") == "up/f.txt", reply
    assert s3.get(bucket, "up/f.txt").body == data and s3.head(bucket, "up/f.txt").get("x-amz-meta-a") == "1"


def test_minio_py(server, s3, bucket):
    from minio import Minio
    from minio.datatypes import PostPolicy
    client = Minio(f"{server.host}:{server.port}", access_key=server.user, secret_key=server.password, secure=False,
                   region="us-east-1")
    policy = PostPolicy(bucket, datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1))
    policy.add_starts_with_condition("key", "my/")
    policy.add_equals_condition("Content-Type", "image/png")
    policy.add_content_length_range_condition(1, 1000)
    fields = dict(client.presigned_post_policy(policy), key="my/picture", **{"Content-Type": "image/png"})
    assert send(server, bucket, form(fields)).status == 204
    assert s3.head(bucket, "my/picture").get("content-type") == "image/png"
    refused(send(server, bucket, form(dict(fields, key="your/picture"))), 403, "AccessDenied")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("size", [3, 2_000_000])
def test_curl(server, s3, bucket, tmp_path, size):
    data = os.urandom(size)
    (tmp_path / "file.bin").write_bytes(data)
    fields = dict({"key": "by-curl/${filename}"}, **signed_v4(server, policy_of(bucket)))
    args = [a for name, value in fields.items() for a in ("-F", f"{name}={value}")]
    done = subprocess.run(["curl", "-sS", "-f", "-o", "/dev/null", "-w", "%{http_code}", *args, "-F",
                           f"file=@{tmp_path}/file.bin", f"{server.endpoint}/{bucket}"], check=True, timeout=60,
                          capture_output=True)
    assert done.stdout == b"204"
    assert s3.get(bucket, "by-curl/file.bin").body == data


def test_mc_share_upload(server, s3, bucket, tmp_path):
    """mc makes a curl command that posts a form."""
    from test_clients import Mc, mc_binary
    if mc_binary() is None or not shutil.which("curl"):
        pytest.skip("mc or curl is not installed")
    mc = Mc(tmp_path / "mc", server)
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    made = mc.lines("share", "upload", f"b/{bucket}/by-mc")[0]
    command = made["share"].replace("<FILE>", str(tmp_path / "file"))
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    assert s3.get(bucket, "by-mc").body == b"x" * 100_000
