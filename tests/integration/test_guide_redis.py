# SPDX-License-Identifier: Apache-2.0
"""The guide's Redis section, step by step."""
import json
import re
import threading

import pytest
from support.guide import MC, VARIABLES, Guide
from support.redis import Item, Redis
from support.wait import wait_for

# The guide prints mc's line with two blanks or three, and typographic quotes.
LISTED = re.compile(r"arn:minio:sqs::1:redis\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*(,s3:ObjectAccessed:\*)?\s+Filter: suffix=\W\.jpg\W")


@pytest.fixture
def redis(tmp_path):
    """Install Redis server; the database password is set as "yoursecret"."""
    with Redis(tmp_path / "redis", password="yoursecret") as r:
        yield r


class Monitor:
    """redis-cli -a yoursecret, then MONITOR."""

    def __init__(self, redis):
        self.client, self.lines = redis.client(), []
        assert self.client("MONITOR") == "OK"
        self.client.sock.settimeout(None)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while True:
                self.lines.append(self.client.reply())
        except (OSError, ValueError):
            pass

    def wait(self, pattern):
        return wait_for(lambda: next(filter(None, (re.search(pattern, line) for line in list(self.lines))), None), 20, pattern)


def settings(redis, style="namespace"):
    return {"address": redis.address, "format": style, "key": "bucketevents", "password": "yoursecret", "queue_dir": "",
            "queue_limit": "0"}


def enable(guide):
    """Step 2."""
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:redis", "--suffix", ".jpg")
    assert LISTED.search(guide.mc("event", "list", "myminio/images"))


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_namespace(make_server, redis, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_redis", **settings(redis))
    if how == MC:
        assert re.search(r'^notify_redis:1 .*address=.?127\.0\.0\.1', guide.mc("admin", "config", "get", "myminio/", "notify_redis"), re.M)
    enable(guide)
    monitor = Monitor(redis)
    photo = guide.photo()
    guide.mc("cp", photo, "myminio/images")
    seen = monitor.wait(r'"HSET" "bucketevents" "images/myphoto\.jpg" "(.*)"$')
    record = json.loads(json.loads(f'"{seen[1]}"'))["Records"][0]
    assert record["eventName"] == "s3:ObjectCreated:Put" and record["s3"]["object"]["size"] == 2586
    for end in (guide.server.restart, lambda: (guide.server.kill(), guide.server.start())):
        end()
        assert LISTED.search(guide.mc("event", "list", "myminio/images")), "the rule outlives the server"
        guide.mc("cp", photo, "myminio/images/again.jpg")
        redis.wait_hash(["images/myphoto.jpg", "images/again.jpg"], key="bucketevents")
        guide.mc("rm", "myminio/images/again.jpg")
        redis.wait_hash(["images/myphoto.jpg"], key="bucketevents")
    guide.mc("rm", "myminio/images/myphoto.jpg")
    monitor.wait(r'"HDEL" "bucketevents" "images/myphoto\.jpg"')
    wait_for(lambda: redis("EXISTS", "bucketevents") == 0, 20, "the empty hash to be gone")


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_access(make_server, redis, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_redis", **settings(redis, "access"))
    enable(guide)
    monitor = Monitor(redis)
    guide.mc("cp", guide.photo(), "myminio/images")
    monitor.wait(r'"RPUSH" "bucketevents" ')
    guide.mc("rm", "myminio/images/myphoto.jpg")
    names = []
    while names[-1:] != ["s3:ObjectRemoved:Delete"]:        # "would ideally use BLPOP"
        key, item = redis("BLPOP", "bucketevents", 20)
        assert key == b"bucketevents"
        names.append(Item(item).event)
    assert names[0] == "s3:ObjectCreated:Put"
    for end in (guide.server.restart, lambda: (guide.server.kill(), guide.server.start())):
        redis("DEL", "bucketevents")                        # what was in flight at the kill may come again
        end()
        guide.mc("cp", guide.photo(), "myminio/images/again.jpg")
        guide.mc("rm", "myminio/images/again.jpg")
        wait_for(lambda: [i.event for i in redis.list("bucketevents")][-1:] == ["s3:ObjectRemoved:Delete"], 20, "the removal")
        assert "s3:ObjectCreated:Put" in [i.event for i in redis.list("bucketevents")]


def test_redis_offline(make_server, redis, tmp_path):
    """'The persistent store will backup events when the Redis broker goes offline and replays it when the broker comes back'."""
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(VARIABLES, "notify_redis", **dict(settings(redis), queue_dir=str(tmp_path / "events"), queue_limit="1000"))
    enable(guide)
    redis.stop()
    photo = guide.photo()
    for i in range(3):
        guide.mc("cp", photo, f"myminio/images/{i}.jpg")
    redis.start()
    redis.wait_hash([f"images/{i}.jpg" for i in range(3)], 60, "bucketevents")
