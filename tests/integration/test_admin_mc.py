# SPDX-License-Identifier: Apache-2.0
"""What mc's administration commands say to a server, with the real mc."""
import json
import re

import pytest
from support.admin import sample, samples
from support.mc import Mc, mc_binary
from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.wait import wait_for

pytestmark = pytest.mark.skipif(mc_binary() is None, reason="mc is not installed (scripts/install-test-tools)")


@pytest.fixture
def own(make_server, receiver, tmp_path):
    """A server of the test's own, with a webhook, and mc on it."""
    server = make_server(env=webhook_env(receiver, auth_token="hook-secret-7")).start()
    return Mc(tmp_path / "mc", server)


@pytest.fixture
def mc(server, tmp_path):
    return Mc(tmp_path / "mc", server)


def test_info(own):
    own.server.s3.make_bucket("shop")
    own.server.s3.put("shop", "k", b"x" * 5000)
    text = own.text("admin", "info", "b")
    assert f"127.0.0.1:{own.server.port}" in text and "1 Bucket, 1 Object" in text and "1 drive online, 0 drives offline" in text
    wait_for(lambda: own.lines("admin", "info", "b")[0]["info"]["services"]["notifications"] ==
             [{"webhook": [{"1": {"status": "online"}}]}], 10, "the target to be online")
    info = own.lines("admin", "info", "b")[0]["info"]
    assert info["mode"] == "online" and info["sqsARN"] == [arn("1")] and info["usage"]["size"] == 5000


def test_info_without_targets(mc):
    assert "drive online" in mc.text("admin", "info", "b")


def test_ready_and_ping(mc):
    assert "is ready" in mc.text("ready", "b")
    assert "is ready" in mc.text("ready", "b", "--cluster-read") or mc.run("ready", "b", "--cluster-read").returncode == 0
    assert mc.lines("ready", "b")[0]["healthy"] is True
    found = mc.lines("ping", "b", "--count", "2")
    assert len(found) >= 2 and "errors=0" in mc.text("ping", "b", "--count", "1")


def test_prometheus(own, tmp_path):
    text = own.text("admin", "prometheus", "generate", "b")
    bearer = re.search(r"bearer_token: (\S+)", text)[1]
    path = re.search(r"metrics_path: (\S+)", text)[1]
    reply = own.server.s3.request("GET", path, [("Authorization", f"Bearer {bearer}")], sign=False)
    assert reply.status == 200
    assert sample(samples(reply.body.decode()), "minio_cluster_health_status") == 1
    other = Mc(tmp_path / "other", own.server)
    for kind in ("cluster", "node", "bucket", "resource"):
        samples(other.text("admin", "prometheus", "metrics", "b", kind))
    for kind in ("api", "system", "debug", "cluster", "ilm", "audit", "logger", "replication", "notification", "scanner"):
        samples(other.text("admin", "prometheus", "metrics", "b", kind, "--api-version", "v3"))
    found = samples(other.text("admin", "prometheus", "metrics", "b", "--api-version", "v3"))
    assert sample(found, "minio_notification_events_sent_total") == 0
    names = {m["name"] for line in other.lines("admin", "prometheus", "metrics", "b") for m in line}
    assert "minio_cluster_health_status" in names


@pytest.mark.parametrize("extra", [[], ["--wait"]])
def test_restart(own, extra, receiver):
    server, pid = own.server, own.server.process.pid
    server.s3.make_bucket("again")
    server.s3.set_rules("again", rule(arn("1"), "s3:ObjectCreated:*"))
    server.s3.put("again", "k", b"x")
    # mc hands each message to one of two readers, of which only one prints: now and then there is nothing to read.
    for line in own.lines("admin", "service", "restart", "b", *extra):
        assert line["status"] == "success" and line["result"]["action"] == "restart"
    wait_for(lambda: server.log().count("API: ") == 2, 15, "the server to be back")
    wait_for(server._ready, 10, "the server to be ready")
    assert server.process.pid == pid and server.s3.get("again", "k").body == b"x"
    wait_for(lambda: [p.key for p in receiver.snapshot()] == ["again/k"], 10, "the event")


def test_stop(own):
    assert own.lines("admin", "service", "stop", "b")[-1]["status"] == "success"
    assert own.server.wait_exit() == 0
    own.server.start()


def test_what_is_not_there(mc):
    for command in (["admin", "user", "list", "b"], ["admin", "policy", "list", "b"]):
        done = mc.run(*command, check=False)
        assert done.returncode != 0 and b"does not have the admin call" in done.stdout + done.stderr, command
    done = mc.run("admin", "service", "freeze", "b", check=False)
    assert done.returncode != 0 and b"freeze" in done.stdout + done.stderr


def test_wrong_secret(server, tmp_path):
    class Other:
        scheme, user, password, host, port = server.scheme, server.user, "wrong-secret-1", server.host, server.port
    done = Mc(tmp_path / "mc", Other).run("admin", "info", "b", check=False)
    answer = json.loads(done.stdout.splitlines()[0])
    assert "signature" in json.dumps(answer).lower()


def test_secrets_are_not_shown(own):
    """Not in the log, not in info, not in metrics; failing calls included."""
    server = own.server
    texts = [own.text("admin", "info", "b"), own.run("admin", "info", "b").stdout.decode()]
    own.run("admin", "service", "freeze", "b", check=False)
    texts += [own.text("admin", "prometheus", "metrics", "b", kind) for kind in ("cluster", "node")]
    texts += [own.text("admin", "prometheus", "metrics", "b", "--api-version", "v3")]
    own.lines("admin", "service", "restart", "b")
    wait_for(lambda: server.log().count("API: ") == 2, 15, "the server to be back")
    texts.append(server.log())
    for secret in ("hook-secret-7", server.password):
        assert not any(secret in text for text in texts), secret
