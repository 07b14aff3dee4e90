# SPDX-License-Identifier: Apache-2.0
"""The guide's NATS section, step by step: NATS, NATS Streaming, and JetStream in its place."""
import re

import pytest
from support.brokers import PASSWORD, USER
from support.guide import MC, VARIABLES, Guide
from support.nats import CLUSTER, Consumer, Stream
from support.wait import wait_for

pytestmark = pytest.mark.brokers
LISTED = re.compile(r"arn:minio:sqs::1:nats\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*(,s3:ObjectAccessed:\*)?\s+Filter: suffix=\W\.jpg\W")
SUBJECT = "bucketevents"


def settings(broker, **keys):
    """The guide's line; its subject="" is refused (test_empty_subject), and its text says which one it means."""
    return {"password": PASSWORD, "subject": SUBJECT, "address": f"0.0.0.0:{broker.port}", "token": "", "username": USER,
            "ping_interval": "0", "queue_limit": "0", "tls": "off", "queue_dir": "", **keys}


def enable(guide):
    """Step 2."""
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:nats", "--suffix", ".jpg")
    assert LISTED.search(guide.mc("event", "list", "myminio/images", "arn:minio:sqs::1:nats"))


def step_3(guide, consumer):
    photo = guide.photo()
    guide.mc("cp", photo, "myminio/images")
    event = consumer.wait(1)[0]
    assert event.name == "s3:ObjectCreated:Put" and event.key == "images/myphoto.jpg"
    assert event.record["s3"]["object"]["size"] == 2586
    guide.mc("rm", "myminio/images/myphoto.jpg")
    wait_for(lambda: consumer.events[-1].name == "s3:ObjectRemoved:Delete", 20, "the removal")
    for n, end in enumerate((guide.server.restart, lambda: (guide.server.kill(), guide.server.start()))):
        end()
        assert LISTED.search(guide.mc("event", "list", "myminio/images")), "the rule outlives the server"
        guide.mc("cp", photo, f"myminio/images/again{n}.jpg")
        wait_for(lambda n=n: f"images/again{n}.jpg" in [e.key for e in consumer.events], 20, "the next one")


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_nats(make_server, start_broker, tmp_path, how):
    broker = start_broker("nats", AUTH="userpass")
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_nats", **settings(broker))
    if how == MC:
        assert re.search(r'^notify_nats:1 .*subject=bucketevents', guide.mc("admin", "config", "get", "myminio/", "notify_nats"), re.M)
    enable(guide)
    with Consumer(broker, SUBJECT, user=USER, password=PASSWORD) as c:
        step_3(guide, c)


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_streaming(make_server, start_broker, tmp_path, how):
    broker = start_broker("stan", AUTH="userpass")
    guide = Guide(make_server(), tmp_path / "mc")
    streaming = "streaming_enable" if how == MC else "streaming"
    subject = SUBJECT if how == MC else SUBJECT + ".variables"         # a channel keeps what it has
    guide.start(how, "notify_nats", **settings(broker, subject=subject, streaming_async="on", streaming_cluster_id=CLUSTER,
                                               streaming_max_pub_acks_in_flight="10", **{streaming: "on"}))
    enable(guide)
    with Consumer(broker, subject, "stan", user=USER, password=PASSWORD) as c:
        step_3(guide, c)


def test_empty_subject(make_server, start_broker, tmp_path):
    """The guide's own line has subject="": refused with a clear text."""
    broker = start_broker("nats", AUTH="userpass")
    guide = Guide(make_server(), tmp_path / "mc")
    guide.server.start()
    keys = settings(broker, subject="", tls_skip_verify="off", streaming_async="on", streaming_cluster_id=CLUSTER,
                    streaming_enable="on", streaming_max_pub_acks_in_flight="10")
    refused = guide.refused("admin", "config", "set", "myminio", "notify_nats:1", *(f"{k}={v}" for k, v in keys.items()))
    assert "'subject' is not optional for 'notify_nats' sub-system" in refused


def test_jetstream_offline(make_server, start_broker, tmp_path):
    """'The persistent store will backup events when the NATS broker goes offline and replays it when it comes back online.'"""
    broker = start_broker("nats", HEAP="guide")
    stream = Stream(broker, SUBJECT).add()
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(VARIABLES, "notify_nats", address=f"127.0.0.1:{broker.port}", subject=SUBJECT, jetstream="on",
                queue_dir=str(tmp_path / "events"), queue_limit="1000")
    enable(guide)
    broker.stop()
    photo = guide.photo()
    for i in range(3):
        guide.mc("cp", photo, f"myminio/images/{i}.jpg")
    broker.start()
    assert {e.key for e in stream.wait(3, 60)} == {f"images/{i}.jpg" for i in range(3)}
