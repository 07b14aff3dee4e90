# SPDX-License-Identifier: Apache-2.0
"""The clients people use: boto3, minio-py, curl, mc."""
import io
import os
import shutil
import subprocess
import urllib.request

import pytest
from botocore.exceptions import ClientError
from support.mc import Mc, mc_binary
from support.receiver import Receiver, webhook_env
from support.s3raw import arn
from support.server import clean_env
from support.wait import wait_for

# -- boto3 -------------------------------------------------------------------------------------

def code_of(call, *args, **kwargs):
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.sanitize
def test_boto_round(boto, bucket):
    boto.put_object(Bucket=bucket, Key="a/ü b", Body=b"hello", ContentType="text/x", Metadata={"one": "1"})
    got = boto.get_object(Bucket=bucket, Key="a/ü b")
    assert got["Body"].read() == b"hello" and got["ContentType"] == "text/x" and got["Metadata"] == {"one": "1"}
    assert got["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert boto.head_object(Bucket=bucket, Key="a/ü b")["ContentLength"] == 5
    boto.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/ü b"})
    assert [o["Key"] for o in boto.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/ü b", "copy"]
    assert [o["Key"] for o in boto.list_objects(Bucket=bucket)["Contents"]] == ["a/ü b", "copy"]
    reply = boto.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a/ü b"}, {"Key": "copy"}, {"Key": "missing"}]})
    assert len(reply["Deleted"]) == 3 and "Errors" not in reply
    assert boto.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    boto.delete_bucket(Bucket=bucket)
    assert bucket not in [b["Name"] for b in boto.list_buckets()["Buckets"]]


def test_boto_errors(boto, bucket):
    assert code_of(boto.get_object, Bucket=bucket, Key="nope") == ("NoSuchKey", 404)
    assert code_of(boto.head_object, Bucket=bucket, Key="nope") == ("404", 404)
    assert code_of(boto.head_bucket, Bucket="missing-bucket-x") == ("404", 404)
    assert code_of(boto.list_objects_v2, Bucket="missing-bucket-x") == ("NoSuchBucket", 404)
    assert code_of(boto.create_bucket, Bucket=bucket) == ("BucketAlreadyOwnedByYou", 409)
    boto.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert code_of(boto.put_object, Bucket=bucket, Key="k", Body=b"y", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert code_of(boto.get_object, Bucket=bucket, Key="k", IfMatch='"x"') == ("PreconditionFailed", 412)
    assert code_of(boto.put_bucket_policy, Bucket=bucket, Policy="{}")[1] == 501
    with pytest.raises(ClientError, match="does not have PutBucketPolicy yet"):
        boto.put_bucket_policy(Bucket=bucket, Policy="{}")


def test_boto_checksum(boto, bucket):
    """CRC32 is what boto3 sends by itself; CRC-32C, for which it needs an optional package, is in test_s3_auth."""
    reply = boto.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    assert reply["ChecksumCRC32"] == "y/Q5Jg=="
    got = boto.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"123456789" and got["ChecksumCRC32"] == "y/Q5Jg=="


def test_boto_streams(boto, bucket):
    """A body of unknown length is not what S3 takes; a file-like one is sent with Expect: 100-continue."""
    data = os.urandom(3_000_000)
    boto.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(data))
    assert boto.get_object(Bucket=bucket, Key="k")["Body"].read() == data
    assert boto.get_object(Bucket=bucket, Key="k", Range="bytes=5-9")["Body"].read() == data[5:10]


def test_boto_presigned(boto, bucket):
    url = boto.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "p q"}, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"presigned", method="PUT")
    assert urllib.request.urlopen(request, timeout=20).status == 200
    url = boto.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "p q",
                                                            "ResponseContentType": "text/x"}, ExpiresIn=60)
    with urllib.request.urlopen(url, timeout=20) as reply:
        assert reply.read() == b"presigned" and reply.headers["Content-Type"] == "text/x"


def test_boto_lists_many(server, boto, bucket):
    with server.raw() as c:
        for i in range(25):
            server.s3.put(bucket, f"d{i % 3}/k{i:02d}", b"", conn=c)
    pages = boto.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert len([o for p in pages for o in p.get("Contents", [])]) == 25
    pages = boto.get_paginator("list_objects").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
    assert [c["Prefix"] for p in pages for c in p.get("CommonPrefixes", [])] == ["d0/", "d1/", "d2/"]


def test_boto_notification(notified):
    client = notified.boto()
    client.create_bucket(Bucket="boto-notification")
    wanted = {"Id": "x", "QueueArn": arn("1"), "Events": ["s3:ObjectCreated:*"],
              "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".jpg"}]}}}
    client.put_bucket_notification_configuration(Bucket="boto-notification",
                                                 NotificationConfiguration={"QueueConfigurations": [wanted]})
    got = client.get_bucket_notification_configuration(Bucket="boto-notification")
    assert got["QueueConfigurations"] == [wanted]
    wanted["QueueArn"] = arn("9")
    assert code_of(client.put_bucket_notification_configuration, Bucket="boto-notification", NotificationConfiguration={
        "QueueConfigurations": [wanted]}) == ("InvalidArgument", 400)


# -- minio-py -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def minio_client(server):
    from minio import Minio
    return Minio(f"{server.host}:{server.port}", access_key=server.user, secret_key=server.password, secure=False)


def test_minio_round(minio_client, bucket):
    data = os.urandom(300_000)
    minio_client.put_object(bucket, "a/b c", io.BytesIO(data), len(data), metadata={"one": "1"})
    stat = minio_client.stat_object(bucket, "a/b c")
    assert stat.size == len(data) and stat.metadata["x-amz-meta-one"] == "1"
    reply = minio_client.get_object(bucket, "a/b c")
    assert reply.read() == data
    reply.close()
    assert [o.object_name for o in minio_client.list_objects(bucket, recursive=True)] == ["a/b c"]
    assert [o.object_name for o in minio_client.list_objects(bucket)] == ["a/"]
    from minio.commonconfig import CopySource
    from minio.deleteobjects import DeleteObject
    minio_client.copy_object(bucket, "copy", CopySource(bucket, "a/b c"))
    assert list(minio_client.remove_objects(bucket, [DeleteObject("a/b c"), DeleteObject("copy")])) == []
    minio_client.remove_bucket(bucket)
    assert not minio_client.bucket_exists(bucket)


def test_minio_notification(notified):
    from minio import Minio
    from minio.notificationconfig import NotificationConfig, PrefixFilterRule, QueueConfig
    client = Minio(f"{notified.host}:{notified.port}", access_key=notified.user, secret_key=notified.password, secure=False)
    client.make_bucket("minio-notification")
    client.set_bucket_notification("minio-notification", NotificationConfig(queue_config_list=[
        QueueConfig(queue=arn("1"), events=["s3:ObjectCreated:*"], config_id="1",
                    prefix_filter_rule=PrefixFilterRule("abc"))]))
    got = client.get_bucket_notification("minio-notification").queue_config_list
    assert len(got) == 1 and got[0].queue == arn("1") and got[0].prefix_filter_rule.value == "abc"
    client.delete_bucket_notification("minio-notification")
    assert client.get_bucket_notification("minio-notification").queue_config_list == []


# -- curl -----------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl(server, bucket, tmp_path):
    data = os.urandom(2_000_000)
    (tmp_path / "in").write_bytes(data)
    base = ["curl", "-sS", "-f", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u", f"{server.user}:{server.password}"]
    url = f"{server.endpoint}/{bucket}/by-curl"
    subprocess.run(base + ["-T", str(tmp_path / "in"), "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-H",
                           "Expect: 100-continue", url], check=True, timeout=60)
    subprocess.run(base + ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-o", str(tmp_path / "out"), url], check=True,
                   timeout=60)
    assert (tmp_path / "out").read_bytes() == data


# -- mc ---------------------------------------------------------------------------------------------

@pytest.fixture
def mc(notified, tmp_path):
    if mc_binary() is None:
        pytest.skip("mc is not installed (scripts/install-test-tools)")
    return Mc(tmp_path / "mc", notified)


def test_mc_alias_set(mc):
    s = mc.server
    mc.run("alias", "set", "other", s.endpoint, s.user, s.password)
    assert mc.run("alias", "set", "wrong", s.endpoint, s.user, "wrong-password", check=False).returncode != 0


@pytest.mark.parametrize("size", [0, 5, 100_000, 16 * 1024 * 1024])
def test_mc_objects(mc, tmp_path, size):
    bucket = f"mc-objects-{size}"
    data = os.urandom(size)
    (tmp_path / "in").write_bytes(data)
    mc.run("mb", f"b/{bucket}")
    mc.run("cp", tmp_path / "in", f"b/{bucket}/dir/a b")
    mc.run("cp", f"b/{bucket}/dir/a b", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    plain = subprocess.run([mc_binary(), "cat", f"b/{bucket}/dir/a b"], capture_output=True, check=True, env=clean_env(
        {"MC_CONFIG_DIR": mc.directory, "MC_HOST_b": f"http://{mc.server.user}:{mc.server.password}@{mc.server.host}:"
                                                     f"{mc.server.port}"}), timeout=60)
    assert plain.stdout == data
    assert [e["key"] for e in mc.lines("ls", f"b/{bucket}")] == ["dir/"]
    found = mc.lines("ls", "--recursive", f"b/{bucket}")
    assert [(e["key"], e["size"]) for e in found] == [("dir/a b", size)]
    assert mc.lines("stat", f"b/{bucket}/dir/a b")[0]["size"] == size
    mc.run("cp", f"b/{bucket}/dir/a b", f"b/{bucket}/copy")
    mc.run("rm", f"b/{bucket}/dir/a b")
    assert [e["key"] for e in mc.lines("ls", "--recursive", f"b/{bucket}")] == ["copy"]
    mc.run("rm", "--recursive", "--force", f"b/{bucket}")
    assert mc.lines("ls", f"b/{bucket}") == []


def test_mc_errors(mc, tmp_path):
    mc.run("mb", "b/mc-errors")
    assert mc.run("mb", "b/mc-errors", check=False).returncode != 0
    mc.run("mb", "--ignore-existing", "b/mc-errors")
    assert mc.run("cat", "b/mc-errors/nope", check=False).returncode != 0
    assert mc.run("ls", "b/mc-missing-bucket", check=False).returncode != 0
    assert mc.run("cp", "b/mc-errors/nope", tmp_path / "x", check=False).returncode != 0


def test_mc_events(mc, hook_receiver, tmp_path):
    mc.run("mb", "b/mc-events")
    mc.run("event", "add", "b/mc-events", arn("1"), "--event", "put,delete", "--suffix", ".jpg")
    mc.run("event", "add", "b/mc-events", arn("1"), "--event", "put", "--prefix", "in/")
    found = mc.lines("event", "list", "b/mc-events")
    assert len(found) == 2 and {e["arn"] for e in found} == {arn("1")}
    assert sorted(map(tuple, (e["event"] for e in found))) == [("s3:ObjectCreated:*",),
                                                             ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")]
    (tmp_path / "x").write_bytes(b"hello")
    mc.run("cp", tmp_path / "x", "b/mc-events/a.jpg")
    mc.run("cp", tmp_path / "x", "b/mc-events/in/b")
    mc.run("cp", tmp_path / "x", "b/mc-events/unseen")
    mc.run("rm", "b/mc-events/a.jpg")

    def mine():
        return [(p.event, p.key) for p in hook_receiver.snapshot() if p.key.startswith("mc-events/")]
    wait_for(lambda: len(mine()) >= 3, 10, "three events")
    assert sorted(mine()) == [("s3:ObjectCreated:Put", "mc-events/a.jpg"), ("s3:ObjectCreated:Put", "mc-events/in/b"),
                              ("s3:ObjectRemoved:Delete", "mc-events/a.jpg")]
    assert mc.run("event", "add", "b/mc-events", arn("9"), check=False).returncode != 0
    mc.run("event", "rm", "b/mc-events", arn("1"), "--event", "put", "--prefix", "in/")
    assert len(mc.lines("event", "list", "b/mc-events")) == 1
    mc.run("event", "rm", "b/mc-events", "--force")
    assert mc.lines("event", "list", "b/mc-events") == []


def test_mc_event_add_beside_a_stale_arn(make_server, tmp_path):
    """mc reads all rules and writes them all back: one whose target is gone must not stop it."""
    if mc_binary() is None:
        pytest.skip("mc is not installed (scripts/install-test-tools)")
    with Receiver() as a, Receiver() as b:
        server = make_server(env=dict(webhook_env(a, "a"), **webhook_env(b, "b"))).start()
        mc = Mc(tmp_path / "mc2", server)
        mc.run("mb", "b/stale")
        mc.run("event", "add", "b/stale", arn("b"), "--event", "put")
        server.stop()
        server.env = webhook_env(a, "a")
        server.start()
        mc.run("event", "add", "b/stale", arn("a"), "--event", "put")
        assert {e["arn"] for e in mc.lines("event", "list", "b/stale")} == {arn("a"), arn("b")}


def test_mc_over_tls(make_server, authority, tmp_path):
    """Over TLS mc sends UNSIGNED-PAYLOAD."""
    if mc_binary() is None:
        pytest.skip("mc is not installed (scripts/install-test-tools)")
    certs = tmp_path / "certs"
    certs.mkdir()
    authority.issue("mc", into=(certs / "public.crt", certs / "private.key"))
    server = make_server(scheme="https", tls=authority.client_context(), args=["--certs-dir", str(certs)]).start()
    mc = Mc(tmp_path / "mc", server)
    (tmp_path / "mc" / "certs" / "CAs").mkdir(parents=True)
    shutil.copy(authority.cert, tmp_path / "mc" / "certs" / "CAs" / "ca.crt")
    (tmp_path / "x").write_bytes(b"hello")
    mc.run("mb", "b/tls")
    mc.run("cp", tmp_path / "x", "b/tls/x")
    assert server.s3.get("tls", "x").body == b"hello"


def test_mc_ready_and_ping(mc):
    mc.run("ready", "b")
    mc.run("ping", "b", "--count", "1")


