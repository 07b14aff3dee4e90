# SPDX-License-Identifier: Apache-2.0
"""NATS Streaming forgets a client that does not answer its heartbeats: it joins again, and nothing is lost or out of order."""
import json
import re
import shutil
import signal
import threading
import urllib.request
import uuid

import pytest
from support.nats import CLUSTER, Consumer, nats_env
from support.s3raw import arn, rule
from support.wait import holds_for, wait_for

pytestmark = pytest.mark.brokers
QUICK = "100ms 100ms 1"        # forgotten within half a second


@pytest.fixture
def subject():
    return "events." + uuid.uuid4().hex[:8]


def clients(stan):
    """Who of Belfry's the streaming server knows."""
    with urllib.request.urlopen(f"http://127.0.0.1:{stan.port + 1}/streaming/clientsz", timeout=10) as f:
        return [c["id"] for c in json.load(f)["clients"] or [] if c["id"].startswith("belfry-")]


def start(make_server, address, subject):
    server = make_server(env=nats_env(address, subject=subject, streaming="on", streaming_async="on",
                                      streaming_cluster_id=CLUSTER)).start()
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", rule(arn("1", "nats"), "s3:ObjectCreated:*")).status == 200
    return server


def put(server, numbers):
    """Over three keys, in turns; the version that an event is about shows in its size."""
    with server.raw() as conn:
        for i in numbers:
            assert server.s3.put("images", f"k{i % 3}", b"x" * (i + 1), conn=conn).status == 200


def assert_all(consumer, numbers, once=False):
    """All of them, and the first deliveries in the order of each key's."""
    def got():
        return [e.record["s3"]["object"]["size"] - 1 for e in consumer.events]
    wait_for(lambda: set(got()) >= set(numbers), 30, f"the events {numbers}")
    firsts = list(dict.fromkeys(got()))
    for key in range(3):
        mine = [i for i in firsts if i % 3 == key]
        assert mine == sorted(mine)
    assert not once or len(got()) == len(firsts)


def test_forgotten_while_it_stood_still(make_server, start_broker, subject):
    """Belfry is stopped in the midst of its work until it is forgotten."""
    stan = start_broker("stan", HEARTBEATS=QUICK)
    server = start(make_server, stan, subject)
    with Consumer(stan, subject, "stan") as c:
        writer = threading.Thread(target=put, args=(server, range(300)))
        writer.start()
        c.wait(30)
        before = clients(stan)
        server.signal(signal.SIGSTOP)
        try:
            wait_for(lambda: not clients(stan), 20, "it to be forgotten")
        finally:
            server.signal(signal.SIGCONT)
        writer.join()
        assert_all(c, range(300))
    assert before and before != clients(stan)


def test_forgotten_while_idle(make_server, start_broker, subject):
    """Heartbeats that want an answer sooner than an idle Belfry looks for them."""
    stan = start_broker("stan", HEARTBEATS=QUICK)
    server = start(make_server, stan, subject)
    with Consumer(stan, subject, "stan") as c:
        for i in (0, 3):
            wait_for(lambda: not clients(stan), 20, "it to be forgotten")
            put(server, range(i, i + 3))
            assert_all(c, range(i + 3))


@pytest.mark.long
def test_forgotten_for_good(make_server, start_broker, subject):
    """Without anything to send it finds that out, and joins again; the target is not offline for that."""
    stan = start_broker("stan", HEARTBEATS=QUICK)
    server = start(make_server, stan, subject)
    for _ in range(2):
        wait_for(lambda: not clients(stan), 20, "it to be forgotten")
        wait_for(lambda: clients(stan), 20, "it to join again")
    assert "offline" not in server.log()


@pytest.mark.long
def test_heartbeats_are_answered(make_server, start_broker, subject):
    """Idle it looks for them every 5 s."""
    stan = start_broker("stan", HEARTBEATS="1s 7s 0")
    server = start(make_server, stan, subject)
    put(server, range(3))
    wait_for(lambda: clients(stan), 20, "it to be known")
    known = clients(stan)
    holds_for(lambda: clients(stan) == known, 25, "it to stay known")
    assert "offline" not in server.log()


@pytest.mark.parametrize("store", ["kept", "gone"])
def test_restarted_behind_its_server(make_server, start_broker, subject, store):
    """A streaming server of its own behind a NATS server, which keeps Belfry's connection while the other is away."""
    nats = start_broker("nats")
    stan = start_broker("stan", SERVER=f"nats://127.0.0.1:{nats.port}")
    server = start(make_server, nats, subject)
    put(server, range(3))
    with Consumer(nats, subject, "stan") as c:
        assert_all(c, range(3), once=True)
    stan.kill()
    if store == "gone":
        shutil.rmtree(f"{stan.directory}/store")
    put(server, range(3, 30))
    wait_for(lambda: re.search("offline: .*no streaming server", server.log()), 8, "it to be missed")
    stan.start()
    with Consumer(nats, subject, "stan") as c:
        assert_all(c, range(30) if store == "kept" else range(3, 30))
