# SPDX-License-Identifier: Apache-2.0
"""rclone, as a person uses it."""
import json
import os

import pytest
from support.clients import Client, make_tree, read_tree

pytestmark = pytest.mark.long


@pytest.fixture(params=["Minio", "Other"])
def rclone(server, tmp_path, request):
    return Client("rclone", tmp_path / "home", {
        "RCLONE_CONFIG_B_TYPE": "s3", "RCLONE_CONFIG_B_PROVIDER": request.param, "RCLONE_CONFIG_B_ENDPOINT": server.endpoint,
        "RCLONE_CONFIG_B_ACCESS_KEY_ID": server.user, "RCLONE_CONFIG_B_SECRET_ACCESS_KEY": server.password,
        "RCLONE_CONFIG_B_REGION": "us-east-1"}, ["--config", "", "--retries", "1", "--low-level-retries", "1"])


def test_files(rclone, tmp_path):
    files = {"a.txt": b"hello", "dir/ü b.bin": os.urandom(300_000), "dir/empty": b"", "dir/deep/c": b"c" * 5000}
    tree = make_tree(tmp_path / "tree", files)
    name = "b:rclone-" + rclone.env["RCLONE_CONFIG_B_PROVIDER"].lower()
    rclone.run("mkdir", name)
    assert name[2:] in rclone.out("lsd", "b:")
    rclone.run("copy", tree, f"{name}/tree")
    rclone.run("check", tree, f"{name}/tree")
    size = json.loads(rclone.out("size", "--json", name))
    assert (size["count"], size["bytes"], size["sizeless"]) == (4, sum(map(len, files.values())), 0)
    times = {p["Path"]: p["ModTime"] for p in json.loads(rclone.out("lsjson", "-R", "--files-only", f"{name}/tree"))}
    assert set(times) == set(files)
    rclone.run("copy", f"{name}/tree", tmp_path / "back")
    assert read_tree(tmp_path / "back") == files
    assert int((tmp_path / "back" / "a.txt").stat().st_mtime) == int((tree / "a.txt").stat().st_mtime), "kept as metadata"
    assert "0 B" in rclone.run("sync", "-v", tree, f"{name}/tree").stderr.decode(), "nothing is left to be done"
    rclone.run("copyto", f"{name}/tree/a.txt", f"{name}/copy")
    rclone.run("moveto", f"{name}/copy", f"{name}/moved")
    assert rclone.run("cat", f"{name}/moved").stdout == b"hello"
    assert rclone.run("rcat", f"{name}/piped", data=b"piped").returncode == 0
    assert rclone.out("hashsum", "md5", f"{name}/moved").split()[0] == "5d41402abc4b2a76b9719d911017c592"
    os.utime(tree / "a.txt", (1_000_000_000, 1_000_000_000))
    rclone.run("sync", tree, f"{name}/tree")
    (tree / "a.txt").unlink()
    rclone.run("sync", tree, f"{name}/tree")
    assert "a.txt" not in rclone.out("lsf", f"{name}/tree")
    rclone.run("deletefile", f"{name}/moved")
    rclone.run("delete", f"{name}/tree")
    rclone.run("purge", name)
    assert name[2:] not in rclone.out("lsd", "b:")
