# SPDX-License-Identifier: Apache-2.0
"""Files so large that each client sends them in parts, with its settings as they come; and the event that says so."""
import io
import json
import os

import pytest
from support.clients import Client
from support.s3raw import arn, rule
from support.wait import wait_for

PARTS = "s3:ObjectCreated:CompleteMultipartUpload"
MIB = 1 << 20


@pytest.fixture
def large(notified, hook_receiver, tmp_path, request):
    return Large(notified, hook_receiver, tmp_path, request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower())


class Large:
    """A notified bucket, a file, and what must be so after a client has sent it."""

    def __init__(self, server, receiver, tmp_path, bucket):
        self.server, self.receiver, self.tmp_path = server, receiver, tmp_path
        self.bucket = server.s3.make_bucket(bucket)
        assert server.s3.set_rules(self.bucket, rule(arn("1"), "s3:ObjectCreated:*")).status == 200

    def file(self, size):
        path = self.tmp_path / "large"
        path.write_bytes(os.urandom(size))
        return path

    def arrived(self, key, path, events=(PARTS,)):
        """It is there whole, made of parts, and the event of that has come, and no other of the key."""
        parts = self.server.s3.head(self.bucket, key).get("etag").strip('"').partition("-")[2]
        assert int(parts) > 1
        assert self.server.boto().get_object(Bucket=self.bucket, Key=key)["Body"].read() == path.read_bytes()
        found = wait_for(lambda: [p for p in self.receiver.snapshot() if p.key == f"{self.bucket}/{key}"], 20, f"the event of {key}")
        assert tuple(p.event for p in found) == tuple(events)
        record = found[0].record["s3"]["object"]
        assert record["size"] == path.stat().st_size and record["eTag"].partition("-")[2] == parts


def test_boto(large):
    path, client = large.file(20 * MIB + 1), large.server.boto()
    client.upload_file(str(path), large.bucket, "k")
    large.arrived("k", path)
    client.upload_fileobj(io.BytesIO(path.read_bytes()), large.bucket, "stream")
    large.arrived("stream", path)
    client.copy({"Bucket": large.bucket, "Key": "k"}, large.bucket, "copy")
    assert client.head_object(Bucket=large.bucket, Key="copy")["ContentLength"] == path.stat().st_size
    client.download_file(large.bucket, "k", str(large.tmp_path / "back"))
    assert (large.tmp_path / "back").read_bytes() == path.read_bytes()


def test_minio_py(large):
    from minio import Minio
    from minio.commonconfig import ComposeSource
    s = large.server
    client = Minio(f"{s.host}:{s.port}", access_key=s.user, secret_key=s.password, secure=False)
    path = large.file(12 * MIB)
    client.fput_object(large.bucket, "k", str(path))
    large.arrived("k", path)
    with open(path, "rb") as f:
        client.put_object(large.bucket, "stream", f, -1, part_size=5 * MIB)
    large.arrived("stream", path)
    client.compose_object(large.bucket, "composed", [ComposeSource(large.bucket, "k"), ComposeSource(large.bucket, "stream")])
    assert client.stat_object(large.bucket, "composed").size == 24 * MIB
    client.fget_object(large.bucket, "k", str(large.tmp_path / "back"))
    assert (large.tmp_path / "back").read_bytes() == path.read_bytes()


def test_awscli(large):
    s = large.server
    aws = Client("aws", large.tmp_path / "home", {
        "AWS_ACCESS_KEY_ID": s.user, "AWS_SECRET_ACCESS_KEY": s.password, "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s.endpoint, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""})
    path = large.file(20 * MIB)
    aws.run("s3", "cp", path, f"s3://{large.bucket}/k", "--no-progress")
    large.arrived("k", path)
    aws.run("s3", "cp", "-", f"s3://{large.bucket}/piped", data=path.read_bytes())
    large.arrived("piped", path)
    aws.run("s3", "cp", f"s3://{large.bucket}/k", f"s3://{large.bucket}/copy", "--no-progress")
    large.arrived("copy", path)
    aws.run("s3", "cp", f"s3://{large.bucket}/copy", large.tmp_path / "back", "--no-progress")
    assert (large.tmp_path / "back").read_bytes() == path.read_bytes()


def test_s3cmd(large):
    s = large.server
    config = large.tmp_path / "s3cfg"
    config.write_text(f"[default]\naccess_key = {s.user}\nsecret_key = {s.password}\nhost_base = {s.host}:{s.port}\n"
                      f"host_bucket = {s.host}:{s.port}\nuse_https = False\nbucket_location = us-east-1\n", encoding="ascii")
    s3cmd = Client("s3cmd", large.tmp_path / "home", {}, ["--config", str(config), "--no-progress"])
    path = large.file(20 * MIB)
    s3cmd.run("put", path, f"s3://{large.bucket}/k")
    large.arrived("k", path)
    upload = s3cmd.out("multipart", f"s3://{large.bucket}")
    assert "k" not in upload.split()[4:], "none is left open"
    s3cmd.run("get", f"s3://{large.bucket}/k", large.tmp_path / "back")
    assert (large.tmp_path / "back").read_bytes() == path.read_bytes()


def test_mc(large):
    """`mc cp` of 100 MB."""
    s = large.server
    mc = Client("mc", large.tmp_path / "mc", {"MC_CONFIG_DIR": str(large.tmp_path / "mc"), "MC_HOST_b":
                                              f"http://{s.user}:{s.password}@{s.host}:{s.port}"}, ["--json"])
    path = large.file(100_000_000)
    mc.run("cp", path, f"b/{large.bucket}/k")
    large.arrived("k", path)
    assert json.loads(mc.out("stat", f"b/{large.bucket}/k"))["size"] == 100_000_000
    mc.run("cp", f"b/{large.bucket}/k", large.tmp_path / "back")
    assert (large.tmp_path / "back").read_bytes() == path.read_bytes()
    mc.run("pipe", f"b/{large.bucket}/piped", data=path.read_bytes()[:40 * MIB])
    assert json.loads(mc.out("stat", f"b/{large.bucket}/piped"))["size"] == 40 * MIB


def test_mc_mirror(large):
    """There and back; what is the same is not sent again, what has gone is removed."""
    s = large.server
    mc = Client("mc", large.tmp_path / "mc", {"MC_CONFIG_DIR": str(large.tmp_path / "mc"), "MC_HOST_b":
                                              f"http://{s.user}:{s.password}@{s.host}:{s.port}"}, ["--json"])
    tree, back = large.tmp_path / "tree", large.tmp_path / "back"
    files = {"a": b"a" * 100, "dir/big": os.urandom(20 * MIB), "dir/deep/c d": b"c" * 70_000}
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    mc.run("mirror", tree, f"b/{large.bucket}")
    large.arrived("dir/big", tree / "dir" / "big")
    seen = len(wait_for(lambda: len({p.key for p in large.receiver.snapshot() if p.key.startswith(large.bucket)}) == 3
                        and large.receiver.snapshot(), 10, "the events"))
    mc.run("mirror", tree, f"b/{large.bucket}")
    mc.run("mirror", f"b/{large.bucket}", back)
    assert {str(p.relative_to(back)): p.read_bytes() for p in back.rglob("*") if p.is_file()} == files
    assert len(large.receiver.snapshot()) == seen
    (tree / "a").unlink()
    mc.run("mirror", "--remove", tree, f"b/{large.bucket}")
    assert s.s3.get(large.bucket, "a").status == 404


@pytest.mark.long
@pytest.mark.parametrize("provider", ["Minio", "Other"])
def test_rclone(large, provider):
    """A file above its limit of 200 MiB, and one that it does not know the size of."""
    s = large.server
    rclone = Client("rclone", large.tmp_path / "home", {
        "RCLONE_CONFIG_B_TYPE": "s3", "RCLONE_CONFIG_B_PROVIDER": provider, "RCLONE_CONFIG_B_ENDPOINT": s.endpoint,
        "RCLONE_CONFIG_B_ACCESS_KEY_ID": s.user, "RCLONE_CONFIG_B_SECRET_ACCESS_KEY": s.password,
        "RCLONE_CONFIG_B_REGION": "us-east-1"}, ["--config", "", "--retries", "1", "--low-level-retries", "1"])
    path = large.file(201 * MIB)
    rclone.run("copyto", path, f"b:{large.bucket}/k")
    large.arrived("k", path)
    rclone.run("check", large.tmp_path, f"b:{large.bucket}", "--include", "k", "--one-way")
    path = large.file(20 * MIB)
    rclone.run("rcat", f"b:{large.bucket}/piped", data=path.read_bytes())
    large.arrived("piped", path)


@pytest.mark.long
def test_restic(large):
    """Its packs are of up to 128 MiB and go in one piece; the least that it says of itself is that all of it is right."""
    s = large.server
    restic = Client("restic", large.tmp_path / "home", {
        "AWS_ACCESS_KEY_ID": s.user, "AWS_SECRET_ACCESS_KEY": s.password, "AWS_DEFAULT_REGION": "us-east-1",
        "RESTIC_PASSWORD": "restic-test", "RESTIC_REPOSITORY": f"s3:{s.endpoint}/{large.bucket}"}, ["--no-cache", "--pack-size", "64"])
    path = large.file(150 * MIB)
    restic.run("init")
    restic.run("backup", path)
    restic.run("check", "--read-data")
    restic.run("restore", "latest", "--target", large.tmp_path / "back")
    assert (large.tmp_path / "back" / str(path).lstrip("/")).read_bytes() == path.read_bytes()
    assert max(o["Size"] for o in s.boto().list_objects_v2(Bucket=large.bucket)["Contents"]) > 48 * MIB
