# SPDX-License-Identifier: Apache-2.0
"""mc: what it asks buckets and objects about, tags, and the commands that remove much."""
import json

import pytest
from support.clients import Client, make_tree
from support.wait import wait_for


@pytest.fixture
def mc(notified, tmp_path):
    return Client("mc", tmp_path / "mc", {"MC_CONFIG_DIR": str(tmp_path / "mc"), "MC_HOST_b":
                                          f"http://{notified.user}:{notified.password}@{notified.host}:{notified.port}"},
                  ["--json"])


def lines(mc, *args):
    return [json.loads(line) for line in mc.out(*args).splitlines() if line.strip()]


def test_stat(mc, tmp_path):
    (tmp_path / "f").write_bytes(b"hello")
    mc.run("mb", "b/mc-stat")
    mc.run("cp", "--tags", "a=1&b=2", "--attr", "k=v", tmp_path / "f", "b/mc-stat/k")
    bucket = lines(mc, "stat", "b/mc-stat")[0]
    assert bucket["status"] == "success" and bucket["name"] == "mc-stat/" and bucket["Policy"] == {"type": "none"}, bucket
    item = lines(mc, "stat", "b/mc-stat/k")[0]
    assert item["size"] == 5 and item["metadata"]["X-Amz-Meta-K"] == "v" and item["metadata"]["X-Amz-Tagging-Count"] == "2"
    assert lines(mc, "version", "info", "b/mc-stat")[0]["versioning"]["status"] == ""
    assert lines(mc, "anonymous", "get", "b/mc-stat")[0]["permission"] == "private"
    mc.run("anonymous", "set", "private", "b/mc-stat")
    assert mc.run("anonymous", "set", "download", "b/mc-stat", check=False).returncode != 0, "nothing would keep it"
    assert mc.run("version", "enable", "b/mc-stat", check=False).returncode != 0
    assert mc.run("tag", "set", "b/mc-stat", "a=1", check=False).returncode != 0
    assert mc.run("ilm", "rule", "ls", "b/mc-stat", check=False).returncode != 0, "there is none"
    assert [e["key"] for e in lines(mc, "ls", "--versions", "b/mc-stat")] == ["k"]
    assert [e["key"] for e in lines(mc, "find", "b/mc-stat", "--name", "k")] == ["b/mc-stat/k"]
    assert [e["key"] for e in lines(mc, "find", "b/mc-stat", "--tags", "a=1", "--metadata", "X-Amz-Meta-K=v")] == ["b/mc-stat/k"]
    assert lines(mc, "find", "b/mc-stat", "--tags", "a=2") == []
    assert lines(mc, "du", "b/mc-stat")[-1]["size"] == 5


def test_tags(mc, hook_receiver, tmp_path):
    (tmp_path / "f").write_bytes(b"hello")
    mc.run("mb", "b/mc-tags")
    mc.run("event", "add", "b/mc-tags", "arn:minio:sqs::1:webhook", "--event", "put")
    mc.run("cp", tmp_path / "f", "b/mc-tags/k")
    mc.run("tag", "set", "b/mc-tags/k", "key 1=value&other=x/y")
    assert lines(mc, "tag", "list", "b/mc-tags/k")[0]["tagset"] == {"key 1": "value", "other": "x/y"}
    mc.run("cp", "b/mc-tags/k", "b/mc-tags/copy")
    assert lines(mc, "tag", "list", "b/mc-tags/copy")[0]["tagset"] == {"key 1": "value", "other": "x/y"}
    mc.run("tag", "remove", "b/mc-tags/k")
    assert "tagset" not in lines(mc, "tag", "list", "b/mc-tags/k")[0]

    def events():
        return [p.event.rpartition(":")[2] for p in hook_receiver.snapshot() if p.key == "mc-tags/k"]
    wait_for(lambda: events() == ["Put", "PutTagging", "DeleteTagging"], 10, "events of the tags")


def test_removing_much(mc, hook_receiver, tmp_path):
    tree = make_tree(tmp_path / "tree", {f"{d}/{i}": b"x" for d in ("one", "two") for i in range(20)})
    mc.run("mb", "b/mc-remove")
    mc.run("event", "add", "b/mc-remove", "arn:minio:sqs::1:webhook", "--event", "delete")
    mc.run("cp", "--recursive", f"{tree}/", "b/mc-remove/")
    mc.run("rm", "-r", "--force", "b/mc-remove/one/")
    assert {e["key"].split("/")[0] for e in lines(mc, "ls", "-r", "b/mc-remove")} == {"two"}
    wait_for(lambda: sorted(p.key for p in hook_receiver.snapshot() if p.key.startswith("mc-remove/")) ==
             sorted(f"mc-remove/one/{i}" for i in range(20)), 10, "an event per object")
    mc.run("mirror", "--remove", "--overwrite", tree / "one", "b/mc-remove/two")
    assert mc.run("rb", "b/mc-remove", check=False).returncode != 0
    mc.run("rb", "--force", "b/mc-remove")
    assert "mc-remove/" not in [e["key"] for e in lines(mc, "ls", "b")]
