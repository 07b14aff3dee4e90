# SPDX-License-Identifier: Apache-2.0
"""mc admin config with the real mc: set, get, reset, history, restore, export and import, at work at once, over restarts and
kills; what is secret stays so."""
import json
import re
import threading
import time

import pytest
from support.admin import Admin, decrypt, error_of, samples, token
from support.mc import Mc, mc_binary
from support.delivery import notify
from support.receiver import Answer, Receiver, webhook_env
from support.s3raw import arn, rule
from support.wait import wait_for

pytestmark = pytest.mark.skipif(mc_binary() is None, reason="mc is not installed (scripts/install-test-tools)")
HINT = "Please restart"
OFF = "notify_webhook enable=off endpoint= auth_token= queue_limit=0 queue_dir= client_cert= client_key= \n"


@pytest.fixture
def own(make_server, tmp_path):
    return Mc(tmp_path / "mc", make_server().start())


def put_and_wait(server, receiver, key):
    assert server.s3.put("shop", key, b"x").status == 200
    wait_for(lambda: f"shop/{key}" in [p.key for p in receiver.snapshot()], 10, f"the event of {key}")


def test_a_target_is_at_work_at_once_and_stays(own, receiver):
    """The guide's steps, without the restart that it asks for; then with it, and after a kill."""
    server = own.server
    said = own.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint={receiver.url}")
    assert "Successfully applied new settings." in said and HINT not in said
    server.s3.make_bucket("shop")
    own.run("event", "add", "b/shop", arn("1"), "--event", "put")
    put_and_wait(server, receiver, "one")
    own.lines("admin", "service", "restart", "b")
    wait_for(lambda: server.log().count("API: ") == 2, 15, "the server to be back")
    wait_for(server._ready, 10, "the server to be ready")
    put_and_wait(server, receiver, "two")
    own.text("admin", "config", "set", "b", "notify_webhook:1", "comment=two words")
    server.kill()
    server.start()
    put_and_wait(server, receiver, "three")
    assert 'comment="two words"' in own.text("admin", "config", "get", "b", "notify_webhook:1")
    assert server.log().count(arn("1")) >= 2, "the ARN is printed at start"


def test_get(own):
    assert own.text("admin", "config", "get", "b", "notify_webhook") == OFF
    own.text("admin", "config", "set", "b", "notify_webhook:1", "endpoint=http://127.0.0.1:1/", "queue_limit=10",
             "comment=two words")
    first, second = own.text("admin", "config", "get", "b", "notify_webhook").splitlines(keepends=True)
    assert first == OFF and second.endswith(" \n")
    assert second.startswith("notify_webhook:1 endpoint=http://127.0.0.1:1/ auth_token= queue_limit=10 queue_dir= "
                             "client_cert= client_key= ")
    assert ' comment="two words" ' in second
    found = own.lines("admin", "config", "get", "b", "notify_webhook:1")[0]["config"][0]
    assert (found["subSystem"], found["target"]) == ("notify_webhook", "1")
    assert {"key": "queue_limit", "value": "10"} in found["kv"]
    names = [line.split()[0] for line in own.text("admin", "config", "get", "b").splitlines() if line.startswith("notify_")]
    assert names == [f"notify_{n}" for n in ("webhook", "amqp", "kafka", "mqtt", "nats", "nsq", "mysql", "postgres",
                                            "elasticsearch", "redis")]


@pytest.mark.parametrize("args,text", [
    (("set", "b", "notify_webhook:2", "auth_token=x"), "'endpoint' is not optional for 'notify_webhook' sub-system"),
    (("set", "b", "notify_nope:1", "a=b"), "unknown sub-system"),
    (("get", "b", "notify_webhook:9"), "there is no target `9` for subsystem `notify_webhook`"),
    (("get", "b", "notify_nope"), "notify_nope"),
    (("reset", "b", "notify_webhook:9"), "notify_webhook:9"),
    (("set", "b", "notify_elasticsearch:1", "url=http://127.0.0.1:1", "format=namespace"),
     "'index' is not optional for 'notify_elasticsearch' sub-system"),
    (("set", "b", "notify_webhook:2", "endpoint=http://127.0.0.1:1/", "queue_dir=/dev/null/queue"),
     "queue_dir /dev/null/queue cannot be made: Not a directory"),
    (("restore", "b", "00000000-0000-0000-0000-000000000000"), ""),
])
def test_refusals(own, args, text):
    before = own.text("admin", "config", "export", "b")
    done = own.run("admin", "config", *args, check=False)
    assert done.returncode != 0 and text in json.loads(done.stdout.splitlines()[0])["error"]["cause"]["message"]
    assert own.text("admin", "config", "export", "b") == before


def test_help(own):
    keys = {k["key"]: k for k in own.lines("admin", "config", "set", "b", "notify_webhook")[0]["help"]["keysHelp"]}
    assert not keys["endpoint"]["optional"] and keys["auth_token"]["optional"]
    text = own.text("admin", "config", "set", "b", "notify_webhook", "--env")
    assert "MINIO_NOTIFY_WEBHOOK_ENABLE*" in text and "MINIO_NOTIFY_WEBHOOK_ENDPOINT*" in text


def test_reset(own):
    own.text("admin", "config", "set", "b", "notify_webhook:1", "endpoint=http://127.0.0.1:1/", "queue_limit=10")
    said = own.text("admin", "config", "reset", "b", "notify_webhook:1", "queue_limit")
    assert HINT not in said
    assert "queue_limit=0" in own.text("admin", "config", "get", "b", "notify_webhook:1")
    own.text("admin", "config", "reset", "b", "notify_webhook:1")
    assert own.text("admin", "config", "get", "b", "notify_webhook") == OFF
    assert Admin(own.server).target("1") is None


def history(own):
    return own.lines("admin", "config", "history", "b")[0]["entries"]


def test_history_and_restore(own):
    own.text("admin", "config", "set", "b", "notify_webhook:1", "endpoint=http://127.0.0.1:1/first")
    own.text("admin", "config", "set", "b", "notify_webhook:1", "endpoint=http://127.0.0.1:1/second")
    entries = history(own)
    first = next(e for e in entries if "first" in e["targets"])
    assert len(entries) == 2
    own.text("admin", "config", "restore", "b", first["restoreId"])
    assert "/first" in own.text("admin", "config", "get", "b", "notify_webhook:1")
    assert first["restoreId"] not in [e["restoreId"] for e in history(own)]
    own.text("admin", "config", "history", "b", "--clear")
    assert not history(own)
    own.server.restart()
    assert "/first" in own.text("admin", "config", "get", "b", "notify_webhook:1")


def test_export_and_import(own, make_server, receiver, tmp_path):
    own.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint={receiver.url}", "auth_token=carried-over-3")
    text = own.text("admin", "config", "export", "b")
    assert "auth_token=carried-over-3" in text and "\n# notify_redis enable=off" in text
    other = Mc(tmp_path / "other", make_server("other").start())
    other.text("admin", "config", "set", "b", "notify_webhook:gone", "endpoint=http://127.0.0.1:1/")
    other.run("admin", "config", "import", "b", data=("api requests_max=7\n" + text).encode())
    assert other.text("admin", "config", "export", "b") == text
    other.server.s3.make_bucket("shop")
    assert other.server.s3.set_rules("shop", rule(arn("1"), "s3:ObjectCreated:*")).status == 200
    put_and_wait(other.server, receiver, "imported")
    assert receiver.snapshot()[-1].get("authorization") == "Bearer carried-over-3"


def test_a_target_that_cannot_be_reached_is_no_reason_to_refuse(own):
    own.text("admin", "config", "set", "b", "notify_webhook:down", "endpoint=http://127.0.0.1:1/")
    target = wait_for(lambda: (lambda t: t if t and "127.0.0.1:1" in t.get("lastError", "") else None)(
        Admin(own.server).target("down")), 10, "its error")
    assert target["status"] == "offline" and "webhook:down" in own.server.log()


def test_by_hand(own):
    """The bodies by another implementation; the header that spares the restart."""
    admin = Admin(own.server)
    reply = admin.sealed("PUT", "set-config-kv", "notify_webhook:h endpoint=http://127.0.0.1:1/")
    assert reply.status == 200 and reply.body == b"" and reply.get("x-minio-config-applied") == "true"
    reply = admin.request("GET", "get-config-kv?key=notify_webhook:h")
    assert reply.status == 200 and "endpoint=http://127.0.0.1:1/" in decrypt(reply.body, own.server.password)
    reply = admin.sealed("DELETE", "del-config-kv", "notify_webhook:h")
    assert reply.status == 200 and reply.get("x-minio-config-applied") == "true"
    assert error_of(admin.sealed("DELETE", "del-config-kv", "notify_webhook:h")) == (404, "XMinioConfigNotFoundError")
    assert error_of(admin.request("GET", "get-config-kv?key=nope")) == (400, "XMinioConfigError")
    assert error_of(admin.request("GET", "list-config-history-kv?count=x")) == (400, "InvalidArgument")
    entries = json.loads(admin.open(admin.request("GET", "list-config-history-kv?count=1")))
    assert len(entries) == 1 and set(entries[0]) == {"restoreId", "createTime", "data"}
    long = "notify_webhook:h endpoint=http://127.0.0.1:1/ comment=" + "c" * 100_000
    assert admin.sealed("PUT", "set-config-kv", long).status in (200, 400)


def test_secrets_are_not_shown(make_server, tmp_path, receiver):
    """Not in the log, get, info or metrics, nor in what a refusal says; by mc and by variables."""
    secrets = ["stored-secret-11", "env-secret-12", "bad-secret-13", "url-secret-14"]
    server = make_server(env=webhook_env(receiver, "env", auth_token="env-secret-12")).start()
    own = Mc(tmp_path / "mc", server)
    server.s3.make_bucket("shop")
    own.text("admin", "config", "set", "b", "notify_webhook:1", "endpoint=http://127.0.0.1:1/", "auth_token=stored-secret-11")
    own.text("admin", "config", "set", "b", "notify_webhook:2", "endpoint=http://who:url-secret-14@127.0.0.1:1/")
    server.s3.set_rules("shop", rule(arn("1")), rule(arn("2")), rule(arn("env")))
    server.s3.put("shop", "k", b"x")
    admin = Admin(server)
    wait_for(lambda: "lastError" in (admin.target("1") or {}) and "lastError" in (admin.target("2") or {}), 10, "errors")
    refused = own.run("admin", "config", "set", "b", "notify_webhook:3", "auth_token=bad-secret-13", "endpoint=nonsense",
                      check=False)
    assert refused.returncode != 0
    refused_text = json.loads(refused.stdout.splitlines()[0])["error"]["cause"]["message"]
    bearer = token({"iss": "prometheus", "sub": server.user, "exp": 1 << 40}, server.password)
    texts = {"a refusal": refused_text, "info": json.dumps(admin.info())}
    for sub in ("notify_webhook", "notify_webhook:1", "notify_webhook:2", "notify_webhook:env"):
        texts[f"get {sub}"] = own.text("admin", "config", "get", "b", sub)
    for page in ("/minio/prometheus/metrics", "/minio/metrics/v3"):
        texts[page] = server.s3.request("GET", page, [("Authorization", f"Bearer {bearer}")], sign=False).body.decode()
        samples(texts[page])
    server.restart()
    wait_for(lambda: len(re.findall("webhook:[12].*offline", server.log())) >= 2, 10, "the targets' lines in the log")
    texts["the log"] = server.log()
    for name, text in texts.items():
        for secret in [*secrets, server.password]:
            assert secret not in text, name


def test_changes_that_wait_take_no_worker(make_server):
    """A change waits for seconds on a receiver that hangs; others wait in line, and requests go on meanwhile."""
    release = threading.Event()
    with Receiver(lambda post: Answer(wait=release)) as receiver:
        server = make_server().start()
        admin = Admin(server)
        assert admin.sealed("PUT", "set-config-kv", f"notify_webhook:1 endpoint={receiver.url}").status == 200
        notify(server)
        assert server.s3.put("events", "k", b"x").status == 200
        receiver.wait_posts(1)
        change = threading.Thread(target=admin.sealed, args=("PUT", "set-config-kv", "notify_webhook:1 comment=x"))
        change.start()

        def clear():
            while change.is_alive():
                Admin(server).request("DELETE", "clear-config-history-kv?restoreId=all")
        others = [threading.Thread(target=clear) for _ in range(24)]
        for t in others:
            t.start()
        slowest = 0.0
        while change.is_alive():
            began = time.monotonic()
            assert server.s3.request("GET", "/events?list-type=2").status == 200
            slowest = max(slowest, time.monotonic() - began)
        release.set()
        for t in (change, *others):
            t.join()
    assert slowest < 2
