# SPDX-License-Identifier: Apache-2.0
"""Kafka away, frozen, killed in the middle; Belfry killed in the middle: nothing is lost, order holds per key."""
import re
import threading

import pytest
from support.admin import Admin
from support.delivery import Writers, assert_in_order
from support.kafka import Topic, kafka_env
from support.s3raw import arn, rule
from support.wait import wait_for

pytestmark = pytest.mark.brokers


@pytest.fixture(scope="module")
def broker(start_broker):
    return start_broker("kafka")


@pytest.fixture
def kafka(start_broker, broker):
    """Up again, whatever the test before did to it."""
    return start_broker("kafka")


def notify(server, bucket="events"):
    server.s3.make_bucket(bucket)
    events = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, rule(arn("1", "kafka"), *events)).status == 200
    return server.s3


def put_many(server, n, keys=10, begin=0):
    with server.raw() as c:
        for i in range(begin, begin + n):
            assert server.s3.put("events", f"k{i % keys}", b"%d" % i, conn=c).status == 200


def said(server, text, deadline=20):
    wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


def test_away_at_the_start(make_server, kafka):
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic))       # its port is chosen while those of the broker are in use
    kafka.stop()
    server.start()
    notify(server)
    put_many(server, 60)
    said(server, "offline: .*cannot connect: Connection refused")
    kafka.start()
    found = topic.wait(60, 60)
    assert_in_order(found)
    assert len(found) == 60


@pytest.mark.long
def test_killed_under_load(make_server, kafka):
    """SIGKILL in the middle of batches; it comes back with its data."""
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic)).start()
    notify(server)
    with Writers(server) as writers:
        wait_for(lambda: topic.last() > 200, 60, "some deliveries")
        kafka.kill()
        said(server, "offline: ", 60)
    kafka.start()
    found = topic.wait(writers.total, 90)
    assert_in_order(found)
    assert len({m.sequencer for m in found}) == writers.total


def test_frozen(make_server, kafka):
    """It answers nothing for longer than events wait: they count as failed, but the message stays the same one, so that
    nothing comes twice."""
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic)).start()
    notify(server)
    put_many(server, 20)
    topic.wait(20)
    kafka.freeze()
    try:
        put_many(server, 100, begin=20)
        wait_for(lambda: Admin(server).target("1", "kafka")["queueLength"] >= 100, 20, "the queue")
    finally:
        kafka.thaw()
    found = topic.wait(120, 60)
    assert_in_order(found)
    assert len(found) == 120, "none twice"


@pytest.mark.long
def test_frozen_for_long(make_server, kafka):
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic)).start()
    notify(server)
    put_many(server, 20)
    topic.wait(20)
    kafka.freeze()
    try:
        put_many(server, 100, begin=20)
        said(server, "offline: ", 60)
        put_many(server, 100, begin=120)
    finally:
        kafka.thaw()
    found = topic.wait(220, 60)
    assert_in_order(found)
    assert len(found) == 220, "none twice"


@pytest.mark.parametrize("point", ["event-before-send", "event-sent"])
def test_belfry_killed_around_a_batch(make_server, kafka, point):
    topic = Topic(kafka)
    server = make_server(env=kafka_env("", topic, brokers="127.0.0.1:1")).start()
    notify(server)
    put_many(server, 300, 30)
    server.kill()
    server.env = kafka_env(kafka, topic)
    server.spawn({"BELFRY_CRASH_AT": f"{point}:2"})
    assert server.wait_exit(20) != 0
    server.start()
    put_many(server, 30, 30, 300)
    found = topic.wait(330, 60)
    assert_in_order(found)
    assert len(found) - 330 <= 512, "repeats are bounded by what was in flight"


def test_settings_change_with_a_backlog(make_server, kafka):
    """The backlog goes to where the target points now."""
    topic = Topic(kafka)
    server = make_server(env=kafka_env("", topic, brokers="127.0.0.1:1")).start()
    notify(server)
    put_many(server, 50)
    server.env = kafka_env(kafka, topic)
    server.restart()
    assert_in_order(topic.wait(50))


@pytest.mark.long
def test_away_for_a_minute_under_load(make_server, kafka):
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic)).start()
    notify(server)
    with Writers(server) as writers:
        wait_for(lambda: topic.last() > 200, 60, "some deliveries")
        kafka.stop()
        said(server, "offline", 60)
        threading.Event().wait(60)      # a minute of absence is what is asked for
        kafka.start()
    found = topic.wait(writers.total, 180)
    assert_in_order(found)


@pytest.mark.long
def test_a_hundred_thousand(make_server, kafka):
    """In order per key over all of them; only what was in flight at the kill of the broker may come twice, and does not."""
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic)).start()
    notify(server)
    threads = [threading.Thread(target=put_many, args=(server, 25_000, 50, i * 1_000_000)) for i in range(4)]
    for t in threads:
        t.start()
    wait_for(lambda: topic.last() > 20_000, 120, "some deliveries")
    kafka.kill()
    kafka.start()
    for t in threads:
        t.join()
    found = topic.wait(100_000, 180)
    assert_in_order(found)
    assert len(found) - 100_000 <= 512
