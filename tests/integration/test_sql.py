# SPDX-License-Identifier: Apache-2.0
"""The targets that are databases, each against the real one: both formats, its table, what is refused, outages."""
import json
import re
import threading
import time
import uuid

import pytest
from support.delivery import assert_in_order
from support.receiver import Receiver, webhook_env
from support.redis import Impostor
from support.s3raw import arn, rule
from support.sql import DATABASES
from support.wait import holds_for, wait_for

pytestmark = pytest.mark.brokers
BATCH = {"postgresql": 1000, "mysql": 500}     # events that are sent at once


def long(case):
    """A case that only make test-all runs."""
    return pytest.param(case, marks=pytest.mark.long)


@pytest.fixture(params=DATABASES, scope="module")
def db(request, start_broker):
    """One server for the tests that do not mistreat it; each has a table of its own."""
    kind = DATABASES[request.param]
    return kind(start_broker(kind.broker_name))


@pytest.fixture
def weak_db(db, start_broker):
    """One that may be killed; it is back, with its data, for the next."""
    yield type(db)(start_broker(db.broker_name, NUMBER="2"))
    start_broker(db.broker_name, NUMBER="2")


@pytest.fixture
def table():
    return "t" + uuid.uuid4().hex[:12]


def notify(server, db, bucket="images", *events, targets=("1",), **filters):
    server.s3.make_bucket(bucket)
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, *(rule(arn(t, db.kind), *events, **filters) for t in targets)).status == 200
    return server.s3


def put_many(server, n, keys=10, begin=0):
    with server.raw() as c:
        for i in range(begin, begin + n):
            assert server.s3.put("images", f"k{i % keys}", b"%d" % i, conn=c).status == 200


def said(server, text, deadline=20):
    return wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


def assert_mirror(server, db, table):
    """The table holds exactly the objects there are, each as it is now."""
    listed = server.boto().get_paginator("list_objects_v2").paginate(Bucket="images").search("Contents[]")
    objects = {f"images/{o['Key']}": o["ETag"].strip('"') for o in listed if o}
    wait_for(lambda: {k: r["s3"]["object"].get("eTag") for k, r in db.mirror(table).items()} == objects, 60, "the mirror")


ODD_KEYS = ["plain.jpg", "with blank", "trailing blank ", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>",
            "tail/", "k" * 1024, "😀" * 256, "back\\slash", "back\\", "{\"Records\":[]}", "$1", "'; DROP TABLE x; --", "\u2028line",
            "Plain.jpg", "PLAIN.JPG", "pläin.jpg"]


# -- formats ---------------------------------------------------------------------------------------

def test_namespace_mirrors_the_objects(make_server, db, table):
    server = make_server(env=db.env(table)).start()
    s3 = notify(server, db)
    for key in ODD_KEYS:
        assert s3.put("images", key, b"one", {"x-amz-meta-n": "1"}).status == 200
    first = db.wait_keys(table, [f"images/{k}" for k in ODD_KEYS])
    for key in ODD_KEYS:
        assert s3.put("images", key, b"three", {"x-amz-meta-n": "2"}).status == 200
    wait_for(lambda: all(r["s3"]["object"].get("size") == 5 for r in db.mirror(table).values()), 20, "the newer records")
    for key, record in db.mirror(table).items():
        assert record["s3"]["object"]["sequencer"] > first[key]["s3"]["object"]["sequencer"]
        assert record["s3"]["object"]["userMetadata"]["X-Amz-Meta-N"] == "2"
    for key in ODD_KEYS[::2]:
        assert s3.delete("images", key).status == 204
    db.wait_keys(table, [f"images/{k}" for k in ODD_KEYS[1::2]])
    for key in ODD_KEYS[1::2]:
        assert s3.delete("images", key).status == 204
    db.wait_keys(table, [])


def test_both_hold_the_record(make_server, db, table):
    """Field by field what a webhook is told."""
    with Receiver() as hook:
        env = dict(db.env(table, "n"), **db.env(table + "a", "a", format="access"), **webhook_env(hook, "hook"))
        server = make_server(env=env).start()
        server.s3.make_bucket("images")
        assert server.s3.set_rules("images", *(rule(t, "s3:ObjectCreated:*") for t in (
            arn("n", db.kind), arn("a", db.kind), arn("hook")))).status == 200
        assert server.s3.put("images", "a b/ü.jpg", b"hello", {"Content-Type": "image/jpeg", "x-amz-meta-q": "\"'\\"}).status == 200
        hook.wait_delivered(1, 20)
        record = json.loads(hook.snapshot()[0].body)["Records"][0]
        (row,) = db.wait_journal(table + "a", 1)
        for found in (db.wait_keys(table, ["images/a b/ü.jpg"])["images/a b/ü.jpg"], row.record):
            assert without_sequencer(found) == without_sequencer(record)
        assert row.time.replace("T", " ")[:19] == record["eventTime"].replace("T", " ")[:19]


def without_sequencer(record):
    """Each target's event of one change has a sequencer of its own."""
    record = json.loads(json.dumps(record))
    del record["s3"]["object"]["sequencer"]
    return record


def test_access_appends_everything(make_server, db, table):
    db.make_journal(table)
    server = make_server(env=db.env(table, format="access")).start()
    s3 = notify(server, db, "images", "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*")
    for key in ODD_KEYS:
        assert s3.put("images", key, b"one").status == 200
        assert s3.get("images", key).status == 200
        assert s3.delete("images", key).status == 204
    rows = db.wait_journal(table, 3 * len(ODD_KEYS))
    assert [r.key for r in rows if "Created" in r.event] == [f"images/{k}" for k in ODD_KEYS]
    assert_in_order([r for r in rows if "Accessed" not in r.event])     # reads are told by the way


def test_every_removal_removes(make_server, db, table):
    server = make_server(env=db.env(table)).start()
    s3 = notify(server, db)
    db.wait_keys(table, [])
    db(f"INSERT INTO {table} ({db.key}, value) VALUES ('images/left-over', '{{}}'), ('images/other', '{{\"Records\":[1]}}')")
    assert s3.delete("images", "left-over").status == 204
    db.wait_keys(table, ["images/other"])


@pytest.mark.parametrize("columns", ["two", long("ours")])
def test_a_table_that_is_there(make_server, db, table, columns):
    """Of the guide's age, or one that the server made before: both are written to."""
    if columns == "two":
        db(db.two_columns.format(table))
        db(f"INSERT INTO {table} ({db.key}, value) VALUES ('images/k1', '{{\"Records\":[\"old\"]}}')")
    else:
        db(db.created.format(table))
    server = make_server(env=db.env(table)).start()
    s3 = notify(server, db)
    put_many(server, 30)
    db.wait_keys(table, [f"images/k{i}" for i in range(10)])
    assert_mirror(server, db, table)
    assert s3.delete("images", "k1").status == 204
    db.wait_keys(table, [f"images/k{i}" for i in range(10) if i != 1])
    assert "is made" not in server.log()


# -- the table --------------------------------------------------------------------------------------

@pytest.mark.parametrize("style", ["namespace", long("access")])
def test_removed_meanwhile(make_server, db, table, style):
    """It is made anew, and that is said, because what was in it is lost."""
    server = make_server(env=db.env(table, format=style)).start()
    notify(server, db)
    put_many(server, 10)
    wait_for(lambda: db.count(table) == 10, 20, "the first rows")
    db(f"DROP TABLE {table}")
    put_many(server, 3)
    wait_for(lambda: db.count(table) == 3, 30, "the newer rows")
    said(server, f"the table {table} at .* was gone, and is made anew")


@pytest.mark.long
def test_renamed_meanwhile(make_server, db, table):
    server = make_server(env=db.env(table)).start()
    notify(server, db)
    put_many(server, 10)
    wait_for(lambda: db.count(table) == 10, 20, "the first rows")
    db(f"ALTER TABLE {table} RENAME TO {table}_old")
    put_many(server, 3)
    db.wait_keys(table, ["images/k0", "images/k1", "images/k2"], 30)
    assert db.count(table + "_old") == 10


@pytest.mark.long
def test_a_table_of_the_other_format(make_server, db, table):
    db(db.two_columns.format(table))
    server = make_server(env=db.env(table, format="access")).start()
    notify(server, db)
    put_many(server, 3)
    said(server, f"offline: .*the table has other columns.*MINIO_{db.subsys}_TABLE_1")
    db(f"ALTER TABLE {table} RENAME TO {table}_old")
    wait_for(lambda: db.count(table) == 3, 60, "the events")


# -- rows that are refused --------------------------------------------------------------------------

@pytest.mark.parametrize("style", ["namespace", "access"])
def test_a_poisonous_record(make_server, db, table, style):
    """In the midst of a batch: it becomes a dead letter with the server's reason, the others arrive."""
    server = make_server(env=db.env(table, format=style)).start()
    notify(server, db)
    wait_for(lambda: db.count(table) == 0, 20, "the table")
    db(db.refuse_poison(table, style))
    db.broker.freeze()
    for i in range(100):
        key = f"poison{i}" if i % 30 == 20 else f"k{i}"
        assert server.s3.put("images", key, b"x").status == 200
    db.broker.thaw()
    wait_for(lambda: db.count(table) == 97, 60, "the others")
    wait_for(lambda: server.log().count("becomes a dead letter: ") == 3, 20, "three dead letters")
    assert re.search("images/poison20 becomes a dead letter: .*constraint", server.log())
    put_many(server, 5)
    wait_for(lambda: db.count(table) == (105 - 3 if style == "access" else 97), 20, "more of them")


@pytest.mark.long
def test_a_locked_table(make_server, db, table):
    """What waits for a lock holds up nobody, and arrives when the lock is gone."""
    server = make_server(env=db.env(table)).start()
    notify(server, db)
    put_many(server, 3)
    wait_for(lambda: db.count(table) == 3, 20, "the first rows")
    with db.locked(table):
        began = time.monotonic()
        put_many(server, 10)
        server.stop(10)
        assert time.monotonic() - began < 12
    server.start()
    assert_mirror(server, db, table)


# -- away -------------------------------------------------------------------------------------------

def test_away_at_the_start(make_server, db, weak_db, table):
    weak_db.make_journal(table)
    weak_db.broker.stop()
    server = make_server(env=weak_db.env(table, format="access")).start()
    notify(server, db)
    put_many(server, 60)
    said(server, "offline: .*(efused|is it running)")
    weak_db.broker.start()
    rows = weak_db.wait_journal(table, 60, 60)
    assert_in_order(rows)
    assert len(rows) == 60


@pytest.mark.parametrize("style", [long("namespace"), "access"])
def test_killed_under_load(make_server, db, weak_db, table, style):
    """SIGKILL in the middle of batches; it comes back with its data."""
    if style == "access":
        weak_db.make_journal(table)
    server = make_server(env=weak_db.env(table, format=style)).start()
    s3 = notify(server, db)
    over, counts = threading.Event(), []

    def writer(number):
        with server.raw() as c:
            i = 0
            while not over.is_set():
                key = f"w{number}-{i % 6}"
                if i % 5 == 4:
                    assert s3.delete("images", key, conn=c).status == 204
                else:
                    assert s3.put("images", key, b"%d" % i, conn=c).status == 200
                i += 1
        counts.append(i)

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for n in range(2):
        wait_for(lambda: weak_db.count(table) > 15, 60, "some deliveries")
        weak_db.broker.kill()
        said(server, "offline")
        weak_db.broker.start()
        wait_for(lambda: server.log().count("back online") > n, 60, "it to be back")
    over.set()
    for t in threads:
        t.join()
    if style == "namespace":
        assert_mirror(server, weak_db, table)
        return
    wait_for(lambda: len({r.sequencer for r in weak_db.journal(table)}) == sum(counts), 60, "every change")
    rows = weak_db.journal(table)
    assert_in_order(rows)
    assert len(rows) - sum(counts) <= 3 * BATCH[weak_db.kind], "repeats are bounded by what was in flight"


@pytest.mark.parametrize("point", [long("event-before-send"), "event-sent"])
def test_belfry_killed_around_a_batch(make_server, db, table, point):
    n = BATCH[db.kind] + 100
    db.make_journal(table)
    server = make_server(env=db.env(table, format="access"))
    db.broker.freeze()
    server.start()
    notify(server, db)
    put_many(server, n, 30)
    server.kill()
    db.broker.thaw()
    server.spawn({"BELFRY_CRASH_AT": f"{point}:1"})
    assert server.wait_exit(20) != 0
    server.start()
    put_many(server, 30, 30, n)
    wait_for(lambda: len({r.sequencer for r in db.journal(table)}) == n + 30, 60, "every change")
    rows = db.journal(table)
    assert_in_order(rows)
    assert len(rows) <= n + 30 + (BATCH[db.kind] if point == "event-sent" else 0)


@pytest.mark.long
def test_a_dead_peer_is_noticed_without_work(make_server, weak_db, table):
    server = make_server(env=weak_db.env(table)).start()
    said(server, "online, 0 events")
    weak_db.broker.kill()
    said(server, "offline: ", 15)
    weak_db.broker.start()
    said(server, "back online", 60)


@pytest.mark.long
def test_a_frozen_peer_is_noticed_without_work(make_server, weak_db, table):
    server = make_server(env=weak_db.env(table)).start()
    said(server, "online, 0 events")
    weak_db.broker.freeze()
    try:
        said(server, "offline: .*no answer in time", 30)
    finally:
        weak_db.broker.thaw()
    said(server, "back online", 60)


IMPOSTORS = {"http": b"HTTP/1.1 400 Bad Request\r\n\r\n", "garbage": b"\x00\xff\x7f\r\n", "half": b"R\0\0", "huge": b"R\x7f\xff\xff\xff" * 9,
             "error": b"E\0\0\0\x05\0", "silence": None}


@pytest.mark.parametrize("what", [w if w == "garbage" else long(w) for w in IMPOSTORS])
def test_impostors(make_server, db, weak_db, table, what):
    """Whatever something that is no database answers, it is no delivery."""
    weak_db.broker.stop()
    with Impostor(weak_db.port, IMPOSTORS[what]):
        server = make_server(env=weak_db.env(table, format="access")).start()
        notify(server, db)
        put_many(server, 3)
        said(server, "offline: ", 30)
        began = time.monotonic()
        server.stop(10)
        assert time.monotonic() - began < 8
    weak_db.broker.start()
    server.start()
    assert len(weak_db.wait_journal(table, 3, 60)) == 3


@pytest.mark.long
def test_away_for_a_minute(make_server, db, weak_db, table):
    """Under load, and frozen rather than gone."""
    weak_db.make_journal(table)
    server = make_server(env=dict(weak_db.env(table, "a", format="access"), **weak_db.env(table + "n", "n"))).start()
    notify(server, db, targets=("a", "n"))
    put_many(server, 10)
    wait_for(lambda: weak_db.count(table) == 10, 20, "the first rows")
    weak_db.broker.freeze()
    end, n = time.monotonic() + 60, 10
    while time.monotonic() < end:
        put_many(server, 50, 50, n)
        n += 50
        wait_for(lambda: True, 1)
    weak_db.broker.thaw()
    wait_for(lambda: len({r.sequencer for r in weak_db.journal(table)}) == n, 120, "every change")
    rows = weak_db.journal(table)
    assert_in_order(rows)
    assert len(rows) <= n + 512
    assert_mirror(server, weak_db, table + "n")


@pytest.mark.long
def test_many(make_server, db, weak_db, table):
    """100,000 in order per key."""
    weak_db.make_journal(table)
    server = make_server(env=weak_db.env(table, format="access")).start()
    notify(server, db)

    def writer(number):
        with server.raw() as c:
            for i in range(12500):
                assert server.s3.put("images", f"k{(i * 7 + number) % 500}", b"%d" % i, conn=c).status == 200

    threads = [threading.Thread(target=writer, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wait_for(lambda: weak_db.count(table) >= 100000, 120, "all of them")
    rows = weak_db.journal(table)
    assert len(rows) == 100000 and len({r.sequencer for r in rows}) == 100000
    assert_in_order(rows)
    holds_for(lambda: weak_db.count(table) == 100000, 0.5, "nothing twice")
