# SPDX-License-Identifier: Apache-2.0
"""The NATS target over long outages and many events."""
import threading

import pytest
from support.nats import Stream, nats_env
from support.s3raw import arn, rule
from support.wait import holds_for, wait_for

pytestmark = [pytest.mark.brokers, pytest.mark.long]
WRITERS = 8


def start(make_server, broker, subject):
    server = make_server(env=nats_env(broker, subject=subject, jetstream="on")).start()
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", rule(arn("1", "nats"), "s3:ObjectCreated:*")).status == 200
    return server


def write(server, going, keys=100):
    """Every writer puts over its own keys as long as going(number so far) says so; how many were acknowledged."""
    counts = [0] * WRITERS

    def writer(w):
        with server.raw() as c:
            while going(counts[w]):
                assert server.s3.put("images", f"{w}/{counts[w] % keys}", b"x", conn=c).status == 200
                counts[w] += 1

    threads = [threading.Thread(target=writer, args=(w,)) for w in range(WRITERS)]
    for t in threads:
        t.start()
    return counts, threads


def assert_all(stream, total):
    wait_for(lambda: stream.count() >= total, 180, f"{total} events")
    events = stream.read_all()
    assert len(events) == total, "each once: repeats are dropped by their ids"
    last = {}
    for e in events:
        assert e.sequencer > last.get(e.key, ""), f"{e.key} out of order"
        last[e.key] = e.sequencer


@pytest.mark.timeout(600)
def test_a_hundred_thousand_in_order(make_server, start_broker):
    broker = start_broker("nats")
    stream = Stream(broker, "many").add()
    server = start(make_server, broker, "many")
    counts, threads = write(server, lambda n: n < 100000 // WRITERS)
    for t in threads:
        t.join()
    assert sum(counts) == 100000
    assert_all(stream, 100000)


@pytest.mark.timeout(600)
def test_away_for_a_minute_under_load(make_server, start_broker):
    """Killed, away for a minute, back; and Belfry itself is killed in the middle of what follows."""
    broker = start_broker("nats")
    stream = Stream(broker, "minute").add()
    server = start(make_server, broker, "minute")
    over = threading.Event()
    counts, threads = write(server, lambda n: not over.is_set())
    wait_for(lambda: stream.count() > 500, 60, "the load")
    broker.kill()
    holds_for(lambda: server.process.poll() is None, 60, "the server to go on without it")
    over.set()
    for t in threads:
        t.join()
    total = sum(counts)
    broker.start()
    wait_for(lambda: stream.count() > total // 2, 120, "half of the backlog")
    server.kill()
    server.start()
    assert_all(stream, total)
