# SPDX-License-Identifier: Apache-2.0
"""The commands that speak to a running server: target, dead-letter, backfill."""
import json
import signal
import subprocess
import threading
import time
from datetime import datetime

import pytest
from support.delivery import Writers, notify
from support.ports import free_port
from support.receiver import OK, Answer, Receiver, webhook_env
from support.redis import Redis, redis_env
from support.s3raw import arn
from support.server import binary, clean_env, run
from support.wait import holds_for, wait_for

HOOK = "1:webhook"


def belfry(server, *args, code=0, **env):
    """Runs a command against the server; its output."""
    env = {"MINIO_ROOT_USER": server.user, "MINIO_ROOT_PASSWORD": server.password, **env}
    done = run(*args, "--url", f"http://127.0.0.1:{server.port}", env=env, timeout=60)
    assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def status(server, name=HOOK):
    reply = json.loads(belfry(server, "target", "status", "--json"))
    return next(t for t in reply["targets"] if t["target"] == name)


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with Redis(tmp_path_factory.mktemp("redis"), durable=False) as r:
        yield r


# ---- target ---------------------------------------------------------------------------------------------------------


@pytest.mark.sanitize
def test_status(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    notify(server)
    for i in range(10):
        server.s3.put("events", f"a{i}", b"1")
    wait_for(lambda: status(server)["delivered"] == 10, 10, "the deliveries to be counted")
    found = status(server)
    assert found["status"] == "online" and found["queued"] == 0 and found["deadLetters"] == 0 and found["lost"] == 0
    assert found["arn"] == arn("1") and 0 < found["rate"] <= 10 and not {"oldestEvent", "lastError"} & set(found)
    receiver.stop()
    server.s3.put("events", "b", b"2")
    wait_for(lambda: status(server)["status"] == "offline", 20, "the target to be offline")
    text = belfry(server, "target", "status")
    lines = [line.split() for line in text.splitlines()]
    assert lines[0][:3] == ["TARGET", "STATUS", "SINCE"]
    assert lines[1][0] == HOOK and lines[1][1] == "offline" and lines[1][3] == "1", text
    assert lines[1][4][0].isdigit() and float(lines[1][5]) > 0, text
    assert str(receiver.port) in text, "the last error names the receiver"
    found = status(server)
    for name in ("oldestEvent", "lastErrorTime", "since"):
        assert abs(datetime.fromisoformat(found[name]).timestamp() - time.time()) < 60, found
    assert found["queued"] == 1 and found["queuedBytes"] > 100 and str(receiver.port) in found["lastError"]
    receiver.start()
    found = wait_for(lambda: (lambda t: t if t["status"] == "online" and t["queued"] == 0 else None)(status(server)), 30, "the rest")
    assert found["delivered"] == found["accepted"] == 11 and "oldestEvent" not in found and str(receiver.port) in found["lastError"]


def test_no_target(make_server):
    server = make_server().start()
    assert "there is no target" in belfry(server, "target", "status")
    assert "no target 1:webhook" in belfry(server, "target", "test", HOOK, code=1)
    assert "ID:TYPE" in belfry(server, "target", "pause", "webhook", code=1)


def test_test_says_what_is_wrong(make_server, receiver):
    port = free_port()
    env = {**webhook_env(receiver), **webhook_env(f"http://127.0.0.1:{port}/", "refused"),
           **webhook_env("http://no-such-host.invalid/", "unknown")}
    server = make_server(env=env).start()
    out = belfry(server, "target", "test", HOOK)
    assert "took an s3:TestEvent" in out
    post, = receiver.wait_posts(1)
    body = json.loads(post.body)
    assert body["EventName"] == "s3:TestEvent"
    assert body["Records"][0]["source"]["userAgent"] == "belfry target test"
    assert str(port) in belfry(server, "target", "test", "refused:webhook", code=1)
    assert "no-such-host.invalid" in belfry(server, "target", "test", "unknown:webhook", code=1)
    receiver.behave = lambda post: Answer(401)
    assert "401" in belfry(server, "target", "test", HOOK, code=1)
    reply = json.loads(belfry(server, "target", "test", HOOK, "--json", code=1))
    assert reply["ok"] is False and "401" in reply["reason"]


def test_test_leaves_nothing_in_a_mirror(make_server, redis):
    server = make_server(env=redis_env(redis, key="tested")).start()
    belfry(server, "target", "test", "1:redis")
    assert redis("EXISTS", "tested") == 0


@pytest.mark.sanitize
def test_pause_holds_over_a_restart(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    notify(server)
    server.s3.put("events", "before", b"1")
    receiver.wait_delivered(1)
    belfry(server, "target", "pause", HOOK)
    for i in range(5):
        server.s3.put("events", f"k{i}", b"1")
    holds_for(lambda: len(receiver.posts) == 1, 0.5, "nothing to be sent while paused")
    found = status(server)
    assert found["status"] == "paused" and found["queued"] == 5
    server.kill()
    server.start()
    holds_for(lambda: len(receiver.posts) == 1, 0.5, "nothing to be sent after the restart")
    assert status(server)["status"] == "paused"
    belfry(server, "target", "resume", HOOK)
    posts = receiver.wait_delivered(6)
    assert sorted(p.key for p in posts[1:]) == [f"events/k{i}" for i in range(5)]
    wait_for(lambda: status(server)["status"] == "online", 10, "the target to be online")


def test_pause_lets_what_is_out_finish(make_server, receiver):
    gate = threading.Event()
    receiver.behave = lambda post: Answer(wait=gate)
    server = make_server(env=webhook_env(receiver)).start()
    notify(server)
    server.s3.put("events", "out", b"1")
    receiver.wait_posts(1)
    belfry(server, "target", "pause", HOOK)
    server.s3.put("events", "in", b"1")
    gate.set()
    wait_for(lambda: status(server)["queued"] == 1, 10, "what was out to be confirmed")
    holds_for(lambda: len(receiver.posts) == 1, 0.5, "nothing more to be sent")
    belfry(server, "target", "resume", HOOK)
    receiver.wait_delivered(2)


# ---- dead letters -----------------------------------------------------------------------------------------------------


def refuse_poison(post):
    return Answer(413) if "poison" in post.key else OK


def poisoned(server, receiver, keys):
    """Dead letters of these keys, each among events that go through."""
    receiver.behave = refuse_poison
    for i, key in enumerate(keys):
        server.s3.put("events", key, b"x" * (i + 1))
        server.s3.put("events", f"good{i}", b"1")
    wait_for(lambda: status(server)["deadLetters"] == len(keys) and status(server)["queued"] == 0, 20, "the dead letters")


@pytest.mark.sanitize
def test_dead_letters_listed_shown_replayed(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    notify(server)
    poisoned(server, receiver, ["poison/a", "poison/b c", "other/poison"])
    rows = [json.loads(line) for line in belfry(server, "dead-letter", "list", "--json").splitlines()]
    assert [r["key"] for r in rows] == ["poison/a", "poison/b c", "other/poison"]
    assert all(r["event"] == "s3:ObjectCreated:Put" and "413" in r["reason"] and r["target"] == HOOK for r in rows)
    text = belfry(server, "dead-letter", "list", "--prefix", "other/", "--target", HOOK)
    assert "events/other/poison" in text and "1 dead letters" in text
    shown = json.loads(belfry(server, "dead-letter", "show", HOOK, rows[1]["id"]))
    assert shown["record"]["s3"]["object"]["size"] == 2
    assert "no such" in belfry(server, "dead-letter", "show", HOOK, "0" * 15 + "1", code=1).lower()
    assert "say which" in belfry(server, "dead-letter", "replay", code=2)
    before = len(receiver.posts)
    receiver.behave = lambda post: OK
    assert "replayed 2 " in belfry(server, "dead-letter", "replay", "--prefix", "poison/")
    wait_for(lambda: len(receiver.posts) == before + 2, 10, "the events")
    assert sorted(p.key for p in receiver.snapshot()[before:]) == ["events/poison/a", "events/poison/b c"]
    assert status(server)["deadLetters"] == 1
    assert "dropped 1 " in belfry(server, "dead-letter", "drop", "--since", "1h", "--bucket", "events")
    assert "0 dead letters" in belfry(server, "dead-letter", "list")
    holds_for(lambda: len(receiver.posts) == before + 2, 0.3, "what was dropped not to be sent")


def test_filters_by_time_and_reason(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    notify(server)
    poisoned(server, receiver, ["poison"])
    for args, n in ((("--reason", "413"), 1), (("--reason", "nothing such"), 0), (("--until", "1h"), 0),
                    (("--since", "2000-01-01T00:00:00Z"), 1), (("--bucket", "other"), 0)):
        assert f"{n} dead letters" in belfry(server, "dead-letter", "list", *args), args
    assert "is no time" in belfry(server, "dead-letter", "list", "--since", "yesterday", code=2)


def test_room_for_dead_letters_comes_back(make_server, receiver):
    server = make_server(env=webhook_env(receiver, dead_letter_limit=2)).start()
    notify(server)
    poisoned(server, receiver, ["poison1", "poison2"])
    server.s3.put("events", "poison3", b"1")
    server.s3.put("events", "good", b"1")
    wait_for(lambda: "full" in status(server).get("reason", ""), 20, "the dead letters to be full")
    assert "dropped 2 " in belfry(server, "dead-letter", "drop", "--all")
    wait_for(lambda: status(server)["deadLetters"] == 1 and status(server)["status"] == "online", 60, "it to go on")


# ---- backfill ---------------------------------------------------------------------------------------------------------


@pytest.mark.sanitize
def test_backfill(make_server, redis):
    server = make_server(env=redis_env(redis, key="filled")).start()
    s3 = server.s3
    s3.make_bucket("old")
    keys = [f"a/{i:04}" for i in range(130)] + ["b/with blank", "b/ünï"]
    for key in keys:
        assert s3.put("old", key, b"x", {"x-amz-meta-n": "1"}).status == 200
    assert redis("EXISTS", "filled") == 0, "no rule, no event"
    assert "2 objects queued" in belfry(server, "backfill", "old/b/", "1:redis")
    redis.wait_hash(["old/b/with blank", "old/b/ünï"], key="filled")
    assert "132 objects queued" in belfry(server, "backfill", "old", "1:redis")
    fields = redis.wait_hash([f"old/{k}" for k in keys], key="filled")
    record = fields["old/a/0007"]
    assert record["eventName"] == "s3:ObjectCreated:Put" and record["source"]["userAgent"] == "belfry backfill"
    assert record["s3"]["object"]["size"] == 1 and record["s3"]["object"]["userMetadata"]["X-Amz-Meta-N"] == "1"
    assert "does not exist" in belfry(server, "backfill", "none", "1:redis", code=1)
    assert "no target" in belfry(server, "backfill", "old", "x:redis", code=1)


def test_backfill_tells_nothing_older(make_server, receiver):
    """Objects change while they are queued: no event of a key tells of an older state than one before it."""
    server = make_server(env=webhook_env(receiver)).start()
    notify(server)
    with Writers(server, keys=4):
        for _ in range(15):
            belfry(server, "backfill", "events", HOOK)
    wait_for(lambda: status(server)["queued"] == 0, 60, "the events")
    told = {}
    for post in receiver.delivered():
        told.setdefault(post.key, []).append(post.sequencer)
    assert sum(p.record["source"]["userAgent"] == "belfry backfill" for p in receiver.delivered()) > 50
    for key, numbers in told.items():
        assert numbers == sorted(numbers), key


def test_backfill_waits_for_a_full_queue(make_server, receiver):
    receiver.stop()
    server = make_server(env=webhook_env(receiver, queue_limit=50)).start()
    server.s3.make_bucket("old")
    for i in range(120):
        server.s3.put("old", f"{i:03}", b"x")
    env = clean_env({"MINIO_ROOT_USER": server.user, "MINIO_ROOT_PASSWORD": server.password})
    with subprocess.Popen([binary(), "backfill", "old", HOOK, "--url", f"http://127.0.0.1:{server.port}"], env=env,
                          stdout=subprocess.PIPE, text=True) as p:
        wait_for(lambda: status(server)["queued"] >= 40, 20, "the queue to fill")
        receiver.start()
        out, _ = p.communicate(timeout=60)
    assert "120 objects queued" in out and p.returncode == 0
    posts = receiver.wait_delivered(120)
    assert sorted({p.key for p in posts}) == [f"old/{i:03}" for i in range(120)]
    assert status(server)["dropped"] == 0


def test_backfill_can_be_interrupted(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    server.s3.make_bucket("old")
    for i in range(60):
        server.s3.put("old", f"{i:03}", b"x")
    env = clean_env({"MINIO_ROOT_USER": server.user, "MINIO_ROOT_PASSWORD": server.password})
    with subprocess.Popen([binary(), "backfill", "old", HOOK, "--rate", "10", "--url", f"http://127.0.0.1:{server.port}"],
                          env=env, stderr=subprocess.PIPE, text=True) as p:
        began = time.monotonic()
        wait_for(lambda: len(receiver.posts) >= 3, 20, "it to begin")
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=60)
        took = time.monotonic() - began
    assert p.returncode == 1 and "--after '" in err
    assert int(err.split(" objects are queued")[0].split()[-1]) <= 10 * took + 2, "no faster than it was told"
    after = err.split("--after '")[1].split("'")[0]
    belfry(server, "backfill", "old", HOOK, "--after", after)
    posts = receiver.wait_delivered(60)
    assert sorted(p.key for p in posts) == [f"old/{i:03}" for i in range(60)], "each once"


# ---- who may ------------------------------------------------------------------------------------------------------------


def test_credentials_and_servers_that_are_not_there(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    out = belfry(server, "target", "status", code=1, MINIO_ROOT_PASSWORD="wrong-password")
    assert "MINIO_ROOT_PASSWORD" in out and "wrong-password" not in out
    done = run("target", "status", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1 and "start it" in done.stderr
    for words in (("target",), ("target", "test"), ("dead-letter",), ("backfill", "x"), ("target", "status", "--nonsense"),
                  ("target", "status", "--url", "ftp://x")):
        assert run(*words).returncode == 2, words
    for word in ("target", "dead-letter", "backfill", "import"):
        assert f"belfry {word}" in run("help", word).stdout
        assert run(word, "--help").stdout == run("help", word).stdout
