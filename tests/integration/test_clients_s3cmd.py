# SPDX-License-Identifier: Apache-2.0
"""s3cmd, which lists with version 1 and asks about everything that could be configured."""
import os

import pytest
from support.clients import Client, make_tree, read_tree


@pytest.fixture
def s3cmd(server, tmp_path):
    address = f"{server.host}:{server.port}"
    config = tmp_path / "s3cfg"
    config.write_text(f"[default]\naccess_key = {server.user}\nsecret_key = {server.password}\nhost_base = {address}\n"
                      f"host_bucket = {address}\nuse_https = False\nbucket_location = us-east-1\n", encoding="ascii")
    return Client("s3cmd", tmp_path / "home", {}, ["--config", str(config), "--no-progress"])


def test_files(s3cmd, tmp_path):
    files = {"a.txt": b"hello", "dir/ü b.bin": os.urandom(300_000), "dir/empty": b"", "dir/deep/c": b"c" * 5000}
    tree = make_tree(tmp_path / "tree", files)
    s3cmd.run("mb", "s3://s3cmd-files")
    assert "s3://s3cmd-files" in s3cmd.out("ls")
    s3cmd.run("put", tree / "a.txt", "s3://s3cmd-files/one/a.txt", "--add-header=x-amz-meta-k:v")
    s3cmd.run("sync", f"{tree}/", "s3://s3cmd-files/tree/")
    (tmp_path / "back").mkdir()
    s3cmd.run("sync", "s3://s3cmd-files/tree/", f"{tmp_path}/back/")
    assert read_tree(tmp_path / "back") == files
    assert s3cmd.out("ls", "s3://s3cmd-files").split() == ["DIR", "s3://s3cmd-files/one/", "DIR", "s3://s3cmd-files/tree/"]
    listed = [line.split(None, 3)[3] for line in s3cmd.out("ls", "--recursive", "s3://s3cmd-files").splitlines()]
    assert listed == ["s3://s3cmd-files/one/a.txt", *sorted(f"s3://s3cmd-files/tree/{f}" for f in files)]
    s3cmd.run("cp", "s3://s3cmd-files/one/a.txt", "s3://s3cmd-files/copy")
    s3cmd.run("mv", "s3://s3cmd-files/copy", "s3://s3cmd-files/moved")
    s3cmd.run("get", "s3://s3cmd-files/moved", tmp_path / "moved")
    assert (tmp_path / "moved").read_bytes() == b"hello"
    assert s3cmd.out("du", "s3://s3cmd-files").split()[0] == str(sum(map(len, files.values())) + 10)
    s3cmd.run("rm", "--recursive", "s3://s3cmd-files/tree/")
    assert s3cmd.run("rb", "s3://s3cmd-files", check=False).returncode != 0
    s3cmd.run("rb", "--recursive", "--force", "s3://s3cmd-files")
    assert "s3cmd-files" not in s3cmd.out("ls")


def test_what_it_asks(s3cmd, tmp_path):
    (tmp_path / "f").write_bytes(b"hello")
    s3cmd.run("mb", "s3://s3cmd-info")
    s3cmd.run("put", tmp_path / "f", "s3://s3cmd-info/k", "--acl-private")
    bucket, item = s3cmd.out("info", "s3://s3cmd-info"), s3cmd.out("info", "s3://s3cmd-info/k")
    assert "minio: FULL_CONTROL" in bucket and "Payer:     BucketOwner" in bucket and "Policy:    none" in bucket
    assert "minio: FULL_CONTROL" in item and "File size: 5" in item
    s3cmd.run("setacl", "--acl-private", "s3://s3cmd-info/k")
    assert s3cmd.run("setacl", "--acl-public", "s3://s3cmd-info/k", check=False).returncode != 0
    assert s3cmd.run("info", "s3://s3cmd-info/nope", check=False).returncode != 0
    s3cmd.run("modify", "--add-header=x-amz-meta-k:v", "s3://s3cmd-info/k")
    s3cmd.run("del", "s3://s3cmd-info/k")
    s3cmd.run("rb", "s3://s3cmd-info")
