# SPDX-License-Identifier: Apache-2.0
"""Redis away, frozen, full, demoted, replaced by something else, or killed in the middle: nothing is lost, order holds."""
import re
import threading
import time

import pytest
from support.delivery import assert_in_order
from support.receiver import Receiver, webhook_env
from support.redis import Impostor, Redis, RedisError, redis_env
from support.s3raw import arn, rule
from support.wait import holds_for, wait_for


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis") as r:
        yield r


def notify(server, *targets, bucket="events"):
    server.s3.make_bucket(bucket)
    rules = [rule(t, "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for t in targets or (arn("1", "redis"),)]
    assert server.s3.set_rules(bucket, *rules).status == 200
    return server.s3


def put_many(server, n, keys=10, begin=0):
    with server.raw() as c:
        for i in range(begin, begin + n):
            assert server.s3.put("events", f"k{i % keys}", b"%d" % i, conn=c).status == 200


def said(server, text, deadline=20):
    wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


def assert_mirror(server, redis, key="events"):
    """The hash holds exactly the objects there are, each as it is now."""
    listed = server.boto().get_paginator("list_objects_v2").paginate(Bucket="events").search("Contents[]")
    objects = {f"events/{o['Key']}": o["ETag"].strip('"') for o in listed if o}
    wait_for(lambda: {f: r["s3"]["object"].get("eTag") for f, r in redis.hash(key).items()} == objects, 30, "the mirror")


def assert_in_commit_order(items):
    """Over all keys: what arrives for the first time is later than what came before."""
    assert_in_order(items)
    seen, last = set(), ""
    for i in items:
        if i.sequencer not in seen:
            assert i.sequencer > last, f"{i.key} {i.sequencer} after {last}"
            seen.add(i.sequencer)
            last = i.sequencer


# -- away ---------------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_away_at_the_start(make_server, tmp_path):
    redis = Redis(tmp_path / "redis")
    server = make_server(env=redis_env(redis, format="access")).start()
    notify(server)
    put_many(server, 60)
    said(server, "offline: .*cannot connect: Connection refused")
    with redis:
        items = redis.wait_list(60, 60)
        assert_in_order(items)
        assert len(items) == 60
        said(server, "back online|online, ")


def test_a_name_that_does_not_resolve(make_server):
    server = make_server(env=redis_env("no-such-host.invalid:6379")).start()
    said(server, "offline: no-such-host.invalid:6379: its name (cannot be|is not) resolved")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5


@pytest.mark.sanitize
@pytest.mark.parametrize("style", ["namespace", "access"])
def test_killed_under_load(make_server, redis, style):
    """SIGKILL in the middle of batches, three times; it comes back with its data."""
    server = make_server(env=redis_env(redis, format=style)).start()
    s3 = notify(server)
    over = threading.Event()

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

    counts = []
    threads = [threading.Thread(target=writer, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for _ in range(3):
        kind = "LLEN" if style == "access" else "HLEN"
        wait_for(lambda: redis(kind, "events") > 20, 60, "some deliveries")
        redis.kill()
        said(server, "offline")
        redis.start()
        wait_for(lambda: server.log().count("back online") >= 1, 60, "it to be back")
    over.set()
    for t in threads:
        t.join()
    if style == "namespace":
        assert_mirror(server, redis)
        return
    wait_for(lambda: len({i.sequencer for i in redis.list()}) == sum(counts), 60, "every change")
    assert_in_commit_order(redis.list())
    assert len(redis.list()) - sum(counts) <= 4 * 256, "repeats are bounded by what was in flight"


@pytest.mark.parametrize("style", ["namespace", "access"])
@pytest.mark.parametrize("point", ["event-before-send", "event-sent"])
def test_belfry_killed_around_a_batch(make_server, redis, style, point):
    server = make_server(env=redis_env(redis, format=style))
    redis.freeze()
    server.start()
    notify(server)
    put_many(server, 300, 30)
    server.kill()
    redis.thaw()
    server.spawn({"BELFRY_CRASH_AT": f"{point}:1"})
    assert server.wait_exit(20) != 0
    server.start()
    put_many(server, 30, 30, 300)
    if style == "namespace":
        assert_mirror(server, redis)
        return
    wait_for(lambda: len({i.sequencer for i in redis.list()}) == 330, 60, "every change")
    assert_in_commit_order(redis.list())
    assert len(redis.list()) <= 330 + (256 if point == "event-sent" else 0)


@pytest.mark.sanitize
def test_frozen(make_server, redis):
    """A Redis that hangs holds up nobody else, nor the stop; afterwards it gets everything."""
    with Receiver() as hook:
        server = make_server(env=dict(redis_env(redis, format="access"), **webhook_env(hook, "hook"))).start()
        notify(server, arn("1", "redis"), arn("hook"))
        put_many(server, 5)
        redis.wait_list(5)
        redis.freeze()
        began = time.monotonic()
        put_many(server, 100, begin=5)
        hook.wait_delivered(105, 20)
        assert time.monotonic() - began < 15
        began = time.monotonic()
        server.stop(10)
        assert time.monotonic() - began < 10.5
        redis.thaw()
        server.start()
        items = redis.wait_list(105, 60)
        assert_in_order(items)
        assert {i.record["s3"]["object"]["sequencer"] for i in items} == {p.sequencer for p in hook.snapshot()}


def test_a_dead_peer_is_noticed_without_work(make_server, redis):
    server = make_server(env=redis_env(redis)).start()
    said(server, "online, 0 events")
    redis.kill()
    said(server, "offline: ", 15)
    redis.start()
    said(server, "back online", 60)


@pytest.mark.long
def test_a_frozen_peer_is_noticed_without_work(make_server, redis):
    server = make_server(env=redis_env(redis)).start()
    said(server, "online, 0 events")
    redis.freeze()
    said(server, "offline: .*no answer in time", 30)
    redis.thaw()
    said(server, "back online", 60)


# -- something else answers ------------------------------------------------------------------------------

IMPOSTORS = {"http": b"HTTP/1.1 400 Bad Request\r\n\r\n", "garbage": b"\x00\xff\x7f\r\n", "wrong-kind": b"*1\r\n:1\r\n",
             "many": b"*1000000000\r\n", "integers": b":1\r\n", "ok": b"+OK\r\n", "half": b"+O", "silence": None}


@pytest.mark.sanitize
@pytest.mark.parametrize("what", IMPOSTORS)
def test_impostors(make_server, tmp_path, what):
    """Whatever something that is no Redis answers, it is no delivery."""
    redis = Redis(tmp_path / "redis")
    with Impostor(redis.port, IMPOSTORS[what]):
        server = make_server(env=redis_env(redis, format="access")).start()
        notify(server)
        put_many(server, 20)
        said(server, "offline: ", 30)
    with redis:
        items = redis.wait_list(20, 60)
        assert_in_order(items)
        assert len({i.sequencer for i in items}) == 20


# -- the key ------------------------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("style,other", [("namespace", ("RPUSH", "events", "x")), ("access", ("HSET", "events", "a", "b")),
                                         ("namespace", ("SET", "events", "x"))], ids=["list", "hash", "string"])
def test_wrong_type_at_the_start(make_server, redis, style, other):
    redis(*other)
    server = make_server(env=redis_env(redis, format=style)).start()
    notify(server)
    put_many(server, 3, 3)
    said(server, f"offline: the key 'events' at {redis.address} is a .*format {style} needs a .*MINIO_NOTIFY_REDIS_KEY_1")
    redis("RENAME", "events", "kept")
    wait_for(lambda: redis("HLEN" if style == "namespace" else "LLEN", "events") == 3, 60, "the events")


def test_wrong_type_meanwhile(make_server, redis):
    server = make_server(env=redis_env(redis)).start()
    notify(server)
    put_many(server, 3, 3)
    wait_for(lambda: redis("HLEN", "events") == 3, 20, "the first events")
    redis("SET", "events", "mine")
    put_many(server, 3, 3)
    said(server, "offline: .*(WRONGTYPE|is a string).*MINIO_NOTIFY_REDIS_KEY_1")
    redis("DEL", "events")
    wait_for(lambda: redis("TYPE", "events") == "hash" and redis("HLEN", "events") == 3, 60, "the events")


def test_a_lost_key_is_said(make_server, redis):
    server = make_server(env=redis_env(redis)).start()
    notify(server)
    put_many(server, 10)
    wait_for(lambda: redis("HLEN", "events") == 10, 20, "the first events")
    redis("DEL", "events")
    put_many(server, 1)
    said(server, "the key 'events' at .* is gone, with 10 entries")
    assert redis.wait_hash(["events/k0"])
    redis("FLUSHALL")
    said(server, "is gone, with 1 entries", 15)


def test_an_emptied_hash_is_not_lost(make_server, redis):
    server = make_server(env=redis_env(redis)).start()
    s3 = notify(server)
    put_many(server, 3, 3)
    for i in range(3):
        assert s3.delete("events", f"k{i}").status == 204
    put_many(server, 2, 2)
    redis.wait_hash(["events/k0", "events/k1"])
    assert "is gone" not in server.log()


# -- it refuses -------------------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_a_full_redis(make_server, redis):
    """noeviction and no memory left: creations wait, and so do the removals behind them."""
    server = make_server(env=redis_env(redis)).start()
    s3 = notify(server)
    put_many(server, 5)
    wait_for(lambda: redis("HLEN", "events") == 5, 20, "the first events")
    redis("CONFIG", "SET", "maxmemory", "1")
    put_many(server, 20)
    assert s3.delete("events", "k1").status == 204
    said(server, "offline: .*OOM.*maxmemory")
    redis("CONFIG", "SET", "maxmemory", "0")
    assert_mirror(server, redis)
    assert "dead letter" not in server.log()


def test_a_list_stays_in_order(make_server, redis):
    """Refused for a while with a backlog of more than a batch, whose keys repeat: nothing overtakes."""
    server = make_server(env=redis_env(redis, format="access")).start()
    notify(server)
    put_many(server, 3)
    redis.wait_list(3)
    redis("CONFIG", "SET", "maxmemory", "1")
    for i in range(5):
        put_many(server, 37, 7, 3 + 37 * i)
        wait_for(lambda: server.log().count("OOM"), 20, "a refusal")
    put_many(server, 400, 11, 200)
    redis("CONFIG", "SET", "maxmemory", "0")
    assert_in_commit_order(redis.wait_list(3 + 5 * 37 + 400, 60))


def test_a_replica_takes_no_writes(make_server, redis, tmp_path):
    with Redis(tmp_path / "replica", "--replicaof", "127.0.0.1", str(redis.port)) as replica:
        server = make_server(env=redis_env(replica)).start()
        notify(server)
        put_many(server, 5)
        said(server, "offline: .*READONLY.*name the primary.*MINIO_NOTIFY_REDIS_ADDRESS_1")
        replica("REPLICAOF", "NO", "ONE")
        assert_mirror(server, replica)


def test_a_redis_that_misses_its_replicas(make_server, redis):
    redis("CONFIG", "SET", "min-replicas-to-write", "1")
    server = make_server(env=redis_env(redis)).start()
    notify(server)
    put_many(server, 5)
    said(server, "offline: .*NOREPLICAS")
    redis("CONFIG", "SET", "min-replicas-to-write", "0")
    assert_mirror(server, redis)


def test_a_command_that_is_renamed(make_server, tmp_path):
    with Redis(tmp_path / "redis", "--rename-command", "HSET", "HSET2") as redis:
        server = make_server(env=redis_env(redis)).start()
        notify(server)
        put_many(server, 1)
        said(server, "offline: .*ERR unknown command 'HSET'")
        with pytest.raises(RedisError):
            redis("HSET", "events", "a", "b")


def test_back_off_does_not_hammer(make_server, tmp_path):
    redis = Redis(tmp_path / "redis")
    with Impostor(redis.port, b"-LOADING Redis is loading the dataset in memory\r\n") as impostor:
        server = make_server(env=redis_env(redis)).start()
        said(server, "offline: .*loading its data")
        before = impostor.connections
        end = time.monotonic() + 3
        wait_for(lambda: time.monotonic() > end, 5, "three seconds")
        assert impostor.connections - before < 40


# -- many ---------------------------------------------------------------------------------------------------------

def test_a_backlog_in_order(make_server, tmp_path):
    redis = Redis(tmp_path / "redis")
    server = make_server(env=dict(redis_env(redis, "a", format="access"), **redis_env(redis, "n", key="mirror"))).start()
    notify(server, arn("a", "redis"), arn("n", "redis"))

    def writer(number):
        with server.raw() as c:
            for i in range(250):
                assert server.s3.put("events", f"k{(i * 7 + number) % 50}", b"%d.%d" % (number, i), conn=c).status == 200

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with redis:
        items = redis.wait_list(2000, 60)
        assert len(items) == 2000
        assert_in_commit_order(items)
        assert_mirror(server, redis, "mirror")
        holds_for(lambda: redis("LLEN", "events") == 2000, 0.5, "nothing twice")
