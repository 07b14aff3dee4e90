# SPDX-License-Identifier: Apache-2.0
"""RabbitMQ away, frozen, short of memory, full, replaced by something else, or killed in the middle: nothing is lost, order
holds."""
import re
import threading
import time

import pytest
from support.amqp import Rabbit, amqp_env
from support.delivery import assert_in_order
from support.ports import free_port
from support.receiver import Receiver, webhook_env
from support.redis import Impostor
from support.s3raw import arn, rule
from support.wait import wait_for

pytestmark = pytest.mark.brokers
IN_FLIGHT = 1000


@pytest.fixture
def rabbit(start_broker):
    """Started again if a test has ended it."""
    return Rabbit(start_broker("rabbitmq"))


def notify(server, *targets, bucket="events"):
    server.s3.make_bucket(bucket)
    rules = [rule(t, "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for t in targets or (arn("1", "amqp"),)]
    assert server.s3.set_rules(bucket, *rules).status == 200
    return server.s3


def put_many(server, n, keys=10, begin=0):
    with server.raw() as c:
        for i in range(begin, begin + n):
            assert server.s3.put("events", f"k{i % keys}", b"%d" % i, conn=c).status == 200


def said(server, text, deadline=20):
    wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


def durable_env(rabbit, name, **keys):
    return amqp_env(rabbit, exchange=name, durable="on", delivery_mode=2, mandatory="on", **keys)


def durable_queue(rabbit, name, **kwargs):
    return rabbit.queue(name, exchange_durable=True, name=name, durable=True, **kwargs)


# -- away ---------------------------------------------------------------------------------------------

def test_nobody_there(make_server):
    server = make_server(env=amqp_env(f"amqp://alice:alice-secret@127.0.0.1:{free_port()}")).start()
    notify(server)
    put_many(server, 5)
    said(server, "offline: 127.0.0.1:[0-9]+: cannot connect: Connection refused")
    assert "alice-secret" not in server.log()


def test_a_name_that_does_not_resolve(make_server):
    server = make_server(env=amqp_env("amqp://no-such-host.invalid")).start()
    said(server, "offline: no-such-host.invalid:5672: its name (cannot be|is not) resolved")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5


IMPOSTORS = {"http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as"), "version": (b"AMQP\x00\x01\x00\x00", "another version"),
             "half": (b"\x01\x00\x00", "no answer in time"), "silence": (None, "no answer in time"),
             "endless": (b"\x08\x00\x00\x00\x00\x00\x00\xce" * 1000, "no answer in time")}


@pytest.mark.parametrize("what", [pytest.param(w, marks=pytest.mark.long if w in ("half", "endless") else ()) for w in IMPOSTORS])
def test_impostors(make_server, what):
    port = free_port()
    answer, reason = IMPOSTORS[what]
    with Impostor(port, answer):
        server = make_server(env=amqp_env(f"amqp://127.0.0.1:{port}")).start()
        notify(server)
        put_many(server, 5)
        said(server, f"offline: .*{reason}", 30)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5




# -- the exchange and its queues ------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_the_exchange_is_removed(make_server, rabbit):
    """It is declared anew; with mandatory=on what no queue gets meanwhile waits."""
    server = make_server(env=amqp_env(rabbit, exchange="removed", mandatory="on")).start()
    notify(server)
    with rabbit.queue("removed") as queue:
        put_many(server, 20)
        queue.wait(20)
        queue.channel.exchange_delete("removed")
        put_many(server, 20, begin=20)
        said(server, "offline: .*(no exchange 'removed'|unroutable)")
        wait_for(lambda: "unroutable" in server.log(), 30, "the exchange to be there again")
        queue.bind()
        messages = queue.wait_distinct(40)
        assert_in_order(messages)


def test_a_full_queue(make_server, rabbit):
    """reject-publish: the broker says nack; each event waits, and goes through when there is room."""
    server = make_server(env=amqp_env(rabbit, exchange="full")).start()
    notify(server)
    with rabbit.queue("full", arguments={"x-max-length": 5, "x-overflow": "reject-publish"}) as queue:
        put_many(server, 40, keys=40)
        wait_for(lambda: queue.channel.queue_declare(queue.name, passive=True).method.message_count == 5, 20, "a full queue")
        messages = queue.wait_distinct(40)
        assert_in_order(messages)
    assert "dead letter" not in server.log()


def test_a_message_that_is_too_large(make_server, rabbit):
    """One poisonous record among others becomes a dead letter; the others arrive."""
    rabbit.run("application:set_env(rabbit, max_message_size, 3000).")
    try:
        server = make_server(env=amqp_env(rabbit, exchange="sized")).start()
        s3 = notify(server)
        with rabbit.queue("sized") as queue:
            put_many(server, 10)
            assert s3.put("events", "poison", b"x", {"x-amz-meta-long": "y" * 1900, "x-amz-meta-more": "<" * 100}).status == 200
            put_many(server, 30, begin=10)
            messages = queue.wait_distinct(40)
            assert_in_order(messages)
            said(server, "events/poison becomes a dead letter: .*max_message_size")
            assert not [m for m in messages if m.key == "events/poison"]
        assert server.log().count("becomes a dead letter") == 1
    finally:
        rabbit.run("application:set_env(rabbit, max_message_size, 134217728).")


@pytest.mark.sanitize
def test_an_alarm(make_server, rabbit):
    """The broker is short of memory: it is said, the events wait, and come in order, the connection being kept."""
    server = make_server(env=amqp_env(rabbit, exchange="alarmed")).start()
    notify(server)
    with rabbit.queue("alarmed") as queue:
        put_many(server, 20)
        queue.wait(20)
        rabbit.run("vm_memory_monitor:set_vm_memory_high_watermark(0.00001).")
        try:
            put_many(server, 300, begin=20)
            said(server, "offline: .*takes nothing now: low on memory", 30)
            assert rabbit.connections() == 1
        finally:
            rabbit.run("vm_memory_monitor:set_vm_memory_high_watermark(0.4).")
        messages = queue.wait_distinct(320)
        assert_in_order(messages)
        assert len(messages) <= 320 + 300


# -- the connection ---------------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_the_broker_closes_the_connection(make_server, rabbit):
    server = make_server(env=amqp_env(rabbit, exchange="closed")).start()
    notify(server)
    with rabbit.queue("closed") as queue:
        put_many(server, 10)
        queue.wait(10)
        rabbit.run("""[rabbit_networking:close_connection(P, "maintenance") || [{pid, P}, {client_properties, C}] <-
                      rabbit_networking:connection_info_all([pid, client_properties]),
                      lists:keyfind(<<"product">>, 1, C) =:= {<<"product">>, longstr, <<"Belfry">>}].""")
        said(server, "offline: .*320 .*maintenance")
        put_many(server, 10, begin=10)
        assert_in_order(queue.wait_distinct(20))


@pytest.mark.parametrize("point", [pytest.param("event-before-send", marks=pytest.mark.long), "event-sent"])
def test_belfry_killed_around_a_batch(make_server, rabbit, point):
    name = f"around-{point}"
    server = make_server(env=durable_env(rabbit, name)).start()
    notify(server)
    put_many(server, 300, 30)
    server.kill()
    with durable_queue(rabbit, name) as queue:
        server.spawn({"BELFRY_CRASH_AT": f"{point}:1"})
        assert server.wait_exit(20) != 0
        server.start()
        put_many(server, 30, 30, 300)
        messages = queue.wait_distinct(330)
        assert_in_order(messages)
        assert len(messages) <= 330 + 300


@pytest.mark.sanitize
def test_frozen(make_server, rabbit):
    """A broker that hangs holds up nobody else, nor the stop; afterwards it gets everything."""
    with Receiver() as hook, rabbit.queue("frozen") as queue:
        server = make_server(env=dict(amqp_env(rabbit, exchange="frozen"), **webhook_env(hook, "hook"))).start()
        notify(server, arn("1", "amqp"), arn("hook"))
        put_many(server, 5)
        queue.wait(5)
        rabbit.broker.freeze()
        try:
            began = time.monotonic()
            put_many(server, 100, begin=5)
            hook.wait_delivered(105, 20)
            assert time.monotonic() - began < 15
            began = time.monotonic()
            server.stop(10)
            assert time.monotonic() - began < 10.5
        finally:
            rabbit.broker.thaw()
        server.start()
        messages = queue.wait_distinct(105)
        assert_in_order(messages)
        assert {m.sequencer for m in messages} == {p.sequencer for p in hook.snapshot()}


@pytest.mark.long
def test_a_frozen_peer_is_noticed_without_work(make_server, rabbit):
    server = make_server(env=amqp_env(rabbit)).start()
    said(server, "online, 0 events")
    rabbit.broker.freeze()
    try:
        said(server, "offline: .*not a sign of life", 30)
    finally:
        rabbit.broker.thaw()
    said(server, "back online", 60)


def test_killed_under_load(make_server, rabbit):
    """SIGKILL in the middle, and it comes back with its data: what was confirmed is there."""
    server = make_server(env=durable_env(rabbit, "load")).start()
    s3 = notify(server)
    with durable_queue(rabbit, "load"):
        pass
    over, counts = threading.Event(), []

    def writer(number):
        with server.raw() as c:
            i = 0
            while not over.is_set():
                key = f"w{number}-{i % 6}"
                if i % 5 == 4:
                    assert s3.delete("events", key, conn=c).status == 204
                else:
                    assert s3.put("events", key, b"%d" % i, conn=c).status == 200
                i += 1
        counts.append(i)

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    said(server, "online")
    with durable_queue(rabbit, "load") as queue:
        wait_for(lambda: queue.channel.queue_declare("load", passive=True).method.message_count > 50, 60, "some deliveries")
    rabbit.broker.kill()
    said(server, "offline")
    over.set()
    for t in threads:
        t.join()
    rabbit.broker.start()
    with durable_queue(rabbit, "load") as queue:
        messages = queue.wait_distinct(sum(counts), 90)
        assert_in_order(messages)
        assert len(messages) - sum(counts) <= 2 * IN_FLIGHT, "repeats are bounded by what was in flight"


# -- many ---------------------------------------------------------------------------------------------------------

@pytest.mark.long
@pytest.mark.timeout(600)
def test_away_for_a_minute_under_load(make_server, rabbit):
    """100,000 events in all, in order per key; the broker is killed twice and stays away for a minute."""
    server = make_server(env=durable_env(rabbit, "many")).start()
    s3 = notify(server)
    with durable_queue(rabbit, "many"):
        pass
    count = 100_000 // 8

    def writer(number):
        with server.raw() as c:
            for i in range(count):
                assert s3.put("events", f"w{number}-{i % 50}", b"%d" % i, conn=c).status == 200

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for away in (60, 0):
        with durable_queue(rabbit, "many") as queue:
            wait_for(lambda: queue.channel.queue_declare("many", passive=True).method.message_count > 1000, 60, "deliveries")
        rabbit.broker.kill()
        end = time.monotonic() + away
        wait_for(lambda: time.monotonic() > end, away + 5, "the time away")     # noqa: B023
        rabbit.broker.start()
        wait_for(lambda: re.search("back online", server.log()), 60, "it to be back")
    for t in threads:
        t.join()
    with durable_queue(rabbit, "many") as queue:
        messages = queue.wait_distinct(8 * count, 240)
        assert_in_order(messages)
        assert len(messages) - 8 * count <= 4 * IN_FLIGHT
