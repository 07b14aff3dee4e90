# SPDX-License-Identifier: Apache-2.0
"""Webhook with batch=on, against a real receiver: several records in one request, each delivered or refused by itself, in the
order of its key, whatever becomes of the request."""
import hashlib
import hmac
import re
import threading
import time

import pytest
from support.delivery import notify
from support.mc import Mc
from support.receiver import CLOSE_MID_HEAD, CLOSE_UNANSWERED, GARBAGE, OK, Answer, Receiver, webhook_env
from support.wait import wait_for
from test_commands import belfry, status

KEYS = 40


def records(posts):
    return [r for p in posts for r in p.json["Records"]]


def names(posts):
    return [r["s3"]["object"]["key"] for r in records(posts)]


def sizes(posts):
    """Which of the events: each has its own size."""
    return [r["s3"]["object"].get("size", 0) for r in records(posts)]


def put(server, begin, n, keys=KEYS, prefix="k"):
    with server.raw() as c:
        for i in range(begin, begin + n):
            assert server.s3.put("events", f"{prefix}{i % keys}", b"x" * i, conn=c).status == 200


def assert_in_order(posts, keys=KEYS):
    for key in range(keys):
        first = list(dict.fromkeys(n for n in sizes(posts) if n % keys == key))
        assert first == sorted(first), f"k{key}: {first}"


def backlog(server, n, keys=KEYS, prefix="k"):
    """So many events wait; they go when the target is resumed."""
    belfry(server, "target", "pause", "1:webhook")
    put(server, 0, n, keys, prefix)
    belfry(server, "target", "resume", "1:webhook")


@pytest.mark.sanitize
def test_many_in_one_request(make_server, receiver):
    server = make_server(env=webhook_env(receiver, batch="on", signature_secret="s3cret-value", key_encoding="raw")).start()
    notify(server)
    backlog(server, 400, keys=400, prefix="ü \"")
    wait_for(lambda: status(server)["queued"] == 0, 30, "the queue to be empty")
    posts = receiver.delivered()
    assert sorted(sizes(posts)) == list(range(400)), "each once"
    assert sorted(names(posts)) == sorted(f'ü "{i}' for i in range(400)), "every one as it is"
    assert len(posts) <= 40, "not one by one"
    for p in posts:
        assert list(p.json) == ["EventName", "Key", "Records"]
        assert p.event == "s3:ObjectCreated:Put" and p.key == f'events/{p.json["Records"][0]["s3"]["object"]["key"]}'
        assert len(p.json["Records"]) <= 64 and len(p.body) < 100_000
        at, mac = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", p.get("x-belfry-signature")).groups()
        assert mac == hmac.new(b"s3cret-value", at.encode() + b"." + p.body, hashlib.sha256).hexdigest()


def test_one_alone_is_sent_at_once(make_server, receiver):
    server = make_server(env=webhook_env(receiver, batch="on")).start()
    notify(server)
    for i in range(5):
        began = time.monotonic()
        assert server.s3.put("events", f"k{i}", b"1").status == 200
        receiver.wait_delivered(i + 1, deadline=5)
        assert time.monotonic() - began < 3
    assert all(len(p.json["Records"]) == 1 for p in receiver.delivered())


@pytest.mark.sanitize
@pytest.mark.parametrize("code", [400, 413])
def test_the_one_that_is_refused_is_found(make_server, receiver, code):
    receiver.behave = lambda post: Answer(code) if any("poison" in r["s3"]["object"]["key"] for r in post.json["Records"]) else OK
    server = make_server(env=webhook_env(receiver, batch="on")).start()
    s3 = notify(server)
    belfry(server, "target", "pause", "1:webhook")
    put(server, 0, 100, keys=100)
    for key in ("poison1", "poison2"):
        assert s3.put("events", key, b"x").status == 200
    put(server, 100, 50, keys=150)
    belfry(server, "target", "resume", "1:webhook")
    wait_for(lambda: status(server)["queued"] == 0, 30, "the queue to be empty")
    assert sorted(sizes(receiver.delivered())) == list(range(150)), "all others, each once"
    assert status(server)["deadLetters"] == 2
    letters = belfry(server, "dead-letter", "list")
    assert "events/poison1" in letters and "events/poison2" in letters and str(code) in letters
    assert len(receiver.posts) < 60, "found by halves, not one by one"
    # and once it takes them, they come again
    receiver.behave = lambda post: OK
    belfry(server, "dead-letter", "replay", "--target", "1:webhook")
    wait_for(lambda: {"poison1", "poison2"} <= set(names(receiver.delivered())), 20, "what was replayed")


@pytest.mark.parametrize("action", [
    pytest.param(Answer(500), id="500"), pytest.param(CLOSE_UNANSWERED, id="close"),
    *(pytest.param(a, id=i, marks=pytest.mark.long) for a, i in ((Answer(503, [("Retry-After", "0")]), "503"),
                                                                  (CLOSE_MID_HEAD, "half"), (GARBAGE, "garbage")))])
def test_one_that_breaks_the_receiver(make_server, receiver, action):
    """It waits by itself; what was with it in a request is delivered without it, in the order of each key."""
    bad = threading.Event()
    bad.set()
    receiver.behave = lambda post: action if bad.is_set() and "poison" in post.body.decode() else OK
    server = make_server(env=webhook_env(receiver, batch="on")).start()
    s3 = notify(server)
    belfry(server, "target", "pause", "1:webhook")
    put(server, 0, 60)
    assert s3.put("events", "poison", b"x").status == 200
    put(server, 60, 60)
    belfry(server, "target", "resume", "1:webhook")
    wait_for(lambda: status(server)["queued"] == 1, 40, "all but that one")
    delivered = receiver.delivered()
    assert set(sizes(delivered)) == set(range(120))
    assert_in_order(delivered)
    bad.clear()
    wait_for(lambda: status(server)["queued"] == 0, 40, "that one, too")
    assert status(server)["deadLetters"] == 0


@pytest.mark.sanitize
def test_killed_in_the_middle(make_server):
    """SIGKILL of the server and a receiver that goes away, over and over: nothing is lost, the order of each key holds."""
    with Receiver() as receiver:
        server = make_server(env=webhook_env(receiver, batch="on")).start()
        notify(server)
        put(server, 0, 50)
        for round_ in range(1, 5):
            put(server, 50 * round_, 25)
            receiver.stop()
            put(server, 50 * round_ + 25, 25)
            server.kill()
            receiver.start()
            server.start()
        wait_for(lambda: status(server)["queued"] == 0, 60, "the queue to be empty")
        posts = receiver.delivered()
        assert set(sizes(posts)) == set(range(250))
        assert_in_order(posts)


def test_switched_on_and_off(make_server, receiver, tmp_path):
    server = make_server().start()
    mc = Mc(tmp_path / "mc", server)
    mc.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint={receiver.url}")
    notify(server)
    done = 0
    for batch in ("on", "off", "on"):
        mc.text("admin", "config", "set", "b", "notify_webhook:1", f"batch={batch}")
        before = len(receiver.delivered())
        belfry(server, "target", "pause", "1:webhook")
        put(server, done, 50, keys=1000)
        belfry(server, "target", "resume", "1:webhook")
        done += 50
        wait_for(lambda n=done: len(sizes(receiver.delivered())) == n, 30, "all of them")
        requests = len(receiver.delivered()) - before
        assert (requests == 50) == (batch == "off"), requests
    assert sorted(sizes(receiver.delivered())) == list(range(done))
    reply = mc.run("admin", "config", "set", "b", "notify_webhook:1", "payload=cloudevents", check=False)
    assert reply.returncode != 0 and b"exclude each other" in reply.stdout + reply.stderr


@pytest.mark.long
def test_drains_faster(make_server, capsys):
    """The same backlog with and without, in turns, against the same receiver."""
    n, rates = 4000, {"on": [], "off": []}
    with Receiver() as receiver:
        for batch in ("off", "on", "off", "on"):
            receiver.clear()
            server = make_server(env=webhook_env(receiver, batch=batch)).start()
            notify(server)
            belfry(server, "target", "pause", "1:webhook")
            put(server, 0, n, keys=n)
            began = time.monotonic()
            belfry(server, "target", "resume", "1:webhook")
            wait_for(lambda s=server: status(s)["queued"] == 0, 120, "the queue to be empty")
            rates[batch].append(n / (time.monotonic() - began))
            server.stop()
    with capsys.disabled():
        print(f"\nwebhook, events/s with batch=off {max(rates['off']):.0f}, batch=on {max(rates['on']):.0f}")
    assert max(rates["on"]) > 2 * max(rates["off"])
