# SPDX-License-Identifier: Apache-2.0
"""Listening with the clients people use: minio-py and mc."""
import io
import json
import os
import subprocess
import threading

import pytest
from minio import Minio
from support.listener import Listener
from support.server import clean_env
from support.wait import SCALE, wait_for

KEY = "photos/a b \u00fc+%20.jpg"


def minio_client(server):
    return Minio(f"127.0.0.1:{server.port}", server.user, server.password, secure=False, region="us-east-1")


def test_minio_py(server, bucket):
    client = minio_client(server)
    heard, open_ = [], threading.Event()

    def listen():
        with client.listen_bucket_notification(bucket, prefix="photos/", suffix=".jpg",
                                               events=["s3:ObjectRemoved:*", "s3:ObjectCreated:*"]) as events:
            open_.set()
            for event in events:
                heard.append(event["Records"][0])
                if heard[-1]["s3"]["object"]["key"] == KEY:
                    return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert open_.wait(10 * SCALE)

    def started():          # the iterator sends its request when it is first asked
        client.put_object(bucket, "photos/probe.jpg", io.BytesIO(b"x"), 1)
        return heard
    wait_for(started, 10, "the first event")
    client.put_object(bucket, "other.jpg", io.BytesIO(b"body"), 4)
    client.put_object(bucket, KEY, io.BytesIO(b"body"), 4)
    thread.join(20 * SCALE)
    assert not thread.is_alive()
    assert {r["eventName"] for r in heard} == {"s3:ObjectCreated:Put"}
    assert all(r["s3"]["object"]["key"].startswith("photos/") for r in heard)


@pytest.fixture
def mc(server, tmp_path):
    path = os.environ.get("BELFRY_MC", os.path.expanduser("~/.cache/belfry/bin/mc"))
    if not os.access(path, os.X_OK):
        pytest.fail(f"no mc at {path} (set BELFRY_MC)")
    env = clean_env({"MC_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path),
                     "MC_HOST_belfry": f"http://{server.user}:{server.password}@127.0.0.1:{server.port}"})

    def run(*args):
        return [path, "--json", *args], env
    return run


class Watch:
    """mc watch --json, and what it prints."""

    def __init__(self, command):
        args, env = command
        self.process = subprocess.Popen(args, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()


def watching(server, s3, bucket, watch):
    """Until mc listens: it says nothing itself."""
    def heard():
        s3.put(bucket, "probe")
        return watch.events
    wait_for(heard, 20, "mc to listen")
    # Whatever probes are still on their way come before this one.
    s3.put(bucket, "probe-end")
    wait_for(lambda: any(e["events"]["path"].endswith("probe-end") for e in watch.events), 10, "the last probe")
    watch.events.clear()


def test_mc_watch(server, s3, bucket, mc):
    with Watch(mc("watch", f"belfry/{bucket}")) as watch:
        watching(server, s3, bucket, watch)
        s3.put(bucket, KEY, b"four")
        s3.get(bucket, KEY)
        s3.delete(bucket, KEY)
        wait_for(lambda: len(watch.events) >= 3, 10, "three events")
        want = f"{server.endpoint}/{bucket}/{KEY}"
        assert {e["events"]["type"] for e in watch.events} == \
            {"s3:ObjectCreated:Put", "s3:ObjectAccessed:Get", "s3:ObjectRemoved:Delete"}
        put = next(e for e in watch.events if e["events"]["type"] == "s3:ObjectCreated:Put")
        assert put["status"] == "success" and put["events"]["size"] == 4
        assert put["source"]["host"] == "127.0.0.1"
        assert {e["events"]["path"] for e in watch.events} == {want}


def test_mc_watch_filters(server, s3, bucket, mc):
    with Watch(mc("watch", "--events", "put", "--prefix", "pro", "--suffix", "be", f"belfry/{bucket}")) as watch:
        def heard():
            s3.put(bucket, "probe")
            return watch.events
        wait_for(heard, 20, "mc to listen")
        s3.put(bucket, "proud")
        s3.delete(bucket, "probe")
        s3.put(bucket, "prolong-obe", b"12")
        wait_for(lambda: any(e["events"]["path"].endswith("prolong-obe") for e in watch.events), 10, "the event")
        assert {e["events"]["path"].rsplit("/", 1)[1] for e in watch.events} == {"probe", "prolong-obe"}


def test_mc_watch_on_all_buckets(server, s3, bucket, mc):
    with Watch(mc("watch", "--events", "put,bucket-creation,bucket-removal", "belfry")) as watch:
        watching(server, s3, bucket, watch)
        new = s3.make_bucket(bucket + "-new")
        s3.put(new, "x", b"1")
        s3.delete(new, "x")
        assert s3.request("DELETE", f"/{new}").status == 204
        wait_for(lambda: len(watch.events) >= 3, 10, "three events")
        assert [e["events"]["type"] for e in watch.events] == \
            ["s3:BucketCreated:*", "s3:ObjectCreated:Put", "s3:BucketRemoved:*"]


def test_boto_changes_are_heard(server, boto, bucket):
    with Listener(server, bucket, ping=600) as l:
        boto.put_object(Bucket=bucket, Key=KEY, Body=b"x", Metadata={"one": "1"})
        boto.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": KEY}]})
        l.wait(2)
        assert l.seen == [("ObjectCreated:Put", bucket, KEY), ("ObjectRemoved:Delete", bucket, KEY)]
        assert l.records[0]["s3"]["object"]["userMetadata"]["X-Amz-Meta-One"] == "1"
        assert int(l.records[1]["responseElements"]["content-length"]) > 0
