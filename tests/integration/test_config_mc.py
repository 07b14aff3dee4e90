# SPDX-License-Identifier: Apache-2.0
"""Settings through the real mc: what it shows of each kind of target is what it shows of MinIO; variables; changes under load.
(support/mc_config.json: what mc printed of a MinIO on which nothing was set.)"""
import json
import os
import threading

import pytest
from support.delivery import assert_in_order, notify
from support.receiver import Receiver, webhook_env
from support.s3raw import arn, rule
from support.wait import wait_for

Mc = pytest.importorskip("support.mc").Mc
Admin = pytest.importorskip("support.admin").Admin
pytestmark = pytest.mark.skipif(pytest.importorskip("support.mc").mc_binary() is None,
                                reason="mc is not installed (scripts/install-test-tools)")

with open(os.path.join(os.path.dirname(__file__), "support", "mc_config.json"), encoding="utf-8") as f:
    MINIO = json.load(f)
OURS = {"queue_full", "dead_letter_limit", "tls", "tls_skip_verify", "client_cert", "client_key", "payload", "key_encoding",
        "signature_secret", "batch", "acks", "partitioner", "tls_handshake_first", "nkey_seed", "user_credentials",
        "api_key", "auth_secret"}


@pytest.fixture(scope="module")
def shared(server, module_dir):
    return Mc(module_dir / "mc", server)


@pytest.fixture
def own(make_server, tmp_path):
    return Mc(tmp_path / "mc", make_server().start())


def config(mc, verb, *args):
    return mc.text("admin", "config", verb, "b", *args)


@pytest.mark.parametrize("kind", MINIO)
def test_get_of_what_was_never_set(shared, kind):
    assert config(shared, "get", f"notify_{kind}") == MINIO[kind]["get"]


@pytest.mark.parametrize("kind", MINIO)
def test_help(shared, kind):
    shown = shared.lines("admin", "config", "set", "b", f"notify_{kind}")[0]["help"]
    rows = [[k["key"], k["type"], k["optional"], k["description"]] for k in shown["keysHelp"]]
    count = len(MINIO[kind]["help"])
    assert rows[:count] == MINIO[kind]["help"]
    assert {r[0] for r in rows[count:]} <= OURS and shown["multipleTargets"]


# As a shell gives them to mc: without the quotes of the guide.
GUIDE = [
    ("notify_amqp:1", "exchange=bucketevents", "exchange_type=fanout", "mandatory=false", "no_wait=false",
     "url=amqp://myuser:mypassword@localhost:5672", "auto_deleted=false", "delivery_mode=0", "durable=false",
     "internal=false", "routing_key=bucketlogs"),
    ("notify_mqtt:1", "broker=tcp://localhost:1883", "password=", "queue_dir=", "queue_limit=0", "reconnect_interval=0s",
     "keep_alive_interval=0s", "qos=1", "topic=minio", "username="),
    ("notify_elasticsearch:1", "queue_limit=0", "url=http://127.0.0.1:9200", "format=namespace", "index=minio_events",
     "queue_dir="),
    ("notify_redis:1", "address=127.0.0.1:6379", "format=namespace", "key=bucketevents", "password=yoursecret",
     "queue_dir=", "queue_limit=0"),
    ("notify_nats:1", "password=yoursecret", "streaming_max_pub_acks_in_flight=10", "subject=x", "address=0.0.0.0:4222",
     "token=", "username=yourusername", "ping_interval=0", "queue_limit=0", "tls=off", "streaming_async=on", "queue_dir=",
     "streaming_cluster_id=test-cluster", "streaming_enable=on"),
    ("notify_postgres:1", "connection_string=host=localhost port=5432 dbname=minio_events user=postgres "
     "password=password sslmode=disable", "table=bucketevents", "format=namespace"),
    ("notify_mysql:myinstance", "table=minio_images", "dsn_string=root:xxxx@tcp(172.17.0.1:3306)/miniodb"),
    ("notify_kafka:1", "tls_skip_verify=off", "queue_dir=", "queue_limit=0", "sasl=off", "sasl_password=",
     "sasl_username=", "tls_client_auth=0", "tls=off", "client_tls_cert=", "client_tls_key=",
     "brokers=localhost:9092,localhost:9093", "topic=bucketevents", "version="),
    ("notify_webhook:1", "queue_limit=0", "endpoint=http://localhost:3000", "queue_dir="),
    ("notify_nsq:1", "nsqd_address=127.0.0.1:4150", "queue_dir=", "queue_limit=0", "tls_enable=off",
     "tls_skip_verify=on", "topic=minio"),
]


@pytest.mark.parametrize("line", GUIDE, ids=[line[0] for line in GUIDE])
def test_lines_of_the_guide(own, line):
    """Each makes a target, whose passwords are not shown."""
    config(own, "set", *line)
    text = config(own, "get", line[0])
    for word in ("yoursecret", "mypassword", "password=password", "xxxx"):
        assert word not in text
    found = own.lines("admin", "config", "get", "b", line[0])[0]["config"][0]
    shown = {kv["key"]: kv["value"] for kv in found["kv"]}
    assert shown["queue_limit"] == "0" and shown.get("tls", "off") == "off"
    if "postgres" in line[0]:
        assert shown["connection_string"] == "host=localhost port=5432 dbname=minio_events user=postgres password=*** sslmode=disable"


def test_a_variable_wins(make_server, receiver, tmp_path):
    server = make_server(env=webhook_env(receiver, auth_token="hush-hush")).start()
    mc = Mc(tmp_path / "mc", server)
    config(mc, "set", "notify_webhook:1", "endpoint=http://127.0.0.1:1/stored", "queue_limit=100")
    text = config(mc, "get", "notify_webhook:1")
    assert f"# MINIO_NOTIFY_WEBHOOK_ENDPOINT_1={receiver.url}\n" in text and "endpoint=http://127.0.0.1:1/stored" in text
    assert "hush-hush" not in text
    assert mc.lines("admin", "config", "get", "b", "notify_webhook")[0]["status"] == "success"
    assert notify(server).put("events", "k", b"x").status == 200
    assert receiver.wait_delivered(1)[0].get("authorization") == "Bearer hush-hush"


def test_changes_under_load(own, receiver):
    """Every event comes, those of a key in their order, while the target is changed, switched off and on."""
    config(own, "set", "notify_webhook:1", f"endpoint={receiver.url}")
    s3 = notify(own.server)
    stop, failed, put = threading.Event(), [], []

    def load():
        while not stop.is_set():
            n = len(put)
            reply = s3.put("events", f"key-{n % 5}", b"%d" % n)
            if reply.status != 200:
                failed.append(reply)
                return
            put.append(n)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for i in range(5):
            config(own, "set", "notify_webhook:1", f"comment=number {i}", f"auth_token=token-{i}")
    finally:
        stop.set()
        thread.join()
    assert not failed and len(put) > 20
    assert s3.put("events", "last", b"x").status == 200
    wait_for(lambda: any(p.key == "events/last" for p in receiver.delivered()), 20, "the last event")
    wait_for(lambda: Admin(own.server).target("1") and len({p.sequencer for p in receiver.delivered()}) == len(put) + 1, 20,
             "all events")
    assert_in_order(receiver.delivered())
    assert receiver.delivered()[-1].get("authorization") == "Bearer token-4"


def test_off_and_on(own, receiver):
    config(own, "set", "notify_webhook:1", "endpoint=http://127.0.0.1:1/")
    s3 = notify(own.server)
    assert s3.put("events", "waits", b"x").status == 200
    config(own, "set", "notify_webhook:1", "enable=off")
    assert "has a rule for arn:minio:sqs::1:webhook, which is no enabled target" in own.server.log()
    assert s3.put("events", "nobody", b"x").status == 200
    assert "# notify_webhook:1 enable=off endpoint=http://127.0.0.1:1/" in config(own, "export")
    own.server.kill()
    own.server.start()
    assert "1 events are queued for webhook:1, which is not enabled" in own.server.log()
    config(own, "set", "notify_webhook:1", f"endpoint={receiver.url}")
    assert [p.key for p in receiver.wait_delivered(1)] == ["events/waits"]
    assert s3.put("events", "next", b"x").status == 200
    assert [p.key for p in receiver.wait_delivered(2)] == ["events/waits", "events/next"]


def test_a_second_target_without_a_restart(own):
    with Receiver() as one, Receiver() as two:
        config(own, "set", "notify_webhook:1", f"endpoint={one.url}")
        s3 = notify(own.server)
        config(own, "set", "notify_webhook:2", f"endpoint={two.url}")
        assert s3.set_rules("events", rule(arn("1"), "s3:ObjectCreated:*"), rule(arn("2"), "s3:ObjectRemoved:*")).status == 200
        assert s3.put("events", "k", b"x").status == 200 and s3.delete("events", "k").status == 204
        assert one.wait_delivered(1)[0].event == "s3:ObjectCreated:Put"
        assert two.wait_delivered(1)[0].event == "s3:ObjectRemoved:Delete"


def test_disk_reserve_at_once(own):
    own.server.s3.make_bucket("bucket")
    config(own, "set", "belfry", "disk_reserve=1000T")
    assert own.server.s3.put("bucket", "k", b"x").status == 507
    config(own, "reset", "belfry", "disk_reserve")
    assert own.server.s3.put("bucket", "k", b"x").status == 200
    assert config(own, "get", "belfry") == "belfry disk_reserve= listen_history=100000 \n"


def test_import_of_a_minio_export(own, receiver):
    text = ("subnet license= api_key= proxy= \n# callhome enable=off frequency=24h \nsite name= region= \n"
            "api requests_max=0 cors_allow_origin=* \n# notify_webhook enable=off endpoint= auth_token= queue_limit=0 \n"
            f'notify_webhook:1 endpoint={receiver.url} auth_token=t0ken queue_limit=0 queue_dir= client_cert= client_key= '
            'comment="thumbnails for the shop" \n'
            "browser csp_policy=\"default-src 'self'; x\" hsts_seconds=0 \n")
    own.run("admin", "config", "import", "b", data=text.encode())
    for name in ("subnet", "site", "api", "browser"):
        assert f"sub-system {name} is not known here" in own.server.log()
    assert 'comment="thumbnails for the shop"' in config(own, "get", "notify_webhook:1")
    assert notify(own.server).put("events", "k", b"x").status == 200
    receiver.wait_delivered(1)
    refused = own.run("admin", "config", "import", "b", check=False, data=b"notify_elasticsearch:1 url=http://127.0.0.1:1\n")
    assert refused.returncode != 0 and "'index' is not optional" in refused.stdout.decode()
    assert receiver.url in config(own, "get", "notify_webhook:1")
