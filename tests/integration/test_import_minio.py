# SPDX-License-Identifier: Apache-2.0
"""belfry import minio: what a MinIO leaves behind, taken over by a running server."""
import json
import os
import re
import uuid

from support.mc import Mc
from support.ports import free_port
from support.redis import Redis
from support.s3raw import arn, rule
from support.server import run
from support.wait import wait_for
from test_commands import belfry

# As the final MinIO's `mc admin config export` prints it.
CONFIG = """api requests_max=0 cluster_deadline=10s
region name=us-east-1
# MINIO_NOTIFY_WEBHOOK_ENDPOINT_env=http://localhost:1/
notify_webhook enable=off endpoint= auth_token= queue_limit=0 queue_dir= client_cert= client_key=
notify_webhook:primary endpoint={hook} queue_limit=1000 queue_dir={queue} client_cert= client_key= comment="the first one"
notify_redis:mirror address=127.0.0.1:{redis} format=namespace key=bucketevents password= queue_dir= queue_limit=0
notify_webhook:broken endpoint=no-url queue_limit=0
"""
RULES = """<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><QueueConfiguration>
<Event>s3:ObjectCreated:*</Event><Queue>arn:minio:sqs::primary:webhook</Queue></QueueConfiguration></NotificationConfiguration>"""


def pending(folder, n):
    """Events as MinIO stores them: bare records."""
    folder.mkdir(parents=True)
    for i in range(n):
        record = {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": f"2026-02-01T10:20:{i:02}.000Z",
                  "eventName": "s3:ObjectCreated:Put", "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config",
                  "bucket": {"name": "old", "arn": "arn:aws:s3:::old"},
                  "object": {"key": f"left%2F{i}", "size": 1, "eTag": "x", "sequencer": f"{i + 1:016X}"}}}
        (folder / f"{uuid.uuid4()}.event").write_text(json.dumps(record))


# What mc printed of a MinIO on which nothing was set: every key of every kind, in its order. With values such as these its
# export has one such line per target, and none of `enable`.
with open(os.path.join(os.path.dirname(__file__), "support", "mc_config.json"), encoding="utf-8") as f:
    UNSET = {kind: entry["get"] for kind, entry in json.load(f).items()}
VALUES = {
    "webhook": {"endpoint": "http://127.0.0.1:{0}/events", "auth_token": "Bearer abc"},
    "amqp": {"url": "amqp://alice:alice%40secret@127.0.0.1:{0}/", "exchange": "bucketevents", "exchange_type": "fanout",
             "durable": "on", "delivery_mode": "2", "publisher_confirms": "on"},
    "kafka": {"brokers": "127.0.0.1:{0},127.0.0.1:{0}", "topic": "bucketevents", "sasl": "on", "sasl_username": "alice",
              "sasl_password": "alice-secret", "sasl_mechanism": "sha512", "batch_commit_timeout": "1m", "version": "2.2.0"},
    "mqtt": {"broker": "tcp://127.0.0.1:{0}", "topic": "minio", "qos": "1", "keep_alive_interval": "10s", "reconnect_interval": "10s"},
    "nats": {"address": "127.0.0.1:{0}", "subject": "bucketevents", "username": "alice", "password": "alice-secret", "jetstream": "on"},
    "nsq": {"nsqd_address": "127.0.0.1:{0}", "topic": "minio", "tls": "on", "tls_skip_verify": "on"},
    "mysql": {"dsn_string": "alice:alice-secret@tcp(127.0.0.1:{0})/miniodb", "table": "minio_images"},
    "postgres": {"connection_string": "host=127.0.0.1 port={0} dbname=minio_events user=alice password=alice-secret sslmode=disable",
                 "table": "bucketevents", "format": "access"},
    "elasticsearch": {"url": "http://127.0.0.1:{0}", "index": "minio_events", "username": "alice", "password": "alice-secret"},
    "redis": {"address": "127.0.0.1:{0}", "key": "bucketevents", "format": "access", "password": "alice-secret"},
}


def exported(kind, port):
    """The line of target 'old' of that kind."""
    values = {**VALUES[kind], "queue_dir": "/srv/minio-queue-that-is-not-here", "queue_limit": "10000"}
    pairs = dict(re.findall(r"(\w+)=(\S*)", UNSET[kind]))
    assert set(values) <= set(pairs), kind
    del pairs["enable"], pairs["queue_dir"]     # the folder is the old machine's
    pairs |= {k: v.format(port) for k, v in values.items() if k != "queue_dir"}
    return f"notify_{kind}:old " + " ".join(f'{k}="{v}"' if " " in v else f"{k}={v}" for k, v in pairs.items()) + " "


def test_all_ten_kinds(make_server, tmp_path):
    """Nobody is there to take anything: so all of it has to wait in the queues of the right targets, in order."""
    port = free_port()
    types = {kind: "postgresql" if kind == "postgres" else kind for kind in UNSET}
    export = "\n".join(["api requests_max=0 cluster_deadline=10s", *(exported(k, port) for k in UNSET), *UNSET.values()])
    queue, rules = tmp_path / "queue", tmp_path / "rules"
    rules.mkdir()
    for i, kind in enumerate(UNSET):
        pending(queue / f"minio-{types[kind]}-old", i + 1)
    every = "".join(rule(arn("old", t), "s3:ObjectCreated:*", prefix="in/") for t in types.values())
    (rules / "images.xml").write_text('<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                                      f"{every}</NotificationConfiguration>")
    (tmp_path / "export.txt").write_text(export)
    server = make_server().start()
    out = belfry(server, "import", "minio", "--config", tmp_path / "export.txt", "--queue-dir", queue, "--notifications", rules)
    for i, kind in enumerate(UNSET):
        assert f"ok      settings of notify_{kind}:old\n" in out, out
        assert f"ok      {i + 1} events of old:{types[kind]} are queued\n" in out, out
        assert not list((queue / f"minio-{types[kind]}-old").iterdir()), "taken over, and removed"
    assert "ok      rules of bucket images\n" in out and "21 taken over, 0 could not be" in out, out
    assert server.s3.put("images", "in/new", b"1").status == 200
    assert server.s3.put("images", "out", b"1").status == 200

    def queued():
        found = json.loads(belfry(server, "target", "status", "--json"))["targets"]
        return {t["target"]: t["queued"] for t in found}

    assert queued() == {f"old:{t}": i + 2 for i, t in enumerate(types.values())}
    server.kill()       # all of it is in the store
    server.start()
    assert queued() == {f"old:{t}": i + 2 for i, t in enumerate(types.values())}
    mc = Mc(tmp_path / "mc", server)
    for kind in UNSET:      # and the settings are what they were
        said = mc.text("admin", "config", "get", "b", f"notify_{kind}:old")
        for key, value in VALUES[kind].items():
            if key in ("password", "sasl_password", "auth_token", "url", "dsn_string", "connection_string"):
                continue        # not shown, or not whole
            assert re.search(rf'\b{key}="?{re.escape(value.format(port))}"?( |$)', said, re.M), (key, said)


def test_everything_of_a_minio(make_server, receiver, tmp_path):
    with Redis(tmp_path / "redis", durable=False) as redis:
        queue, rules = tmp_path / "queue", tmp_path / "rules"
        pending(queue / "minio-webhook-primary", 5)
        pending(queue / "minio-webhook-unknown", 1)
        batch = queue / "minio-webhook-primary" / "5:b4e1.event.snappy"
        batch.write_bytes(b"\xff\x06\0\0sNaPpY")
        rules.mkdir()
        (rules / "images.xml").write_text(RULES)
        (rules / "bad.xml").write_text("<NotificationConfiguration>")
        export = tmp_path / "export.txt"
        export.write_text(CONFIG.format(hook=receiver.url, queue=tmp_path / "elsewhere", redis=redis.port).rstrip())
        server = make_server().start()
        out = belfry(server, "import", "minio", "--config", export, "--queue-dir", queue, "--notifications", rules, code=1)
        lines = [line.split(None, 1) for line in out.splitlines()]
        ok = [text for word, text in lines if word == "ok"]
        failed = [text for word, text in lines if word == "FAILED"]
        assert ok == ["settings of notify_webhook:primary", "settings of notify_redis:mirror",
                      "5 events of primary:webhook are queued", "rules of bucket images"], out
        assert failed[0].startswith("settings of notify_webhook:broken:") and "endpoint" in failed[0], out
        assert "holds 1 batches" in failed[1] and batch.exists(), out
        assert "unknown:webhook" in failed[2] and "rules of bucket bad" in failed[3], out
        assert "2 lines are not about targets" in out and "4 taken over, 4 could not be" in out
        posts = receiver.wait_delivered(5)
        assert {p.key for p in posts} == {f"old/left/{i}" for i in range(5)}
        assert server.s3.put("images", "k", b"1").status == 200
        wait_for(lambda: receiver.snapshot()[-1].key == "images/k", 10, "an event by the rules")
        status = json.loads(belfry(server, "target", "status", "--json"))["targets"]
        assert {t["target"] for t in status} >= {"primary:webhook", "mirror:redis"}


def test_usage_and_files_that_are_not_there(make_server, tmp_path):
    server = make_server().start()
    assert "see 'belfry help import'" in belfry(server, "import", "minio", code=2)
    assert "cannot be read" in belfry(server, "import", "minio", "--config", tmp_path / "none", code=1)
    assert run("import", "--help").stdout.startswith("belfry import minio")
