# SPDX-License-Identifier: Apache-2.0
"""The guide's NSQ section, step by step."""
import json
import re

import pytest
from support.guide import MC, VARIABLES, Guide
from support.nsq import Nsq
from support.wait import wait_for

pytestmark = pytest.mark.brokers
# The guide prints mc's line with two blanks or three, and typographic quotes.
LISTED = re.compile(r"arn:minio:sqs::1:nsq\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*(,s3:ObjectAccessed:\*)?\s+Filter: suffix=\W\.jpg\W")


@pytest.fixture(scope="module")
def nsq(start_broker):
    return Nsq(start_broker("nsq"))


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_guide(make_server, nsq, tmp_path, how):
    topic = f"minio-{how}"
    guide = Guide(make_server(), tmp_path / "mc")
    tls = "tls" if how == VARIABLES else "tls_enable"       # the guide's line has the old name of the key
    guide.start(how, "notify_nsq", nsqd_address=nsq.address, queue_dir="", queue_limit="0", topic=topic, tls_skip_verify="on",
                **{tls: "off"})
    if how == MC:
        assert re.search(r'^notify_nsq:1 .*nsqd_address=.?127\.0\.0\.1', guide.mc("admin", "config", "get", "myminio/", "notify_nsq"), re.M)
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:nsq", "--suffix", ".jpg")
    assert LISTED.search(guide.mc("event", "list", "myminio/images"))
    guide.mc("cp", guide.photo(), "myminio/images")
    (line,) = nsq.tail(topic, 1)
    envelope = json.loads(line)
    assert envelope["EventName"] == "s3:ObjectCreated:Put" and envelope["Key"] == "images/myphoto.jpg"
    assert envelope["Records"][0]["s3"]["object"]["size"] == 2586


def test_nsqd_offline(make_server, start_broker, tmp_path):
    """'The persistent store will backup events when the NSQ broker goes offline and replays it when the broker comes back'."""
    nsq = Nsq(start_broker("nsq", MINE="1"))
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(VARIABLES, "notify_nsq", nsqd_address=nsq.address, topic="minio", queue_dir=str(tmp_path / "events"), queue_limit="1000")
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:nsq", "--suffix", ".jpg")
    nsq.broker.stop()
    for i in range(3):
        guide.mc("cp", guide.photo(), f"myminio/images/{i}.jpg")
    nsq.broker.start()
    wait_for(lambda: (nsq.topic("minio") or {}).get("message_count") == 3, 60, "three messages")
