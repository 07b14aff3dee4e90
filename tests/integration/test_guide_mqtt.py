# SPDX-License-Identifier: Apache-2.0
"""The guide's MQTT section, step by step."""
import re

import pytest
from support.guide import MC, VARIABLES, Guide
from support.mqtt import Subscription
from support.wait import wait_for

pytestmark = pytest.mark.brokers
# The guide prints mc's line with two blanks or three, and typographic quotes.
LISTED = re.compile(r"arn:minio:sqs::1:mqtt\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*(,s3:ObjectAccessed:\*)?\s+Filter: suffix=\W\.jpg\W")


@pytest.fixture(scope="module")
def broker(start_broker):
    return start_broker("mqtt")


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_guide(make_server, broker, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_mqtt", broker=f"tcp://127.0.0.1:{broker.port}", topic="minio", password="", username="", qos="0",
                keep_alive_interval="0s", reconnect_interval="0s", queue_dir="", queue_limit="0")
    if how == MC:
        assert re.search(r'^notify_mqtt:1 .*broker=.?tcp://127\.0\.0\.1', guide.mc("admin", "config", "get", "myminio/", "notify_mqtt"), re.M)
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:mqtt", "--suffix", ".jpg")
    assert LISTED.search(guide.mc("event", "list", "myminio/images"))
    with Subscription(broker, "minio") as s:
        guide.mc("cp", guide.photo(), "myminio/images")
        (m,) = s.wait(1)
        assert (m.event, m.key) == ("s3:ObjectCreated:Put", "images/myphoto.jpg") and m.record["s3"]["object"]["size"] == 2586
        guide.mc("rm", "myminio/images/myphoto.jpg")
        wait_for(lambda: "s3:ObjectRemoved:Delete" in [m.event for m in s.wait(2)], 20, "the removal")      # mc looks first: Head
