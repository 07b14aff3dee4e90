# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads: checksums, events, restarts, memory, and the clients people use."""
import base64
import hashlib
import io
import os
import threading
import uuid

import pytest
from support.checksums import ALGORITHMS, DIGESTS, checksum, header
from support.multipart import MIB, Upload, document, etag_of
from support.receiver import webhook_env
from support.s3raw import arn, key_path, rule
from test_clients import code_of, mc, mc_binary, minio_client  # noqa: F401 - fixtures
from test_events_record import AGENT, Bench

FIVE = b"a" * (5 * MIB)
BODIES = [FIVE, b"b" * 10]
# Of those two parts: the parts' checksums, COMPOSITE and FULL_OBJECT of the whole.
KNOWN = {
    "CRC32": (["r/zBbw==", "Qi9M+A=="], "meG8JQ==", "1FimjA=="),
    "CRC32C": (["WpuOeg==", "FuoJPw=="], "SbZNDA==", "Ecdwnw=="),
    "CRC64NVME": (["PbvLEkWUSgg=", "ZFjmMZfd7no="], None, "om/L0dM0gF4="),
    "SHA256": (["oplo+tLngqqfIECjXwWtuX7Yl56x9XLIyOp4Y34nXzw=", "bS/jLcQknvfnNZxth0//u/M16DLkmiaBI24baGr3h5Q="],
               "zTBnwsNWVkdz0PwZObp0pDCxhYpP8sndExucneRKiO0=", None),
}
CASES = [(k, t) for k, (_, composite, full) in KNOWN.items()
         for t, v in (("COMPOSITE", composite), ("FULL_OBJECT", full)) if v]


def element(algorithm):
    return "Checksum" + algorithm


# -- checksums -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm,kind", CASES)
@pytest.mark.parametrize("sent", [True, False])
def test_known_checksums(s3, bucket, algorithm, kind, sent):
    """sent False: the server computes what the parts' clients left out."""
    parts, composite, full = KNOWN[algorithm]
    up = Upload(s3, bucket, "k", {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind})
    assert up.created.get("x-amz-checksum-algorithm") == algorithm and up.created.get("x-amz-checksum-type") == kind
    for number, body in enumerate(BODIES, 1):
        reply = up.put(number, body, {header(algorithm): parts[number - 1]} if sent else {})
        assert reply.get(header(algorithm)) == parts[number - 1]
    listed = up.list().body.decode()
    assert f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>" in listed
    assert all(f"<{element(algorithm)}>{p}</{element(algorithm)}>" in listed for p in parts)
    rows = [(n, up.etags[n], {element(algorithm): parts[n - 1]}) for n in (1, 2)]
    whole = composite + "-2" if kind == "COMPOSITE" else full
    assert up.complete(rows, {header(algorithm): parts[0]}).code == "BadDigest"
    for odd in (["-3", "-02x", "-"] if kind == "COMPOSITE" else ["-2"]):
        assert up.complete(rows, {header(algorithm): (composite or full) + odd}).status == 400
    assert up.complete(rows, {"x-amz-checksum-type": "COMPOSITE" if kind == "FULL_OBJECT" else "FULL_OBJECT"}).status == 400
    wrong = [(1, up.etags[1], {element(algorithm): parts[1]}), rows[1]]
    assert up.complete(wrong).code == "InvalidPart"
    if kind == "COMPOSITE":
        assert up.complete().code == "InvalidRequest", "each part's checksum is asked for"
    reply = up.complete(rows if kind == "COMPOSITE" else None, {header(algorithm): whole, "x-amz-checksum-type": kind})
    assert reply.status == 200, reply.body
    assert f"<{element(algorithm)}>{whole}</{element(algorithm)}><ChecksumType>{kind}</ChecksumType>" in reply.body.decode()
    head = s3.head(bucket, "k", {"x-amz-checksum-mode": "ENABLED"})
    assert (head.get(header(algorithm)), head.get("x-amz-checksum-type")) == (whole, kind)
    part = s3.get(bucket, "k", {"x-amz-checksum-mode": "ENABLED"}, query="?partNumber=2")
    assert (part.body, part.get(header(algorithm))) == (BODIES[1], parts[1])
    got = s3.request("GET", key_path(bucket, "k") + "?attributes", {"x-amz-object-attributes": "ObjectParts,Checksum"})
    assert all(f"<{element(algorithm)}>{v}</{element(algorithm)}>" in got.body.decode() for v in [whole, *parts])


@pytest.mark.parametrize("algorithm", [None, "SHA256"])
def test_copy_of_a_long_one(s3, bucket, algorithm):
    """Longer than a worker takes at a time, in several pieces; its own checksum is not the one that is asked for."""
    bodies = [bytes([65 + i]) * (5 * MIB + i) for i in range(7)]
    up = Upload(s3, bucket, "k", {"x-amz-checksum-algorithm": "SHA1"})
    for number, body in enumerate(bodies, 1):
        assert up.put(number, body).status == 200
    rows = [(n, up.etags[n], {element("SHA1"): checksum("SHA1", bodies[n - 1])}) for n in sorted(up.etags)]
    assert up.complete(rows).status == 200
    asked = {"x-amz-checksum-algorithm": algorithm} if algorithm else {}
    reply = s3.request("PUT", key_path(bucket, "copy"), {"x-amz-copy-source": f"/{bucket}/k", **asked})
    assert reply.status == 200, reply.body
    head = s3.head(bucket, "copy", {"x-amz-checksum-mode": "ENABLED"})
    whole = b"".join(bodies)
    assert head.get("x-amz-checksum-type") == ("FULL_OBJECT" if algorithm else "COMPOSITE")
    assert not algorithm or head.get(header(algorithm)) == checksum(algorithm, whole)
    assert s3.get(bucket, "copy").body == whole
    assert s3.get(bucket, "copy", query="?partNumber=7").body == bodies[6]
    same = s3.request("PUT", key_path(bucket, "copy"), {"x-amz-copy-source": f"/{bucket}/copy", **asked,
                                                        "x-amz-metadata-directive": "REPLACE", "x-amz-meta-a": "1"})
    assert same.status == 200 and s3.get(bucket, "copy").body == whole
    assert s3.head(bucket, "copy").get("x-amz-meta-a") == "1"


@pytest.mark.parametrize("algorithm,kind,default", [("CRC32", None, "COMPOSITE"), ("CRC64NVME", None, "FULL_OBJECT"),
                                                    ("sha1", None, "COMPOSITE"), ("SHA256", "FULL_OBJECT", None),
                                                    ("CRC64NVME", "COMPOSITE", None), ("MD4", None, None),
                                                    ("CRC32", "SOME", None), (None, "COMPOSITE", None)])
def test_checksum_types(s3, bucket, algorithm, kind, default):
    headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    up = Upload(s3, bucket, "k", {k: v for k, v in headers.items() if v})
    if default:
        assert up.created.get("x-amz-checksum-type") == default
    else:
        assert (up.created.status, up.created.code) == (400, "InvalidRequest")


def test_another_checksum_than_agreed(s3, bucket):
    up = Upload(s3, bucket, "k", {"x-amz-checksum-algorithm": "SHA1"})
    assert up.put(1, b"x", {header("CRC32"): checksum("CRC32", b"x")}).code == "InvalidRequest"
    assert up.put(1, b"x", {header("SHA1"): checksum("SHA1", b"y")}).code == "BadDigest"
    assert up.put(1, b"x", {header("SHA1"): checksum("SHA1", b"x")}).status == 200
    reply = up.complete([(1, up.etags[1], {"ChecksumSHA1": checksum("SHA1", b"x")})])
    composite = base64.b64encode(DIGESTS["SHA1"](DIGESTS["SHA1"](b"x"))).decode() + "-1"
    assert f"<ChecksumSHA1>{composite}<".encode() in reply.body


def test_a_checksum_nobody_agreed_on(s3, bucket):
    """Parts may carry one although the upload has none: it is verified and listed, the object has none."""
    up = Upload(s3, bucket, "k")
    assert up.put(1, b"x", {header("CRC32"): checksum("CRC32", b"y")}).code == "BadDigest"
    assert up.put(1, b"x", {header("CRC32"): checksum("CRC32", b"x")}).status == 200
    assert b"<ChecksumCRC32>" in up.list().body
    assert up.complete([(1, up.etags[1], {"ChecksumCRC32": checksum("CRC32", b"x")})]).status == 200
    assert s3.head(bucket, "k", {"x-amz-checksum-mode": "ENABLED"}).get(header("CRC32")) is None


# -- events ----------------------------------------------------------------------------------------------------------

@pytest.fixture
def bench(notified, hook_receiver):
    return Bench(notified, hook_receiver)


def test_events(bench):
    up = Upload(bench.s3, bench.bucket, "dir/big", {"content-type": "application/x-big", "User-Agent": AGENT})
    up.put(1, b"first")
    up.put(2, b"second")
    reply = up.complete([(1, up.etags[1])], {"User-Agent": AGENT})
    assert reply.status == 200
    content = {"size": 5, "etag": etag_of([b"first"]), "content_type": "application/x-big",
               "metadata": {"content-type": "application/x-big"}}
    made = bench.match(bench.posts(1)[0], "s3:ObjectCreated:CompleteMultipartUpload", "dir/big", encoded="dir%2Fbig",
                       content_length=len(reply.body), **content)
    assert made["request_id"] == reply.get("x-amz-request-id")
    assert up.complete([(1, up.etags[1])]).status == 200, "a repeat is no change"
    Upload(bench.s3, bench.bucket, "aborted").abort()
    reply = bench.request("GET", "dir/big", {"x-amz-object-attributes": "ETag"},
                          target=key_path(bench.bucket, "dir/big") + "?attributes")
    found = bench.match(bench.posts(2)[1], "s3:ObjectAccessed:Attributes", "dir/big", encoded="dir%2Fbig",
                        content_length=len(reply.body), **content)
    assert found["sequencer"] == made["sequencer"]
    bench.request("GET", "dir/big", target=key_path(bench.bucket, "dir/big") + "?partNumber=1")
    bench.match(bench.posts(3)[2], "s3:ObjectAccessed:Get", "dir/big", encoded="dir%2Fbig", content_length=5, **content)
    assert len(bench.posts(3)) == 3


def test_no_event_and_no_object_of_a_refused_complete(bench):
    bench.request("PUT", "k", body=b"old")
    up = Upload(bench.s3, bench.bucket, "k")
    up.put(1, b"new")
    assert up.complete(headers={"If-None-Match": "*"}).status == 412
    bench.request("PUT", "end", body=b"x")
    assert [p.record["eventName"] for p in bench.posts(2)] == ["s3:ObjectCreated:Put"] * 2


# -- races, restarts, memory -----------------------------------------------------------------------------------------

def test_parts_change_while_it_completes(s3, bucket):
    """Whatever part the object has, it is whole and the one that its ETag names."""
    for round_ in range(12):
        up = Upload(s3, bucket, f"k{round_}")
        up.put(1, b"one" * 30_000)
        replies = []

        def replace(up=up, replies=replies):
            replies.append(up.put(1, b"two" * 30_000))

        thread = threading.Thread(target=replace)
        thread.start()
        done = up.complete([(1, f'"{hashlib.md5(b"one" * 30_000).hexdigest()}"')])
        thread.join()
        if done.status == 200:
            assert s3.get(bucket, up.key).body == b"one" * 30_000
            assert up.list().code == "NoSuchUpload" and replies[0].code in (None, "NoSuchUpload", "")
        else:
            assert done.code == "InvalidPart" and replies[0].status == 200


def test_survives_a_kill(make_server):
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("kept")
    up = Upload(s3, "kept", "k", {"x-amz-meta-a": "1"})
    up.put(1, FIVE)
    up.put(2, b"small")
    up.put(3, b"unused" * 10_000)
    server.kill()
    server.start()
    assert up.list().body.count(b"<Part>") == 3
    done = up.complete([(1, up.etags[1]), (2, up.etags[2])])
    assert done.status == 200
    server.kill()
    server.start()
    assert up.complete([(1, up.etags[1]), (2, up.etags[2])]).body == done.body
    reply = s3.get("kept", "k")
    assert reply.body == FIVE + b"small" and reply.get("x-amz-meta-a") == "1"
    server.stop()
    from support.server import run
    checked = run("check", server.directory)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.timeout(300)
def test_memory_stays_flat(make_server):
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("flat")
    up = Upload(s3, "flat", "k")
    up.put(1, FIVE)
    before = server.rss()
    with server.raw() as conn:
        for number in range(2, 40):
            up.put(number, FIVE, conn=conn)
        assert up.complete().status == 200
        for number in range(1, 40):
            assert s3.request("GET", f"/flat/k?partNumber={number}", conn=conn).status == 206
    assert server.rss() - before < 120 * MIB
    assert server.open_files() < 200


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_parts(make_server, hook_receiver):
    """The largest upload there may be; parts below 5 MiB could not be completed, and 50 GB are too many for a test, so that
    all but 40 are refused when it is completed; a list of 10,000 goes to the end of the first check."""
    server = make_server(env=webhook_env(hook_receiver)).start()
    s3 = server.s3
    s3.make_bucket("ten")
    up = Upload(s3, "ten", "k")
    with server.raw() as conn:
        for number in range(1, 10_001):
            assert up.put(number, b"x", conn=conn).status == 200
    assert up.complete().code == "EntityTooSmall"
    root = up.list("part-number-marker=9000&")
    assert root.body.count(b"<Part>") == 1000 and b"<IsTruncated>false" in root.body
    assert up.complete([(10_000, up.etags[10_000])]).status == 200
    assert s3.get("ten", "k").body == b"x"
    assert s3.delete("ten", "k").status == 204


# -- clients ---------------------------------------------------------------------------------------------------------

def test_boto(boto, bucket):
    from boto3.s3.transfer import TransferConfig
    data = os.urandom(13 * MIB + 7)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    boto.upload_fileobj(io.BytesIO(data), bucket, "up", Config=config, ExtraArgs={"Metadata": {"a": "1"}})
    head = boto.head_object(Bucket=bucket, Key="up", PartNumber=3, ChecksumMode="ENABLED")
    assert head["PartsCount"] == 3 and head["ContentLength"] == 3 * MIB + 7 and head["Metadata"] == {"a": "1"}
    got = io.BytesIO()
    boto.download_fileobj(bucket, "up", got, Config=config)
    assert got.getvalue() == data
    boto.copy({"Bucket": bucket, "Key": "up"}, bucket, "copied", Config=config)
    assert boto.get_object(Bucket=bucket, Key="copied", ChecksumMode="ENABLED")["Body"].read() == data
    assert boto.get_object(Bucket=bucket, Key="copied", PartNumber=2, ChecksumMode="ENABLED")["Body"].read() == \
        data[5 * MIB:10 * MIB]
    shown = boto.get_object_attributes(Bucket=bucket, Key="up", ObjectAttributes=["ETag", "ObjectParts", "ObjectSize"])
    assert shown["ObjectParts"]["TotalPartsCount"] == 3 and shown["ObjectSize"] == len(data)


def test_boto_steps(boto, bucket):
    made = boto.create_multipart_upload(Bucket=bucket, Key="k")
    same = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    part = boto.upload_part(PartNumber=1, Body=b"x", **same)
    assert [p["ETag"] for p in boto.list_parts(**same)["Parts"]] == [part["ETag"]]
    assert [u["UploadId"] for u in boto.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [made["UploadId"]]
    assert code_of(boto.complete_multipart_upload, MultipartUpload={"Parts": [{"PartNumber": 2, "ETag": part["ETag"]}]},
                   **same) == ("InvalidPart", 400)
    boto.abort_multipart_upload(**same)
    assert code_of(boto.abort_multipart_upload, **same) == ("NoSuchUpload", 404)
    assert code_of(boto.list_parts, **same) == ("NoSuchUpload", 404)
    assert "Uploads" not in boto.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_boto_checksums(boto, bucket, algorithm):
    from boto3.s3.transfer import TransferConfig
    data = os.urandom(11 * MIB)
    boto.upload_fileobj(io.BytesIO(data), bucket, "k", ExtraArgs={"ChecksumAlgorithm": algorithm},
                        Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB))
    head = boto.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    digests = b"".join(DIGESTS[algorithm](data[i:i + 5 * MIB]) for i in range(0, len(data), 5 * MIB))
    assert head[element(algorithm)] == checksum(algorithm, digests) + "-3" and head["ChecksumType"] == "COMPOSITE"


def test_minio_py(minio_client, bucket):  # noqa: F811 - the fixture
    from minio.commonconfig import ComposeSource
    data = os.urandom(12 * MIB)
    minio_client.put_object(bucket, "k", io.BytesIO(data), -1, part_size=5 * MIB)
    reply = minio_client.get_object(bucket, "k")
    assert reply.read() == data
    reply.close()
    minio_client.compose_object(bucket, "two", [ComposeSource(bucket, "k"), ComposeSource(bucket, "k")])
    assert minio_client.stat_object(bucket, "two").size == 2 * len(data)


@pytest.mark.timeout(300)
def test_mc(mc, hook_receiver, tmp_path):  # noqa: F811 - the fixture
    """100 MB by cp, whose parts carry CRC32C, and pipe, which does not know its length."""
    bucket = f"mc-{uuid.uuid4().hex[:8]}"
    mc.run("mb", f"b/{bucket}")
    assert mc.server.s3.set_rules(bucket, rule(arn("1"), "s3:ObjectCreated:*")).status == 200
    block = os.urandom(MIB)
    (tmp_path / "in").write_bytes(block * 100)
    mc.run("cp", tmp_path / "in", f"b/{bucket}/big")
    mc.run("cp", f"b/{bucket}/big", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == block * 100
    mc.run("cp", f"b/{bucket}/big", f"b/{bucket}/copy")
    mc.run("pipe", f"b/{bucket}/piped", data=block * 40)
    assert mc.run("cat", f"b/{bucket}/piped").stdout == block * 40
    assert mc.lines("stat", f"b/{bucket}/big")[0]["size"] == 100 * MIB
    Upload(mc.server.s3, bucket, "open").put(1, b"x")
    assert len(mc.lines("ls", "--incomplete", f"b/{bucket}")) == 1
    mc.run("rm", "--incomplete", "--recursive", "--force", f"b/{bucket}")
    assert mc.lines("ls", "--incomplete", f"b/{bucket}") == []
    names = [p.record["eventName"] for p in hook_receiver.snapshot() if p.key == f"{bucket}/big"]
    assert names == ["s3:ObjectCreated:CompleteMultipartUpload"]
