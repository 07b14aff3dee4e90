# SPDX-License-Identifier: Apache-2.0
"""A backlog in files of a queue_dir, while the settings change. (Outages, kills, damage: tests/torture/rows/segments.py.)"""
import glob
import os

import pytest
from support.admin import Admin
from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.server import run
from support.wait import wait_for

EVENTS = 300


def files(queue):
    return sorted(glob.glob(f"{queue}/belfry-webhook-1/*.jsonl"))


def env(receiver, queue):
    return dict(webhook_env(receiver, queue_dir=queue), BELFRY_TEST_SEGMENTS="20:0:50")


@pytest.fixture
def moved(make_server, receiver, tmp_path):
    """A server with EVENTS events, most of them in files of tmp_path/queue, and a receiver that is away."""
    queue = tmp_path / "queue"
    receiver.stop()
    server = make_server(env=env(receiver, queue)).start()
    server.s3.make_bucket("events")
    assert server.s3.set_rules("events", rule(arn("1"))).status == 200
    for i in range(EVENTS):
        assert server.s3.put("events", f"k{i:03}", b"x").status == 200
    wait_for(lambda: len(files(queue)) == 5, 30, "the backlog to be in files")
    server.queue = queue
    return server


def all_arrive(server, receiver):
    if receiver._listener is None:
        receiver.start()
    posts = receiver.wait_delivered(EVENTS, 60)
    assert sorted(p.key for p in posts) == [f"events/k{i:03}" for i in range(EVENTS)]
    wait_for(lambda: Admin(server).target("1")["queueLength"] == 0, 10, "an empty queue")
    wait_for(lambda: not files(server.queue), 10, "the files to be removed")


def test_numbers(moved, receiver):
    target = Admin(moved).target("1")
    assert (target["queueLength"], target["queuedInFiles"]) == (EVENTS, 250)
    assert os.stat(os.path.dirname(files(moved.queue)[0])).st_mode & 0o777 == 0o700
    assert os.stat(files(moved.queue)[0]).st_mode & 0o777 == 0o600
    all_arrive(moved, receiver)


@pytest.mark.sanitize
def test_another_queue_dir(moved, receiver, tmp_path):
    """What was moved stays where it is, and is found there."""
    moved.stop()
    moved.env = env(receiver, tmp_path / "other")
    moved.start()
    assert len(files(moved.queue)) == 5
    all_arrive(moved, receiver)


@pytest.mark.sanitize
def test_no_queue_dir(moved, receiver):
    moved.stop()
    moved.env = webhook_env(receiver)
    moved.start()
    all_arrive(moved, receiver)


def test_switched_off_and_on(moved, receiver):
    moved.stop()
    moved.env = {}
    moved.start()
    assert Admin(moved).target("1")["queueLength"] == EVENTS
    assert f"{EVENTS} events are queued for webhook:1, which is not enabled" in moved.log()
    moved.stop()
    moved.env = env(receiver, moved.queue)
    moved.start()
    all_arrive(moved, receiver)


def test_check(moved, receiver):
    moved.stop()
    assert run("check", moved.directory).returncode == 0
    gone = files(moved.queue)[2]
    os.remove(gone)
    found = run("check", moved.directory)
    assert found.returncode != 0 and f"{gone}: 50 of its 50 queued events are lost" in found.stdout, found
    receiver.start()
    moved.start()
    receiver.wait_delivered(EVENTS - 50, 60)
    wait_for(lambda: Admin(moved).target("1")["queueLength"] == 0, 10, "an empty queue")
    target = Admin(moved).target("1")
    assert target["lostEvents"] == 50 and target["status"] == "online" and gone in target["lastError"]
    moved.stop()
    assert run("check", moved.directory).returncode == 0


def test_folder_is_away(moved, receiver):
    """A disk that is not mounted is no reason to give events up."""
    moved.stop()
    folder = os.path.dirname(files(moved.queue)[0])
    os.rename(folder, folder + ".away")
    receiver.start()
    moved.start()
    wait_for(lambda: "is its disk mounted?" in moved.log(), 20, "a word about it")
    assert Admin(moved).target("1")["queueLength"] == EVENTS
    moved.stop()
    os.rename(folder + ".away", folder)
    moved.start()
    all_arrive(moved, receiver)
