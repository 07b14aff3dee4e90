# SPDX-License-Identifier: Apache-2.0
"""The guide's webhook section, step by step; a receiver of ours in place of its thumbnailer."""
import re

import pytest
from support.guide import MC, VARIABLES, Guide
from support.receiver import OK
from support.wait import wait_for


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_webhook(make_server, receiver, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_webhook", queue_limit="0", endpoint=receiver.url, queue_dir="")
    if how == MC:
        assert re.search(r'^notify_webhook:1 .*endpoint=.?http://127\.0\.0\.1', guide.mc("admin", "config", "get", "myminio/", "notify_webhook"), re.M)
    guide.mc("mb", "myminio/images")
    guide.mc("mb", "myminio/images-thumbnail")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:webhook", "--event", "put", "--suffix", ".jpg")
    listed = guide.mc("event", "list", "myminio/images")
    assert re.search(r'arn:minio:sqs::1:webhook\s+s3:ObjectCreated:\*\s+Filter: suffix="\.jpg"', listed), listed
    photo = guide.photo()
    guide.mc("cp", photo, "myminio/images/images.jpg")
    post = receiver.wait_delivered(1)[0]
    assert post.event == "s3:ObjectCreated:Put" and post.key == "images/images.jpg"
    assert post.record["s3"]["object"]["size"] == 2586
    for end in (guide.server.restart, lambda: (guide.server.kill(), guide.server.start())):
        end()
        receiver.clear()
        guide.mc("cp", photo, "myminio/images/again.jpg")
        assert receiver.wait_delivered(1)[0].key == "images/again.jpg"
        guide.mc("cp", photo, "myminio/images/not-a-photo.txt")
        guide.mc("rm", "myminio/images/again.jpg")
    guide.mc("cp", photo, "myminio/images/last.jpg")
    receiver.wait_delivered(2)
    assert [p.key for p in receiver.snapshot()] == ["images/again.jpg", "images/last.jpg"]


def test_thumbnailer(make_server, receiver, tmp_path):
    """Its receiver answers only when it has put the thumbnail where the photo came from."""
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(MC, "notify_webhook", queue_limit="0", endpoint=receiver.url, queue_dir="")
    guide.mc("mb", "myminio/images")
    guide.mc("mb", "myminio/images-thumbnail")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:webhook", "--event", "put", "--suffix", ".jpg")

    def shrink(post):
        name = post.key.partition("/")[2].replace(".jpg", "-thumbnail.jpg")
        photo = guide.server.s3.get("images", post.key.partition("/")[2])
        assert guide.server.s3.put("images-thumbnail", name, photo.body[:992]).status == 200
        return OK
    receiver.behave = shrink
    guide.mc("cp", guide.photo(), "myminio/images/images.jpg")
    wait_for(lambda: re.search(r"992B .*images-thumbnail\.jpg", guide.mc("ls", "myminio/images-thumbnail")), 20, "the thumbnail")


SUBSYSTEMS = """notify_webhook publish bucket notifications to webhook endpoints
notify_amqp publish bucket notifications to AMQP endpoints
notify_kafka publish bucket notifications to Kafka endpoints
notify_mqtt publish bucket notifications to MQTT endpoints
notify_nats publish bucket notifications to NATS endpoints
notify_nsq publish bucket notifications to NSQ endpoints
notify_mysql publish bucket notifications to MySQL databases
notify_postgres publish bucket notifications to Postgres databases
notify_elasticsearch publish bucket notifications to Elasticsearch endpoints
notify_redis publish bucket notifications to Redis datastores"""


def test_what_can_be_configured(make_server, tmp_path):
    """`mc admin config get myminio | grep notify`; the guide has lost the line ends and pads the names."""
    guide = Guide(make_server().start(), tmp_path / "mc")
    shown = [" ".join(line.split()) for line in guide.mc("admin", "config", "get", "myminio").splitlines()]
    assert [line for line in shown if "notify" in line] == SUBSYSTEMS.splitlines()
