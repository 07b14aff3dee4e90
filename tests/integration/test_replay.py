# SPDX-License-Identifier: Apache-2.0
"""Replayed dead letters of targets that mirror objects: they are told what is true now, whatever became of the object since its
event was refused. --as-is tells the old event; a journal is always told that."""
import pytest
from support.elastic import Stand, elastic_env
from support.s3raw import arn, rule
from support.sql import Postgres
from support.wait import wait_for
from test_commands import belfry, status

# What is refused (in bucket, key), what becomes of it before the replay, and what the mirror has to hold then: the size of
# the object as it is now (0: nothing), of the event as it was.
CASES = [
    ("images", "poison/same", "nothing", 1, 1),
    ("images", "poison/overwritten", "overwrite", 22, 1),
    ("images", "poison/overwritten twice", "overwrite twice", 333, 1),
    ("images", "poison/deleted", "delete", 0, 1),
    ("images", "poison/deleted and back", "delete and put", 22, 1),
    ("other", "poison/again", "in a new bucket", 22, 1),
    ("other", "poison/not again", "nothing", 0, 1),
    ("gone", "poison/gone", "nothing", 0, 1),
]


def refuse(server, targets):
    """An event of each key becomes a dead letter of each target, among others that go through."""
    for bucket in ("images", "other", "gone"):
        server.s3.make_bucket(bucket)
        assert server.s3.set_rules(bucket, *(rule(t, "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for t in targets)).status == 200
    for i, (bucket, key, *_) in enumerate(CASES):
        assert server.s3.put(bucket, key, b"1").status == 200
        assert server.s3.put("images", f"good{i}", b"1").status == 200


def wait_refused(server, *names):
    for name in names:
        wait_for(lambda n=name: status(server, n)["deadLetters"] == len(CASES) and status(server, n)["queued"] == 0, 60,
                 f"the dead letters of {name}")
        belfry(server, "target", "pause", name)


def change(server):
    """While the targets are paused, so that the news waits in the queue, before what is replayed."""
    s3 = server.s3

    def put(bucket, key, size):
        assert s3.put(bucket, key, b"x" * size).status == 200

    for bucket, key, what, *_ in CASES:
        if what.startswith("overwrite"):
            put(bucket, key, 22)
        if what == "overwrite twice":
            put(bucket, key, 333)
        if what.startswith("delete"):
            assert s3.delete(bucket, key).status == 204
        if what == "delete and put":
            put(bucket, key, 22)
        if bucket in ("other", "gone"):
            assert s3.delete(bucket, key).status == 204
    for bucket in ("other", "gone"):
        assert s3.request("DELETE", f"/{bucket}").status == 204
    s3.make_bucket("other")         # another one, without rules: nothing but the replay can tell of what is in it
    put("other", "poison/again", 22)


def expected(column):
    return {f"{bucket}/{key}": size for bucket, key, _, *sizes in CASES for size in [sizes[column]] if size}


def replay(server, name, *args):
    assert f"replayed {len(CASES)} " in belfry(server, "dead-letter", "replay", "--target", name, *args)
    assert status(server, name)["deadLetters"] == 0
    belfry(server, "target", "resume", name)
    wait_for(lambda: status(server, name)["queued"] == 0, 60, f"{name} to take it")
    assert status(server, name)["deadLetters"] == 0


@pytest.mark.brokers
def test_postgres(make_server, start_broker):
    db = Postgres(start_broker("postgres"))
    db("CREATE TABLE truth (key VARCHAR PRIMARY KEY, value JSONB, CONSTRAINT no_poison CHECK (key NOT LIKE '%poison%'))")
    db("CREATE TABLE as_is (key VARCHAR PRIMARY KEY, value JSONB, CONSTRAINT no_poison CHECK (key NOT LIKE '%poison%'))")
    db("CREATE TABLE journal (event_time TIMESTAMP WITH TIME ZONE NOT NULL, event_data JSONB, n BIGSERIAL,"
       " CONSTRAINT no_poison CHECK (event_data::text NOT LIKE '%poison%'))")
    styles = {"truth": "namespace", "as_is": "namespace", "journal": "access"}
    env = {}
    for name, style in styles.items():
        env |= db.env(name, name, format=style)
    server = make_server(env=env).start()
    names = [f"{name}:postgresql" for name in styles]
    refuse(server, [arn(name, "postgresql") for name in styles])
    wait_refused(server, *names)
    assert "no_poison" in belfry(server, "dead-letter", "list", "--target", names[0], "--json")
    change(server)
    for name in styles:
        db(f"ALTER TABLE {name} DROP CONSTRAINT no_poison")
    replay(server, "truth:postgresql")
    replay(server, "as_is:postgresql", "--as-is")
    replay(server, "journal:postgresql")

    def mirror(table):
        return {k: r["s3"]["object"]["size"] for k, r in db.mirror(table).items() if "poison" in k}

    assert mirror("truth") == expected(0)
    assert mirror("as_is") == expected(1)
    made = db.mirror("truth")
    assert made["images/poison/same"]["source"]["userAgent"] != "belfry dead-letter replay", "the old event itself"
    assert made["other/poison/again"]["source"]["userAgent"] == "belfry dead-letter replay"
    old = [r.key for r in db.journal("journal") if r.event == "s3:ObjectCreated:Put" and "poison" in r.key
           and r.record["s3"]["object"]["size"] == 1]
    assert sorted(old) == sorted(f"{bucket}/{key}" for bucket, key, *_ in CASES), "each once"


def test_elasticsearch(make_server):
    """Against a receiver of our own: single items are refused, until they are not."""
    with Stand() as stand:
        def poison(op, _name, record):
            bad = record is not None and "poison" in record["Records"][0]["s3"]["object"]["key"]
            return (400, "mapper_parsing_exception", "failed to parse") if bad else None

        stand.on_item = poison
        server = make_server(env=elastic_env(stand)).start()
        refuse(server, [arn("1", "elasticsearch")])
        wait_refused(server, "1:elasticsearch")
        change(server)
        stand.on_item = lambda op, name, record: None
        replay(server, "1:elasticsearch")
        found = {}
        for _, document in stand.documents.values():
            record = document["Records"][0]["s3"]
            key = f'{record["bucket"]["name"]}/{record["object"]["key"]}'.replace("%2F", "/").replace("+", " ")
            if "poison" in key:
                found[key] = record["object"]["size"]
        assert found == expected(0)


def test_a_refused_removal(make_server):
    """The news that an object is gone, refused; by the time of the replay it is back."""
    with Stand() as stand:
        server = make_server(env=elastic_env(stand)).start()
        s3 = server.s3
        s3.make_bucket("images")
        assert s3.set_rules("images", rule(arn("1", "elasticsearch"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*")).status == 200
        for key in ("back", "gone"):
            assert s3.put("images", key, b"1").status == 200
        wait_for(lambda: len(stand.documents) == 2, 20, "both")
        stand.on_item = lambda op, name, record: (400, "mapper_parsing_exception", "no") if op == "delete" else None
        for i, key in enumerate(("back", "gone")):
            assert s3.delete("images", key).status == 204
            assert s3.put("images", f"good{i}", b"1").status == 200
        wait_for(lambda: status(server, "1:elasticsearch")["deadLetters"] == 2, 60, "the dead letters")
        belfry(server, "target", "pause", "1:elasticsearch")
        assert s3.put("images", "back", b"22").status == 200
        stand.on_item = lambda op, name, record: None
        belfry(server, "dead-letter", "replay", "--target", "1:elasticsearch")
        belfry(server, "target", "resume", "1:elasticsearch")
        wait_for(lambda: status(server, "1:elasticsearch")["queued"] == 0, 60, "it to take them")
        sizes = {d["Records"][0]["s3"]["object"]["key"]: d["Records"][0]["s3"]["object"]["size"] for _, d in stand.documents.values()}
        assert sizes == {"back": 2, "good0": 1, "good1": 1}
