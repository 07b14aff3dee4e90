# SPDX-License-Identifier: Apache-2.0
"""restic: a repository is made, filled, checked, read back and thinned out."""
import json
import os

import pytest
from support.clients import Client, make_tree, read_tree

pytestmark = pytest.mark.long


def test_backup(server, tmp_path):
    restic = Client("restic", tmp_path / "home", {
        "AWS_ACCESS_KEY_ID": server.user, "AWS_SECRET_ACCESS_KEY": server.password, "AWS_DEFAULT_REGION": "us-east-1",
        "RESTIC_PASSWORD": "restic-test", "RESTIC_REPOSITORY": f"s3:{server.endpoint}/restic-repo"}, ["--no-cache"])
    files = {"a.txt": b"hello", "dir/b.bin": os.urandom(20_000_000), "dir/empty": b""}
    tree = make_tree(tmp_path / "tree", files)
    restic.run("init")
    assert restic.run("init", check=False).returncode != 0
    restic.run("backup", tree)
    (tree / "a.txt").write_bytes(b"changed")
    restic.run("backup", tree)
    snapshots = json.loads(restic.out("snapshots", "--json"))
    assert len(snapshots) == 2
    restic.run("check", "--read-data")
    restic.run("restore", "latest", "--target", tmp_path / "back")
    restored = tmp_path / "back" / str(tree).lstrip("/")
    assert read_tree(restored) == {**files, "a.txt": b"changed"}
    restic.run("restore", snapshots[0]["id"], "--target", tmp_path / "first")
    assert read_tree(tmp_path / "first" / str(tree).lstrip("/")) == files
    restic.run("forget", "--keep-last", "1", "--prune")
    assert len(json.loads(restic.out("snapshots", "--json"))) == 1
    restic.run("check", "--read-data")
