# SPDX-License-Identifier: Apache-2.0
"""The guide's AMQP section, step by step."""
import json
import re
import threading

import pytest
from support.amqp import Rabbit
from support.guide import MC, VARIABLES, Guide
from support.wait import wait_for

pytestmark = pytest.mark.brokers
# The guide prints typographic quotes.
LISTED = re.compile(r"arn:minio:sqs::1:amqp\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*(,s3:ObjectAccessed:\*)?\s+Filter: suffix=\W\.jpg\W")


@pytest.fixture(scope="module")
def rabbit(start_broker):
    return Rabbit(start_broker("rabbitmq"))


class Consumer:
    """The guide's rabbit.py, with today's order of arguments of pika."""

    def __init__(self, rabbit):
        self.bodies, self.connection = [], rabbit.connect()
        channel = self.connection.channel()
        channel.exchange_declare(exchange="bucketevents", exchange_type="fanout")
        name = channel.queue_declare("", exclusive=False).method.queue
        channel.queue_bind(exchange="bucketevents", queue=name)
        channel.basic_consume(name, lambda ch, method, properties, body: self.bodies.append(body), auto_ack=True)
        self.thread = threading.Thread(target=channel.start_consuming, daemon=True)
        self.thread.start()

    def wait(self, text):
        return wait_for(lambda: next((b for b in list(self.bodies) if text in b), None), 20, text)

    def close(self):
        self.connection.add_callback_threadsafe(self.connection.close)
        self.thread.join(20)


def settings(rabbit):
    return {"exchange": "bucketevents", "exchange_type": "fanout", "mandatory": "false", "no_wait": "false",
            "url": rabbit.address, "auto_deleted": "false", "delivery_mode": "0", "durable": "false", "internal": "false",
            "routing_key": "bucketlogs"}


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_guide(make_server, rabbit, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_amqp", **settings(rabbit))
    if how == MC:
        shown = guide.mc("admin", "config", "get", "myminio/", "notify_amqp")
        assert re.search(r"^notify_amqp:1 .*exchange=.?bucketevents", shown, re.M)
        assert "alice-secret" not in shown
        assert "amqp" in guide.mc("admin", "info", "--json", "myminio")
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:amqp", "--suffix", ".jpg")
    assert LISTED.search(guide.mc("event", "list", "myminio/images"))
    consumer = Consumer(rabbit)
    try:
        photo = guide.photo()
        guide.mc("cp", photo, "myminio/images")
        body = json.loads(consumer.wait(b"myphoto.jpg"))
        assert body["EventName"] == "s3:ObjectCreated:Put" and body["Key"] == "images/myphoto.jpg"
        assert body["Records"][0]["s3"]["object"]["size"] == 2586
        for i, end in enumerate((guide.server.restart, lambda: (guide.server.kill(), guide.server.start()))):
            end()
            assert LISTED.search(guide.mc("event", "list", "myminio/images")), "the rule outlives the server"
            guide.mc("cp", photo, f"myminio/images/again{i}.jpg")
            consumer.wait(b"again%d.jpg" % i)
        guide.mc("rm", "myminio/images/myphoto.jpg")
        consumer.wait(b"s3:ObjectRemoved:Delete")
    finally:
        consumer.close()


def test_broker_offline(make_server, rabbit, tmp_path):
    """'The persistent store will backup events when the AMQP broker goes offline and replays it when the broker comes back'."""
    guide = Guide(make_server(), tmp_path / "mc")
    keys = dict(settings(rabbit), exchange="kept", durable="on", delivery_mode="2", queue_dir=str(tmp_path / "events"),
                queue_limit="1000")
    guide.start(VARIABLES, "notify_amqp", **keys)
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:amqp", "--suffix", ".jpg")
    with rabbit.queue("kept", exchange_durable=True, name="kept", durable=True):
        pass
    rabbit.broker.stop()
    photo = guide.photo()
    for i in range(3):
        guide.mc("cp", photo, f"myminio/images/{i}.jpg")
    rabbit.broker.start()
    with rabbit.queue("kept", exchange_durable=True, name="kept", durable=True) as queue:
        assert {m.key for m in queue.wait(3, 60)} == {f"images/{i}.jpg" for i in range(3)}
