# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's batches: one statement over arrays, where the table takes it, and row by row where it does not or where a row is
refused; either way the same rows, in the same order, with the same events refused. Against the real one."""
import contextlib
import os
import re
import threading
import uuid

import pytest
from support.s3raw import arn, rule
from support.sql import Postgres
from support.wait import wait_for

pytestmark = pytest.mark.brokers
ODD_KEYS = ["plain.jpg", "with blank", "trailing blank ", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "tail/", "back\\slash", "back\\",
            "{a,NULL,\"b\"}", "NULL", "$1", "'; DROP TABLE x; --", "Plain.jpg", "\u2028line", "k" * 1024, "😀" * 256]


LOGGED = {"log_statement": "mod", "log_line_prefix": "%a|", "log_parameter_max_length": "0"}  # what is written, and by whom


@pytest.fixture(scope="module")
def db(start_broker):
    db = Postgres(start_broker("postgres"))
    for name, value in LOGGED.items():
        db(f"ALTER SYSTEM SET {name} = '{value}'")
    db("SELECT pg_reload_conf()")
    wait_for(lambda: all(db(f"SHOW {name}") == [[value]] for name, value in LOGGED.items()), 20, "PostgreSQL's log")
    return db


@pytest.fixture
def table():
    return "t" + uuid.uuid4().hex[:12]


def notify(server, *targets):
    targets = targets or ("1",)
    for t in targets:
        wait_for(lambda t=t: f"postgresql:{t}: online" in server.log(), 20, f"target {t}")
    server.s3.make_bucket("images")
    rules = [rule(arn(t, "postgresql"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for t in targets]
    assert server.s3.set_rules("images", *rules).status == 200
    server.told = len(targets)
    return server.s3


def unread(port):
    """Connections to PostgreSQL on which something has come that it has not read (proc(5), net/tcp: rx_queue)."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f][1:]
    return sum(int(r[1].split(":")[1], 16) == port and r[3] == "01" and int(r[4].split(":")[1], 16) > 0 for r in rows)


@contextlib.contextmanager
def piling_up(server, db):
    """What is put meanwhile comes in one batch, behind that of the first event, which is under way alone."""
    db.broker.freeze()
    try:
        assert server.s3.put("images", "first", b"x").status == 200
        wait_for(lambda: unread(db.port) == server.told, 20, "the first event to be under way to each target")
        yield server.s3
    finally:
        db.broker.thaw()


def put_all(server, keys, threads=8):
    def put(part):
        with server.raw() as c:
            for key in part:
                assert server.s3.put("images", key, b"x", conn=c).status == 200
    writers = [threading.Thread(target=put, args=(keys[n::threads],)) for n in range(threads)]
    for w in writers:
        w.start()
    for w in writers:
        w.join()


def by_arrays(db, table):
    """Was the last statement by which Belfry wrote to this table one over arrays?"""
    with open(os.path.join(db.broker.directory, "log"), encoding="utf-8", errors="replace") as log:
        writes = [line for line in log if re.match(rf"Belfry\|LOG:  execute .*: (INSERT INTO|DELETE FROM) {re.escape(table)} ", line)]
    assert writes, table
    return "$1::pg_catalog.text[]" in writes[-1]


def keys_of(db, table):
    return {r[0] for r in db(f"SELECT key FROM {table}")}


# name -> columns, whether it takes arrays, and which keys it does not take
DOMAINS = "CREATE DOMAIN {0}k AS VARCHAR(1200) CHECK (VALUE NOT LIKE '%$1%'); CREATE DOMAIN {0}v AS JSONB CHECK (VALUE ? 'Records');"
MIRRORS = {
    "made": (None, True, ()),
    "text": ("key TEXT PRIMARY KEY, value JSON, at TIMESTAMP DEFAULT now(), CHECK (length(key) > 3)", True, ()),
    "short": ("key VARCHAR(40) PRIMARY KEY, value VARCHAR(4000)", True, ("images/" + "k" * 1024, "images/" + "😀" * 256)),
    "value": ("value TEXT, n SERIAL, key VARCHAR PRIMARY KEY", True, ()),
    "domain": ("key {0}k PRIMARY KEY, value {0}v", False, ("images/$1",)),
    "unique": ("key VARCHAR PRIMARY KEY, value JSONB, v TEXT GENERATED ALWAYS AS (value #>> '{{Records,0,eventName}}') STORED", True, ()),
}


def test_mirrors_of_all_types(make_server, db, table):
    """Created, changed, deleted and created again in one batch, with keys that a text would have to escape."""
    env = {}
    for name, (columns, _, _) in MIRRORS.items():
        if columns:
            db(DOMAINS.format(f"{table}{name}") + f'CREATE TABLE "{table}{name}" ({columns.format(table + name)})')
        env.update(db.env(f"{table}{name}", name))
    server = make_server(env=env).start()
    notify(server, *MIRRORS)
    wait_for(lambda: keys_of(db, f"{table}made") == set(), 20, "the table")
    with piling_up(server, db) as s3:
        for key in ODD_KEYS:
            assert s3.put("images", key, b"one").status == 200
        for key in ODD_KEYS[::2]:
            assert s3.delete("images", key).status == 204
        for key in ODD_KEYS[::4]:
            assert s3.put("images", key, b"three").status == 200
    left = {f"images/{k}" for k in ["first", *ODD_KEYS[1::2], *ODD_KEYS[::4]]}
    for name, (_, arrays, refused) in MIRRORS.items():
        there = f"{table}{name}"
        wait_for(lambda t=there, want=left - set(refused): keys_of(db, t) == want, 20, f"the rows of {name}: {left}")
        sizes = {k: r["s3"]["object"]["size"] for k, r in db.mirror(there).items()}
        assert all(sizes[f"images/{k}"] == 5 for k in ODD_KEYS[::4] if f"images/{k}" in sizes)
        if not refused:
            assert by_arrays(db, there) == arrays, name
    for name in ("text", "short", "value"):     # their values are the record's own text
        assert all(r[0].startswith('{"Records":[{"eventVersion":') for r in db(f"SELECT value FROM {table}{name}")), name
    with piling_up(server, db) as s3:
        for key in ODD_KEYS[1::2]:
            assert s3.delete("images", key).status == 204
        for key in "abc":
            assert s3.put("images", key * 4, b"x").status == 200
    left = {f"images/{k}" for k in ["first", "aaaa", "bbbb", "cccc", *ODD_KEYS[::4]]}
    for name, (_, arrays, refused) in MIRRORS.items():
        wait_for(lambda t=f"{table}{name}", want=left - set(refused): keys_of(db, t) == want, 20, f"what is left in {name}: {left}")
        assert by_arrays(db, f"{table}{name}") == arrays, name
    dead = sorted(set(re.findall(r"postgresql:(\w+)\b.* images/(.*) becomes a dead letter: (.*)", server.log())))
    assert {(name, key) for name, key, _ in dead} == {(n, k.removeprefix("images/")) for n, m in MIRRORS.items() for k in m[2]}
    assert all("cannot hold this record" in why if name == "short" else "constraint" in why for name, _, why in dead), dead


JOURNALS = {
    "made": ("event_time TIMESTAMP WITH TIME ZONE NOT NULL, event_data JSONB", True),
    "text": ("event_time TEXT, event_data TEXT", True),
    "stamp": ("event_data JSON, event_time TIMESTAMP", True),
    "date": ("event_time DATE, event_data VARCHAR", False),
}


def test_journals_of_all_types(make_server, db, table):
    """The rows are written in the order of the commits, over all keys."""
    env = {}
    for name, (columns, _) in JOURNALS.items():
        db(f"CREATE TABLE {table}{name} (n BIGSERIAL, {columns})")
        env.update(db.env(f"{table}{name}", name, format="access"))
    server = make_server(env=env).start()
    notify(server, *JOURNALS)
    with piling_up(server, db) as s3:
        for i in range(60):
            key = ODD_KEYS[i % 7]
            reply = s3.delete("images", key) if i % 3 == 2 else s3.put("images", key, b"%d" % i)
            assert reply.status in (200, 204)
    for name, (_, arrays) in JOURNALS.items():
        rows = db.wait_journal(f"{table}{name}", 61)
        numbers = [r.sequencer for r in rows]
        assert numbers == sorted(numbers) and len(set(numbers)) == 61, name
        for r in rows:
            told = r.record["eventTime"]
            assert name == "made" or r.data.startswith('{"Records":[{"eventVersion":')
            assert r.time == told if name == "text" else r.time.replace("T", " ")[:10] == told[:10]
        assert by_arrays(db, f"{table}{name}") == arrays, name


def test_names_and_search_path(make_server, db, table):
    """A quoted name in a schema that the role's search_path finds first; a table of the same name elsewhere has other types."""
    odd = f"It's \"{table}\""
    quoted = '"' + odd.replace('"', '""') + '"'
    db(f"CREATE SCHEMA {table}s; CREATE TABLE {table}s.{table} (key TEXT PRIMARY KEY, value JSON);"
       f"CREATE TABLE {table}s.{quoted} (key VARCHAR PRIMARY KEY, value TEXT); CREATE TABLE {table} (key INT, value INT)")
    path = db.address(options=f"'-c search_path={table}s,public -c standard_conforming_strings=off -c DateStyle=SQL,DMY'")
    server = make_server(env={**db.env(table, "a", path), **db.env(f"{table}s.{quoted}", "b")}).start()
    notify(server, "a", "b")
    with piling_up(server, db):
        put_all(server, [f"k{i}'\\" for i in range(40)])
    for there, told in ((f"{table}s.{table}", table), (f"{table}s.{quoted}", f"{table}s.{quoted}")):
        wait_for(lambda t=there: db.count(t) == 41, 20, f"the rows of {there}")
        assert by_arrays(db, told)
    assert db.count(table) == 0


def test_five_hundred_with_a_poisonous_one(make_server, db, table):
    """It is found and refused alone; the next batch is one of arrays again."""
    db(f"CREATE TABLE {table} (key VARCHAR PRIMARY KEY, value JSONB, CHECK (key NOT LIKE '%poison%'))")
    server = make_server(env=db.env(table)).start()
    notify(server)
    with piling_up(server, db):
        put_all(server, ["poison" if i == 250 else f"k{i}" for i in range(500)])
    wait_for(lambda: db.count(table) == 500, 30, "the others")
    assert re.findall(r"images/(\S+) becomes a dead letter: .*constraint", server.log()) == ["poison"]
    with piling_up(server, db):
        put_all(server, [f"more{i}" for i in range(50)])
    wait_for(lambda: db.count(table) == 550, 30, "the next")
    assert by_arrays(db, table)


def test_dropped_between_two_batches(make_server, db, table):
    server = make_server(env=db.env(table)).start()
    notify(server)

    def batch(name, rows):
        with piling_up(server, db):
            put_all(server, [f"{name}{i}" for i in range(50)])
        wait_for(lambda: db.count(table) == rows, 60, f"{rows} rows")

    def waiting(n):
        sql = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
        wait_for(lambda: db(sql) == [[str(n)]], 20, f"{n} that wait for the table")

    batch("a", 51)
    with db.locked(table):      # the first event waits, behind it who drops the table, behind that the batch
        assert server.s3.put("images", "first", b"x").status == 200
        waiting(1)
        dropping = threading.Thread(target=db, args=(f"DROP TABLE {table}",))
        dropping.start()
        waiting(2)
        put_all(server, [f"b{i}" for i in range(51)])
    dropping.join()
    wait_for(lambda: db.count(table) == 51, 60, "the newer rows")
    said = f"the table {table} at .* was gone, and is made anew"
    wait_for(lambda: re.search(said, server.log()), 20, "a word about it")
    batch("c", 102)
    assert by_arrays(db, table)
    db(f"DROP TABLE {table}; CREATE TABLE {table} (key TEXT PRIMARY KEY, value TEXT)")
    batch("d", 51)      # its value is another by now than what the statement makes of it
    assert not by_arrays(db, table)
    assert db(f"SELECT count(*) FROM {table} WHERE value LIKE '{{\"Records\":[{{\"eventVersion\":%'") == [["51"]]


def test_keys_that_are_one_to_the_column(make_server, db, table):
    """One statement cannot write a row twice: row by row the last one stays, as ever."""
    db(f"CREATE TABLE {table} (key CHAR(60) PRIMARY KEY, value JSONB)")
    server = make_server(env=db.env(table)).start()
    notify(server)
    with piling_up(server, db) as s3:
        for i, key in enumerate(("a", "a ", "b", "c ", "c", "gone ")):
            assert s3.put("images", key, b"x" * (i + 1)).status == 200
    wait_for(lambda: {k.strip(): r["s3"]["object"]["size"] for k, r in db.mirror(table).items()} ==
             {"images/first": 1, "images/a": 2, "images/b": 3, "images/c": 5, "images/gone": 6}, 20, "the last of each")
    with piling_up(server, db) as s3:
        for key in ("b", "gone "):
            assert s3.delete("images", key).status == 204
    wait_for(lambda: {k.strip() for k in keys_of(db, table)} == {"images/first", "images/a", "images/c"}, 20, "two less")
    assert by_arrays(db, table)


def test_another_encoding(make_server, db, table):
    name = f"latin{table}"
    db(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    latin = Postgres(db.broker, database=name)
    server = make_server(env=latin.env(table)).start()
    notify(server)
    with piling_up(server, db):
        put_all(server, ["ünïcödé", "日本", *(f"é{i}" for i in range(50))])
    want = {"images/first", "images/ünïcödé", *(f"images/é{i}" for i in range(50))}
    wait_for(lambda: keys_of(latin, table) == want, 20, "what the database can hold")
    assert re.findall(r"images/(\S+) becomes a dead letter: .*LATIN1", server.log()) == ["日本"]
    with piling_up(server, db):
        put_all(server, [f"ö{i}" for i in range(50)])
    wait_for(lambda: latin.count(table) == 102, 20, "more")
    assert by_arrays(latin, table)


OTHERS = {
    "later": "SELECT",      # becomes what "each" is while Belfry is connected
    "each": "CREATE TRIGGER t AFTER INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION {0}f()",
    "all": "CREATE TRIGGER t AFTER INSERT ON {0} FOR EACH STATEMENT EXECUTE FUNCTION {0}f()",
    "rule": "CREATE RULE t AS ON INSERT TO {0} DO ALSO INSERT INTO {0}seen SELECT count(*) FROM {0}",
    "view": "ALTER TABLE {0} RENAME TO {0}b; CREATE VIEW {0} AS SELECT * FROM {0}b; "
            "CREATE TRIGGER t INSTEAD OF INSERT ON {0} FOR EACH ROW EXECUTE FUNCTION {0}i()",
}


def test_triggers_rules_and_views(make_server, db, table):
    """They are told of one row after the other, each when the one before it is there."""
    env = {}
    for name, what in OTHERS.items():
        there = f"{table}{name}"
        db(f"""CREATE TABLE {there} (n BIGSERIAL, event_time TIMESTAMPTZ, event_data JSONB); CREATE TABLE {there}seen (n INT);
               CREATE FUNCTION {there}f() RETURNS trigger LANGUAGE plpgsql AS
                   $$BEGIN INSERT INTO {there}seen SELECT count(*) FROM {there}; RETURN NULL; END$$;
               CREATE FUNCTION {there}i() RETURNS trigger LANGUAGE plpgsql AS
                   $$BEGIN INSERT INTO {there}b VALUES (DEFAULT, NEW.event_time, NEW.event_data);
                   INSERT INTO {there}seen SELECT count(*) FROM {there}; RETURN NEW; END$$; {what.format(there)}""")
        env.update(db.env(there, name, format="access"))
    server = make_server(env=env).start()
    notify(server, *OTHERS)
    with piling_up(server, db):
        put_all(server, [f"k{i}" for i in range(40)])
    for name in OTHERS:
        there = f"{table}{name}"
        wait_for(lambda t=there: db.count(t) == 41, 20, f"the rows of {name}")
        if name == "later":
            assert by_arrays(db, there)
            continue
        assert [int(r[0]) for r in db(f"SELECT n FROM {there}seen ORDER BY n")] == list(range(1, 42)), name
        assert not by_arrays(db, there)
    later = f"{table}later"
    db(OTHERS["each"].format(later) + f"; ALTER TABLE {later} ALTER event_data TYPE JSON")
    with piling_up(server, db):
        put_all(server, [f"k{i}" for i in range(40)])
    wait_for(lambda: db.count(later) == 82, 20, "the rows of what became another")
    assert [int(r[0]) for r in db(f"SELECT n FROM {later}seen ORDER BY n")] == list(range(42, 83))
    assert not by_arrays(db, later)
