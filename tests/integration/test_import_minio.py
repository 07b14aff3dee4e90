# SPDX-License-Identifier: Apache-2.0
"""belfry import minio: what a MinIO leaves behind, taken over by a running server."""
import json
import uuid

from support.redis import Redis
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


def test_everything_of_a_minio(make_server, receiver, tmp_path):
    with Redis(tmp_path / "redis", durable=False) as redis:
        queue, rules = tmp_path / "queue", tmp_path / "rules"
        pending(queue / "minio-webhook-primary", 5)
        pending(queue / "minio-webhook-unknown", 1)
        rules.mkdir()
        (rules / "images.xml").write_text(RULES)
        (rules / "bad.xml").write_text("<NotificationConfiguration>")
        export = tmp_path / "export.txt"
        export.write_text(CONFIG.format(hook=receiver.url, queue=tmp_path / "elsewhere", redis=redis.port))
        server = make_server().start()
        out = belfry(server, "import", "minio", "--config", export, "--queue-dir", queue, "--notifications", rules, code=1)
        lines = [line.split(None, 1) for line in out.splitlines()]
        ok = [text for word, text in lines if word == "ok"]
        failed = [text for word, text in lines if word == "FAILED"]
        assert ok == ["settings of notify_webhook:primary", "settings of notify_redis:mirror",
                      "5 events of primary:webhook are queued", "rules of bucket images"], out
        assert failed[0].startswith("settings of notify_webhook:broken:") and "endpoint" in failed[0], out
        assert "unknown:webhook" in failed[1] and "rules of bucket bad" in failed[2], out
        assert "2 lines are not about targets" in out and "4 taken over, 3 could not be" in out
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
