# SPDX-License-Identifier: Apache-2.0
"""The guide's Kafka section, step by step."""
import json
import re
import subprocess

import pytest
from support.guide import MC, VARIABLES, Guide
from support.kafka import Topic

pytestmark = pytest.mark.brokers

# The guide prints mc's line with two blanks or three, and typographic quotes.
LISTED = re.compile(r"arn:minio:sqs::1:kafka\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*\s+Filter: suffix=\W\.jpg\W")


def settings(brokers, topic):
    """As the guide's `mc admin config set` has them."""
    return {"tls_skip_verify": "off", "queue_dir": "", "queue_limit": "0", "sasl": "off", "sasl_password": "",
            "sasl_username": "", "tls_client_auth": "0", "tls": "off", "client_tls_cert": "", "client_tls_key": "",
            "brokers": brokers, "topic": topic, "version": ""}


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_guide(make_server, start_broker, tmp_path, how):
    kafka = start_broker("kafka")
    topic = Topic(kafka, f"bucketevents-{how}")
    guide = Guide(make_server(), tmp_path / "mc")
    # "localhost:9092,localhost:9093": the second is nobody's here, as on any machine with one broker.
    guide.start(how, "notify_kafka", **settings(f"localhost:{kafka.port},localhost:1", topic.name))
    if how == MC:
        got = guide.mc("admin", "config", "get", "myminio/", "notify_kafka")
        assert re.search(rf"^notify_kafka:1 .*topic=.?{topic.name}", got, re.M), got
        assert "publish bucket notifications to Kafka endpoints" in guide.mc("admin", "config", "get", "myminio")
    # Step 3
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:kafka", "--event", "put,delete", "--suffix", ".jpg")
    assert LISTED.search(guide.mc("event", "list", "myminio/images", "arn:minio:sqs::1:kafka"))
    # Step 4: kafkacat is kcat by now
    with subprocess.Popen(["kcat", "-C", "-u", "-b", f"localhost:{kafka.port}", "-t", topic.name],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as consumer:
        try:
            guide.mc("cp", guide.photo(), "myminio/images")
            seen = json.loads(consumer.stdout.readline())
        finally:
            consumer.kill()
    assert seen["EventName"] == "s3:ObjectCreated:Put" and seen["Key"] == "images/myphoto.jpg"
    record = seen["Records"][0]
    assert record["s3"]["object"]["size"] == 2586 and record["s3"]["object"]["contentType"] == "image/jpeg"
    guide.server.restart()
    assert LISTED.search(guide.mc("event", "list", "myminio/images")), "the rule outlives the server"
    guide.mc("rm", "myminio/images/myphoto.jpg")
    assert [m.event for m in topic.wait(2)] == ["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"]


def test_kafka_offline(make_server, start_broker, tmp_path):
    """'The persistent store will backup events when the kafka broker goes offline and replays it when the broker comes back'."""
    kafka = start_broker("kafka")
    topic = Topic(kafka)
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(VARIABLES, "notify_kafka", **dict(settings(f"localhost:{kafka.port}", topic.name),
                                                  queue_dir=str(tmp_path / "events"), queue_limit="1000"))
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:kafka", "--suffix", ".jpg")
    kafka.stop()
    photo = guide.photo()
    for i in range(3):
        guide.mc("cp", photo, f"myminio/images/{i}.jpg")
    kafka.start()
    assert [m.key for m in topic.wait(3, 60)] == [f"images/{i}.jpg" for i in range(3)]
