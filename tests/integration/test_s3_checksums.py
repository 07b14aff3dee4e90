# SPDX-License-Identifier: Apache-2.0
"""The five checksums: in headers and trailers, kept, given back, copied; and trailers with signatures."""
import hashlib
import os
import time

import pytest
from botocore.exceptions import ClientError
from support.checksums import ALGORITHMS, checksum, header
from support.sigv4 import STREAMING_TRAILER, UNSIGNED_TRAILER, iso, unsigned_chunks
from test_clients import Mc, mc_binary

ENABLED = {"x-amz-checksum-mode": "ENABLED"}
SMALL, LARGE = b"123456789", bytes(range(256)) * 800       # within and beyond what rides in a row


def refused(reply, status, code):
    assert (reply.status, reply.code) == (status, code), reply


def stored(s3, bucket, key, algorithm, data):
    """HEAD and GET give the checksum, when asked for and the whole is sent."""
    for reply in (s3.get(bucket, key, ENABLED), s3.head(bucket, key, ENABLED)):
        assert reply.status == 200 and reply.get(header(algorithm)) == checksum(algorithm, data), reply
        assert reply.get("x-amz-checksum-type") == "FULL_OBJECT"
    for reply in (s3.get(bucket, key), s3.head(bucket, key), s3.get(bucket, key, dict(ENABLED, Range="bytes=0-1"))):
        assert reply.get(header(algorithm)) is None and reply.get("x-amz-checksum-type") is None


# -- headers -----------------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_header(s3, bucket, algorithm, data):
    reply = s3.put(bucket, "k", data, {header(algorithm): checksum(algorithm, data)})
    assert reply.status == 200 and reply.get(header(algorithm)) == checksum(algorithm, data), reply
    assert reply.get("x-amz-checksum-type") == "FULL_OBJECT"
    stored(s3, bucket, "k", algorithm, data)
    refused(s3.put(bucket, "bad", data, {header(algorithm): checksum(algorithm, b"other")}), 400, "BadDigest")
    assert s3.head(bucket, "bad").status == 404


@pytest.mark.parametrize("value", ["", "zz", "!!!!!!==", "AAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_malformed_header(s3, bucket, algorithm, value):
    refused(s3.put(bucket, "bad", SMALL, {header(algorithm): value}), 400, "InvalidRequest")


def test_one_at_a_time(s3, bucket):
    two = {header(a): checksum(a, SMALL) for a in ("CRC32", "SHA256")}
    refused(s3.put(bucket, "bad", SMALL, two), 400, "InvalidRequest")
    both = {header("CRC32"): checksum("CRC32", SMALL), "x-amz-trailer": header("SHA256"),
            "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(SMALL))}
    body = unsigned_chunks([SMALL], (header("SHA256"), checksum("SHA256", SMALL)))
    refused(s3.put(bucket, "bad", body, both, payload_hash=UNSIGNED_TRAILER), 400, "InvalidRequest")
    assert s3.head(bucket, "bad").status == 404


def test_kinds_that_are_not_built(s3, bucket):
    refused(s3.put(bucket, "bad", SMALL, {"x-amz-checksum-sha512": "AAAA"}), 501, "NotImplemented")


@pytest.mark.parametrize("hint,also,want", [
    ("SHA256", {header("SHA256"): checksum("SHA256", SMALL)}, 200),
    ("sha256", {header("CRC32"): checksum("CRC32", SMALL)}, 200),
    ("CRC32", {"content-md5": "JfnnlDI7RTiF9RgfG2JNCw=="}, 200),
    ("CRC32", {}, 400), ("MD4", {header("CRC32"): checksum("CRC32", SMALL)}, 400), ("", {}, 400)])
def test_sdk_hint(s3, bucket, hint, also, want):
    reply = s3.put(bucket, "hint", SMALL, dict(also, **{"x-amz-sdk-checksum-algorithm": hint}))
    assert reply.status == want and (want == 200 or reply.code == "InvalidRequest"), reply


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_delete_objects(s3, bucket, algorithm):
    s3.put(bucket, "gone", b"x")
    body = b"<Delete><Object><Key>gone</Key></Object></Delete>"
    bad = s3.request("POST", f"/{bucket}?delete", {header(algorithm): checksum(algorithm, b"other")}, body)
    refused(bad, 400, "BadDigest")
    assert s3.head(bucket, "gone").status == 200
    assert s3.request("POST", f"/{bucket}?delete", {header(algorithm): checksum(algorithm, body)}, body).status == 200
    assert s3.head(bucket, "gone").status == 404


# -- trailers ----------------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_unsigned_trailer(s3, bucket, algorithm, data):
    name = header(algorithm)
    headers = {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(data)),
               "x-amz-trailer": name, "x-amz-sdk-checksum-algorithm": algorithm}
    body = unsigned_chunks([data[:5], data[5:]], (name, checksum(algorithm, data)))
    reply = s3.put(bucket, "k", body, headers, payload_hash=UNSIGNED_TRAILER)
    assert reply.status == 200 and reply.get(name) == checksum(algorithm, data), reply
    stored(s3, bucket, "k", algorithm, data)
    for trailer, code in (((name, checksum(algorithm, b"x")), "BadDigest"), ((name, "zz"), "InvalidRequest"),
                          (None, "MalformedTrailerError"), (("x-other", "1"), "MalformedTrailerError")):
        reply = s3.put(bucket, "bad", unsigned_chunks([data], trailer), headers, payload_hash=UNSIGNED_TRAILER)
        refused(reply, 400, code)
    assert s3.head(bucket, "bad").status == 404


def signed_trailer(server, bucket, key, pieces, trailer, spoil=lambda b: b, announced=None):
    """A PUT with signed chunks and a signed trailer; spoil changes the body after signing."""
    s3 = server.s3
    headers = [("Host", s3.host), ("content-encoding", "aws-chunked"),
               ("x-amz-decoded-content-length", str(sum(map(len, pieces)))), ("x-amz-trailer", announced or trailer[0])]
    when = time.time()
    signed = s3.signer.headers("PUT", f"/{bucket}/{key}", headers, STREAMING_TRAILER, when)
    seed = dict(signed)["Authorization"].rsplit("Signature=", 1)[1]
    body = spoil(s3.signer.chunks(iso(when), seed, pieces, trailer))
    head = f"PUT /{bucket}/{key} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in signed)
    with server.raw() as c:
        c.try_send((head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
        return c.reply()


@pytest.mark.sanitize
@pytest.mark.parametrize("sizes", [[], [9], [65536, 1024], [100_000] * 3], ids=str)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_signed_trailer(server, s3, bucket, algorithm, sizes):
    pieces = [os.urandom(n) for n in sizes]
    data = b"".join(pieces)
    reply = signed_trailer(server, bucket, "k", pieces, (header(algorithm), checksum(algorithm, data)))
    assert reply.status == 200 and reply.get(header(algorithm)) == checksum(algorithm, data), reply
    reply = s3.get(bucket, "k")
    assert reply.body == data and reply.get("etag") == f'"{hashlib.md5(data).hexdigest()}"'
    stored(s3, bucket, "k", algorithm, data)


def flip(before, nth=-1):
    """Changes the hex digit behind the nth occurrence of `before`."""
    def change(body):
        at = -1
        for _ in range(abs(nth)):
            at = body.rindex(before, 0, None if at < 0 else at) if nth < 0 else body.index(before, at + 1)
        at += len(before)
        return body[:at] + (b"0" if body[at:at + 1] != b"0" else b"1") + body[at + 1:]
    return change


TRAILER_FAULTS = {
    "data-1": (lambda b: b.replace(b"aaaa", b"aaab", 1), 403, "SignatureDoesNotMatch"),
    "data-2": (lambda b: b.replace(b"bbbb", b"bbbc", 1), 403, "SignatureDoesNotMatch"),
    "signature-1": (flip(b"chunk-signature=", 1), 403, "SignatureDoesNotMatch"),
    "signature-2": (flip(b"chunk-signature=", 2), 403, "SignatureDoesNotMatch"),
    "signature-0": (flip(b"chunk-signature=", 3), 403, "SignatureDoesNotMatch"),
    "trailer-value": (flip(b"x-amz-checksum-crc32:"), 403, "SignatureDoesNotMatch"),
    "trailer-signature": (flip(b"x-amz-trailer-signature:"), 403, "SignatureDoesNotMatch"),
    "trailer-name": (lambda b: b.replace(b"checksum-crc32:", b"checksum-sha256:"), 400, "MalformedTrailerError"),
    "trailer-left-out": (lambda b: b[:b.index(b"x-amz-checksum")] + b[b.index(b"x-amz-trailer-sig"):], 403,
                         "SignatureDoesNotMatch"),
    "signature-left-out": (lambda b: b[:b.index(b"x-amz-trailer-sig")] + b"\r\n", 400, "IncompleteBody"),
    "both-left-out": (lambda b: b[:b.index(b"x-amz-checksum")] + b"\r\n", 400, "IncompleteBody"),
    "trailer-added": (lambda b: b.replace(b"x-amz-trailer-sig", b"x-amz-meta-a:1\r\nx-amz-trailer-sig"), 400,
                      "MalformedTrailerError"),
    "trailer-behind": (lambda b: b[:-2] + b"x-amz-meta-a:1\r\n\r\n", 400, "MalformedTrailerError"),
    "cut": (lambda b: b[:-2], 400, "IncompleteBody"),
    "more": (lambda b: b + b"x", 400, "IncompleteBody"),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("spoil,status,code", TRAILER_FAULTS.values(), ids=TRAILER_FAULTS.keys())
def test_spoiled_signed_trailer(server, s3, bucket, spoil, status, code):
    pieces = [b"a" * 9000, b"b" * 100]
    trailer = (header("CRC32"), checksum("CRC32", b"".join(pieces)))
    assert signed_trailer(server, bucket, "good", pieces, trailer).status == 200
    refused(signed_trailer(server, bucket, "bad", pieces, trailer, spoil), status, code)
    assert s3.head(bucket, "bad").status == 404


def test_signed_trailer_with_a_wrong_checksum(server, s3, bucket):
    reply = signed_trailer(server, bucket, "bad", [SMALL], (header("SHA1"), checksum("SHA1", b"x")))
    refused(reply, 400, "BadDigest")
    assert s3.head(bucket, "bad").status == 404


# -- copies ------------------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_copy_computes(s3, bucket, algorithm, data):
    s3.put(bucket, "from", data)
    source = {"x-amz-copy-source": f"/{bucket}/from"}
    reply = s3.put(bucket, "to", b"", dict(source, **{"x-amz-checksum-algorithm": algorithm}))
    assert reply.status == 200, reply
    assert reply.xml.findtext("Checksum" + algorithm) == checksum(algorithm, data)
    assert reply.xml.findtext("ChecksumType") == "FULL_OBJECT"
    stored(s3, bucket, "to", algorithm, data)
    reply = s3.put(bucket, "third", b"", {"x-amz-copy-source": f"/{bucket}/to"})    # keeps what the source has
    assert reply.status == 200 and reply.xml.findtext("Checksum" + algorithm) is None
    stored(s3, bucket, "third", algorithm, data)
    reply = s3.put(bucket, "from", b"", dict(source, **{"x-amz-checksum-algorithm": algorithm,
                                                        "x-amz-metadata-directive": "REPLACE"}))
    assert reply.status == 200, reply                                                # onto itself
    stored(s3, bucket, "from", algorithm, data)


def test_copy_of_an_unknown_kind(s3, bucket):
    s3.put(bucket, "from", SMALL)
    headers = {"x-amz-copy-source": f"/{bucket}/from", "x-amz-checksum-algorithm": "MD4"}
    refused(s3.put(bucket, "to", b"", headers), 400, "InvalidRequest")


# -- clients -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_boto(boto, bucket, algorithm):
    """Values are given where boto3 computes them only with an optional package."""
    name, value = "Checksum" + algorithm, checksum(algorithm, LARGE)
    reply = boto.put_object(Bucket=bucket, Key="k", Body=LARGE, **{name: value})
    assert reply[name] == value and reply["ChecksumType"] == "FULL_OBJECT"
    reply = boto.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert reply[name] == value and reply["ChecksumType"] == "FULL_OBJECT"
    reply = boto.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert reply[name] == value and reply["Body"].read() == LARGE
    reply = boto.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", ChecksumAlgorithm=algorithm)
    assert reply["CopyObjectResult"][name] == value
    with pytest.raises(ClientError, match="BadDigest"):
        boto.put_object(Bucket=bucket, Key="bad", Body=LARGE, **{name: checksum(algorithm, b"x")})


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_boto_computes(boto, bucket, algorithm):
    reply = boto.put_object(Bucket=bucket, Key="k", Body=SMALL, ChecksumAlgorithm=algorithm)
    assert reply["Checksum" + algorithm] == checksum(algorithm, SMALL)
    reply = boto.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]}, ChecksumAlgorithm=algorithm)
    assert [d["Key"] for d in reply["Deleted"]] == ["k"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_mc_checksum(server, s3, bucket, tmp_path, algorithm):
    if mc_binary() is None:
        pytest.skip("mc is not installed (scripts/install-test-tools)")
    mc = Mc(tmp_path / "mc", server)
    (tmp_path / "file").write_bytes(LARGE)
    mc.run("cp", "--checksum", algorithm, tmp_path / "file", f"b/{bucket}/by-mc")
    stored(s3, bucket, "by-mc", algorithm, LARGE)
    assert mc.run("cat", f"b/{bucket}/by-mc").stdout == LARGE
