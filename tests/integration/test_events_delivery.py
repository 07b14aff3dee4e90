# SPDX-License-Identifier: Apache-2.0
"""Delivery to receivers that misbehave: nothing lost, order per key, others unaffected, dead letters."""
import threading
import time

import pytest
from support import receiver as rx
from support.delivery import assert_in_order, notify
from support.receiver import Answer, Receiver, webhook_env
from support.s3raw import arn, rule
from support.wait import holds_for, wait_for

FAULTS = {
    "garbage": lambda: rx.GARBAGE, "close-unanswered": lambda: rx.CLOSE_UNANSWERED, "close-mid-head": lambda: rx.CLOSE_MID_HEAD,
    "close-mid-body": lambda: rx.CLOSE_MID_BODY, "500": lambda: Answer(500), "503": lambda: Answer(503), "404": lambda: Answer(404),
    "401": lambda: Answer(401), "403": lambda: Answer(403), "408": lambda: Answer(408), "409": lambda: Answer(409),
    "429": lambda: Answer(429), "500-with-body": lambda: Answer(500, body=b"x" * 100_000), "199": lambda: rx.Bytes(
        b"HTTP/1.1 199 Odd\r\nContent-Length: 0\r\n\r\n"), "http-0.9": lambda: rx.Bytes(b"OK\n"),
    "301-nowhere": lambda: Answer(301), "307-nowhere": lambda: Answer(307),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_delay_and_lose_nothing(make_server, receiver, fault):
    """The first three posts are answered wrongly; afterwards everything arrives, in order per key."""
    receiver.behave = lambda post: FAULTS[fault]() if post.number < 3 else rx.OK
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    with server.raw() as c:
        for i in range(4):
            for key in ("a", "b"):
                assert s3.put("events", key, b"%d" % i, conn=c).status == 200
        assert s3.delete("events", "a", conn=c).status == 204
    wait_for(lambda: len({(p.key, p.sequencer) for p in receiver.delivered()}) == 9, 20, "nine events")
    posts = receiver.snapshot()
    assert_in_order(posts)
    assert posts[-1].event == "s3:ObjectRemoved:Delete" or posts[-1].key == "events/b"


@pytest.mark.sanitize
def test_target_down_then_up(make_server, receiver):
    receiver.stop()
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    with server.raw() as c:
        for i in range(50):
            assert s3.put("events", f"k{i % 5}", b"%d" % i, conn=c).status == 200
    receiver.start()
    posts = receiver.wait_delivered(50, 40)
    assert_in_order(posts)
    assert len(posts) == 50


def test_restarts_with_a_backlog(make_server, receiver):
    receiver.stop()
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    for number in range(3):
        with server.raw() as c:
            for i in range(100):
                assert s3.put("events", f"k{i % 7}", b"%d-%d" % (number, i), conn=c).status == 200
        if number == 1:
            server.kill()
            server.start()
        else:
            server.restart()
    receiver.start()
    posts = receiver.wait_delivered(300, 40)
    assert_in_order(posts)
    server.stop()
    assert len(receiver.snapshot()) == 300, "a target that never answered has got nothing twice"
    server.start()
    assert server.s3.put("events", "after", b"x").status == 200
    receiver.wait_delivered(301)
    assert receiver.snapshot()[-1].key == "events/after", "what was delivered is not delivered again"


def test_connection_lost_between_requests(make_server, receiver):
    receiver.behave = lambda post: Answer(then="close")
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    for i in range(30):
        assert s3.put("events", "k", b"%d" % i).status == 200
    posts = receiver.wait_delivered(30)
    assert_in_order(posts)


def test_replies_sent_twice(make_server, receiver):
    receiver.behave = lambda post: Answer(twice=True)
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    for i in range(30):
        assert s3.put("events", "k", b"%d" % i).status == 200
    wait_for(lambda: len({p.sequencer for p in receiver.snapshot()}) == 30, 20, "30 events")
    assert_in_order(receiver.snapshot())


def test_slow_reply_is_a_delivery(make_server, receiver):
    receiver.behave = lambda post: Answer(slow=1.0)
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    receiver.wait_delivered(1)
    holds_for(lambda: len(receiver.posts) == 1, 0.5, "one post")


@pytest.mark.parametrize("how", ["before-reading", "after-reading"])
def test_a_hanging_target_holds_nobody(make_server, receiver, how):
    """PUTs stay quick, another target gets its events, the stop is quick too."""
    let_go = threading.Event()
    with Receiver() as good:
        if how == "before-reading":
            receiver.on_accept = lambda number: let_go.wait()
        else:
            receiver.behave = lambda post: Answer(wait=let_go)
        server = make_server(env=dict(webhook_env(receiver, "hangs"), **webhook_env(good, "good"))).start()
        s3 = notify(server, "events", "hangs", "good")
        began = time.monotonic()
        with server.raw() as c:
            for i in range(200):
                assert s3.put("events", f"k{i % 10}", b"%d" % i, conn=c).status == 200
        good.wait_delivered(200, 10)
        assert time.monotonic() - began < 15
        assert_in_order(good.snapshot())
        began = time.monotonic()
        server.stop(10)
        assert time.monotonic() - began < 10.5
        let_go.set()
        receiver.on_accept, receiver.behave = None, lambda post: rx.OK
        server.start()
        wait_for(lambda: len({(p.key, p.sequencer) for p in receiver.delivered()}) == 200, 40, "all events")
        assert_in_order(receiver.snapshot())


@pytest.mark.sanitize
@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_poison_becomes_a_dead_letter(make_server, receiver, status):
    """One key's record is refused for good: it is set aside with its reason, all others go on, also those of its key."""
    receiver.behave = lambda post: Answer(status) if post.key == "events/poison" and "first" in str(post.record) else rx.OK
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    for i in range(5):
        assert s3.put("events", f"good{i}", b"x").status == 200
    assert s3.put("events", "poison", b"x", {"x-amz-meta-mark": "first"}).status == 200
    for i in range(5):
        assert s3.put("events", f"more{i}", b"x").status == 200
    assert s3.put("events", "poison", b"xy", {"x-amz-meta-mark": "second"}).status == 200
    wait_for(lambda: len(receiver.delivered()) == 11, 15, "all but the poisoned one")
    poisoned = [p for p in receiver.snapshot() if p.key == "events/poison"]
    assert "first" in str(poisoned[0].record) and "second" in str(poisoned[-1].record)
    assert poisoned[0].sequencer < poisoned[-1].sequencer
    tries = len(receiver.posts)
    holds_for(lambda: len(receiver.posts) == tries, 1.0, "no further try of a dead letter")
    server.restart()
    assert server.s3.put("events", "after", b"x").status == 200
    receiver.wait_delivered(12)
    assert [p.key for p in receiver.snapshot()[tries:]] == ["events/after"], "a dead letter is not sent again after a restart"
    assert "dead letter" in server.log().lower()


def test_everything_refused_means_a_broken_target(make_server, receiver):
    """A receiver that refuses all is broken, not every record: after five nothing is set aside, and all arrive later."""
    refuse = threading.Event()
    refuse.set()
    receiver.behave = lambda post: Answer(400) if refuse.is_set() else rx.OK
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    with server.raw() as c:
        for i in range(60):
            assert s3.put("events", f"k{i}", b"x", conn=c).status == 200
    wait_for(lambda: "broken, it refuses every event" in server.log(), 10, "the breakdown")
    refuse.clear()
    # Set aside are four before the breakdown, and what the probe under way met before the receiver was itself again.
    wait_for(lambda: len({p.key for p in receiver.snapshot()}) == 60, 60, "all keys")
    wait_for(lambda: len({p.key for p in receiver.delivered()}) >= 60 - 4 - 15, 10, "all that were not set aside")


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(make_server, receiver, status):
    receiver.behave = lambda post: Answer(status, [("Retry-After", "3")]) if post.number == 0 else rx.OK
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    receiver.wait_delivered(1, 15)
    first, second = receiver.snapshot()[:2]
    assert second.time - first.time >= 2.9


def test_back_off_does_not_hammer(make_server, receiver):
    receiver.behave = lambda post: Answer(500)
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    receiver.wait_posts(2)
    start = len(receiver.posts)
    end = time.monotonic() + 3
    wait_for(lambda: time.monotonic() > end, 5, "three seconds")
    assert len(receiver.posts) - start <= 40


def test_delivery_is_prompt(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    delays = []
    with server.raw() as c:
        for i in range(50):
            assert s3.put("events", "k", b"x", conn=c).status == 200
            answered = time.monotonic()
            receiver.wait_posts(i + 1)
            delays.append(receiver.posts[i].time - answered)
    assert sorted(delays)[40] < 0.1, delays


def test_many_writers_one_order(make_server, receiver):
    """16 connections overwrite 20 keys: first deliveries are in the order of the commits."""
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)

    def writer(number):
        with server.raw() as c:
            for i in range(60):
                assert s3.put("events", f"k{(i * 7 + number) % 20}", b"%d.%d" % (number, i), conn=c).status == 200

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    posts = receiver.wait_delivered(960, 40)
    assert len(posts) == 960
    assert_in_order(posts)
    for key in {p.key for p in posts}:
        body = s3.get("events", key.split("/")[1])
        last = [p for p in posts if p.key == key][-1]
        assert f'"{last.record["s3"]["object"]["eTag"]}"' == body.get("etag"), "the last event tells the state"


def test_read_events(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    server.s3.make_bucket("reads")
    assert server.s3.set_rules("reads", rule(arn("1"))).status == 200
    with server.raw() as c:
        assert server.s3.put("reads", "k", b"x", conn=c).status == 200
        for _ in range(200):
            assert server.s3.get("reads", "k", conn=c).status == 200
    posts = receiver.wait_delivered(201, 20)
    assert [p.event for p in posts].count("s3:ObjectAccessed:Get") == 200
    assert len({p.sequencer for p in posts}) == 1
