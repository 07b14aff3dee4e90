# SPDX-License-Identifier: Apache-2.0
"""Backfills that are cut short by SIGKILL of the server or of the command and begun again, while objects change: the mirror ends up
with what is true, and nothing that was removed comes back."""
import json
import random
import re
import subprocess
import threading

import pytest
from support.rawhttp import ConnectionEnded
from support.redis import Redis, redis_env
from support.s3raw import arn, rule
from support.server import binary, clean_env
from support.wait import wait_for
from test_commands import belfry, status

OBJECTS = 1500


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with Redis(tmp_path_factory.mktemp("redis"), durable=False) as r:
        yield r


def begin(server, *args, rate):
    env = clean_env({"MINIO_ROOT_USER": server.user, "MINIO_ROOT_PASSWORD": server.password})
    return subprocess.Popen([binary(), "backfill", "images", "1:redis", "--rate", str(rate), *args, "--url",
                             f"http://127.0.0.1:{server.port}"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fill(server):
    """Objects from before there was a rule."""
    server.s3.make_bucket("images")
    with server.raw() as c:
        for i in range(OBJECTS):
            assert server.s3.put("images", f"k{i:04}", b"x", conn=c).status == 200
    assert server.s3.set_rules("images", rule(arn("1", "redis"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*")).status == 200


def objects(server):
    """key -> ETag, as a client lists them."""
    pages = server.boto().get_paginator("list_objects_v2").paginate(Bucket="images").search("Contents[]")
    return {f"images/{o['Key']}": o["ETag"].strip('"') for o in pages if o}


def how_far(redis, key):
    """The number of the last object that a backfill has told of."""
    told = [k for k, r in redis.hash(key).items() if r["source"]["userAgent"] == "belfry backfill"]
    return int(max(told)[-4:]) if told else -1


def assert_true(server, redis, key):
    wait_for(lambda: status(server, "1:redis")["queued"] == 0, 60, "the queue to be empty")
    listed = objects(server)
    assert {k: v["s3"]["object"]["eTag"] for k, v in redis.hash(key).items()} == listed


class Changes(threading.Thread):
    """Overwrites and deletes all over the bucket, until stop(); where the server is away it goes on later."""

    def __init__(self, server, seed):
        super().__init__(daemon=True)
        self.server, self.random, self.over, self.done = server, random.Random(seed), threading.Event(), 0

    def run(self):
        while not self.over.is_set():
            key = f"k{self.random.randrange(OBJECTS):04}"
            try:
                if self.random.random() < 0.5:
                    self.server.s3.delete("images", key)
                else:
                    self.server.s3.put("images", key, b"y" * self.random.randrange(2, 200))
                self.done += 1
            except (OSError, ConnectionEnded):
                self.over.wait(0.05)

    def stop(self):
        self.over.set()
        self.join()
        assert self.done > 20, "too little has changed meanwhile"


@pytest.mark.parametrize("killed", ["server", "command"])
def test_killed_and_resumed(make_server, redis, killed):
    server = make_server(env=redis_env(redis, key=killed)).start()
    fill(server)
    changes = Changes(server, 1)
    changes.start()
    after = []
    for round_ in (1, 2):
        with begin(server, *after, rate=500) as p:
            wait_for(lambda n=round_: how_far(redis, killed) >= 200 * n, 30, "it to be under way")
            assert p.poll() is None, "it has not ended yet"
            if killed == "command":
                p.kill()
                p.communicate(timeout=30)
                continue                    # nobody knows how far it came: from the beginning again
            server.kill()
            _, err = p.communicate(timeout=60)
            assert p.returncode == 1, err
            server.start()
            found = re.search(r"--after '([^']*)'", err)
            after = ["--after", found[1]] if found else after
            assert found or round_ == 1, err
    out = belfry(server, "backfill", "images", "1:redis", *after)
    assert "objects queued" in out
    changes.stop()
    assert_true(server, redis, killed)


def test_a_backlog_of_it_does_not_resurrect(make_server, redis):
    """What a backfill has queued waits, while the objects go: then they are gone at the target, too."""
    server = make_server(env=redis_env(redis, key="gone")).start()
    fill(server)
    belfry(server, "target", "pause", "1:redis")
    for i in range(0, 60, 2):
        assert server.s3.delete("images", f"k{i:04}").status == 204
    assert json.loads(belfry(server, "backfill", "images", "1:redis", "--json"))["queued"] == OBJECTS - 30
    for i in range(1, 60, 2):
        assert server.s3.delete("images", f"k{i:04}").status == 204
    for i in range(60, 80):
        assert server.s3.put("images", f"k{i:04}", b"new").status == 200
    server.kill()
    server.start()
    belfry(server, "target", "resume", "1:redis")
    assert_true(server, redis, "gone")
    assert len(redis.hash("gone")) == OBJECTS - 60
