# SPDX-License-Identifier: Apache-2.0
"""A target is paused, and told where to send while a backlog waits: what waits goes to the new place, in order, nothing lost."""
import uuid

import pytest
from support.mc import Mc
from support.mqtt import Subscription
from support.nats import Consumer
from support.ports import free_port
from support.receiver import Receiver
from support.redis import Redis
from support.s3raw import arn, rule
from support.sql import Postgres
from support.wait import holds_for, wait_for
from test_commands import belfry, status

FIRST, MORE = 40, 120       # events before the first place is lost, and after that
KEYS = 7


class Place:
    """Where events go: the keys that say so, what has come there. `lose` makes it unreachable."""

    def __init__(self, keys, posts, lose):
        self.keys, self.posts, self.lose = keys, posts, lose


@pytest.fixture
def webhook():
    with Receiver() as first, Receiver() as second:
        yield [Place({"endpoint": r.url}, r.delivered, r.stop) for r in (first, second)]


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "first", durable=False) as first, Redis(tmp_path / "second", durable=False) as second:
        yield [Place({"address": r.address, "key": "events", "format": "access"}, r.list, r.kill) for r in (first, second)]


@pytest.fixture
def postgresql(start_broker):
    brokers = [start_broker("postgres"), start_broker("postgres", NUMBER="2")]
    places, table = [], "t" + uuid.uuid4().hex[:12]
    for b in brokers:
        db = Postgres(b)
        db.make_journal(table)
        places.append(Place({"connection_string": db.address(), "table": table, "format": "access"},
                            lambda db=db: db.journal(table), b.stop))
    yield places


@pytest.fixture
def mqtt(start_broker):
    first, second = start_broker("mqtt"), start_broker("mqtt", NUMBER="2")
    with Subscription(first, "minio") as one, Subscription(second, "minio") as other:
        yield [Place({"broker": f"tcp://127.0.0.1:{b.port}", "topic": "minio", "qos": "1"}, lambda s=s: s.wait(0), b.stop)
               for b, s in ((first, one), (second, other))]


@pytest.fixture
def nats(start_broker):
    first, second = start_broker("nats"), start_broker("nats", NUMBER="2")
    with Consumer(first) as one, Consumer(second) as other:
        yield [Place({"address": f"127.0.0.1:{b.port}", "subject": "events"}, lambda c=c: c.events, b.stop)
               for b, c in ((first, one), (second, other))]


def point(mc, kind, place):
    subsys = {"postgresql": "notify_postgres"}.get(kind, f"notify_{kind}")
    mc.text("admin", "config", "set", "b", f"{subsys}:1", *(f"{k}={v}" for k, v in place.keys.items()))


def put(server, begin, n):
    with server.raw() as c:
        for i in range(begin, begin + n):
            assert server.s3.put("images", f"k{i % KEYS}", b"x" * i, conn=c).status == 200


def sizes(posts):
    """Which of the events: each has its own size."""
    return [p.record["s3"]["object"].get("size", 0) for p in posts]


def assert_in_order(posts):
    for key in range(KEYS):
        first = list(dict.fromkeys(n for n in sizes(posts) if n % KEYS == key))
        assert first == sorted(first), f"k{key}: {first}"


def cases():
    for kind in ("webhook", "redis", "postgresql", "mqtt", "nats"):
        for how in ("lost", "paused"):
            marks = [pytest.mark.brokers] if kind in ("postgresql", "mqtt", "nats") else []
            if how == "paused" and kind not in ("webhook", "nats"):
                marks.append(pytest.mark.long)
            yield pytest.param(kind, how, marks=marks)


@pytest.mark.parametrize("kind,how", cases())
def test_backlog_goes_to_the_new_place(make_server, tmp_path, request, kind, how):
    first, second = request.getfixturevalue(kind)
    name = f"1:{kind}"
    server = make_server().start()
    mc = Mc(tmp_path / "mc", server)
    point(mc, kind, first)
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", rule(arn("1", kind), "s3:ObjectCreated:*")).status == 200
    put(server, 0, FIRST)
    wait_for(lambda: len(first.posts()) >= FIRST, 30, "the first events")
    seen = sizes(first.posts())
    if how == "paused":
        belfry(server, "target", "pause", name)
    else:
        first.lose()
    put(server, FIRST, MORE)
    wait_for(lambda: status(server, name)["queued"] == MORE, 30, "the backlog")
    if how == "lost":       # also over a place that is not there
        wait_for(lambda: status(server, name)["status"] == "offline", 30, "it to be offline")
    point(mc, kind, second)
    if how == "paused":
        holds_for(lambda: not second.posts(), 0.3, "a paused target to send nothing at its new place")
        assert status(server, name)["status"] == "paused"
        belfry(server, "target", "resume", name)
    wait_for(lambda: status(server, name)["queued"] == 0, 60, "the backlog to be sent")
    wait_for(lambda: len(second.posts()) >= MORE, 30, "the backlog to arrive")
    came = second.posts()
    assert sorted(set(seen + sizes(came))) == list(range(FIRST + MORE)), "nothing is lost"
    assert_in_order(came)
    if how == "paused":
        assert sizes(first.posts()) == seen, "nothing more at the old place"
        assert sorted(sizes(came)) == list(range(FIRST, FIRST + MORE)), "each once"
    assert status(server, name)["status"] == "online"


def test_over_a_place_where_nobody_is(make_server, tmp_path):
    """Wrong twice, then right; the server is killed between."""
    with Receiver() as receiver:
        server = make_server().start()
        mc = Mc(tmp_path / "mc", server)
        mc.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint=http://127.0.0.1:{free_port()}/")
        server.s3.make_bucket("images")
        assert server.s3.set_rules("images", rule(arn("1"), "s3:ObjectCreated:*")).status == 200
        put(server, 0, 30)
        mc.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint=http://127.0.0.1:{free_port()}/")
        server.kill()
        server.start()
        mc.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint={receiver.url}")
        posts = receiver.wait_delivered(30, deadline=60)
        assert sorted(set(sizes(posts))) == list(range(30))
        assert_in_order(posts)
