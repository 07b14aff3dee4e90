# SPDX-License-Identifier: Apache-2.0
"""The webhook target's keys: tokens, redirects, TLS both ways, proxies, names, bad values."""
import json
import os
import time
import uuid

import pytest
from support import receiver as rx
from support.delivery import assert_in_order, notify
from support.receiver import Answer, Receiver, webhook_env
from support.s3raw import arn, rule
from support.wait import holds_for, wait_for

TOKENS = [("secret-token", "Bearer secret-token"), ("Basic YWJj", "Basic YWJj"), ("Bearer xyz", "Bearer xyz"),
          ("a b c", None), ("   ", None), ("", None)]


@pytest.mark.parametrize("token,header", TOKENS, ids=[repr(t) for t, _ in TOKENS])
def test_auth_token(make_server, receiver, token, header):
    server = make_server(env=webhook_env(receiver, auth_token=token)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    post = receiver.wait_delivered(1)[0]
    assert post.get("authorization") == header
    assert "secret-token" not in server.log(), "secrets stay out of the log"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery(make_server, receiver, status):
    receiver.behave = lambda post: Answer(status)
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    receiver.wait_posts(1)
    holds_for(lambda: len(receiver.posts) == 1, 0.7, "one post")


@pytest.mark.parametrize("status", [307, 308])
def test_redirects_with_the_body(make_server, receiver, status):
    with Receiver(path="/other") as other:
        receiver.behave = lambda post: Answer(status, [("Location", other.url)])
        server = make_server(env=webhook_env(receiver)).start()
        s3 = notify(server)
        assert s3.put("events", "k", b"x").status == 200
        post = other.wait_delivered(1)[0]
        assert post.line == "POST /other HTTP/1.1" and post.key == "events/k"
        assert post.get("content-type") == "application/json"


def test_relative_redirect(make_server, receiver):
    receiver.behave = lambda post: Answer(308, [("Location", "/moved")]) if post.path == "/hook" else rx.OK
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    wait_for(lambda: any(p.path == "/moved" and p.key == "events/k" for p in receiver.delivered()), 10, "the redirect")


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirects_that_would_lose_the_body(make_server, receiver, status):
    """Not followed: a GET would arrive. The reason names the new place; the event waits."""
    with Receiver(path="/new-place") as other:
        receiver.behave = lambda post: Answer(status, [("Location", other.url)]) if post.number < 2 else rx.OK
        server = make_server(env=webhook_env(receiver)).start()
        s3 = notify(server)
        assert s3.put("events", "k", b"x").status == 200
        wait_for(lambda: receiver.delivered() and receiver.posts[-1].answered == 200, 15, "the delivery")
        assert other.posts == [] and all(p.line.startswith("POST") for p in receiver.snapshot())
        assert "/new-place" in server.log()


def test_redirect_loop(make_server, receiver):
    receiver.behave = lambda post: Answer(307, [("Location", receiver.url)]) if post.number < 12 else rx.OK
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    wait_for(lambda: receiver.posts and receiver.posts[-1].answered == 200, 30, "the delivery in the end")
    gaps = [b.time - a.time for a, b in zip(receiver.posts, receiver.posts[1:])]
    assert max(gaps[:7]) > 0.02, "after five hops there is a pause, not a sixth"


@pytest.mark.parametrize("other_host", [True, False])
def test_token_does_not_follow_to_another_host(make_server, receiver, other_host):
    """A redirect to another address must not hand the token to it."""
    with Receiver(path="/other") as other:
        place = other.url if not other_host else other.url.replace("127.0.0.1", "localhost")
        receiver.behave = lambda post: Answer(307, [("Location", place)])
        server = make_server(env=webhook_env(receiver, auth_token="tok")).start()
        s3 = notify(server)
        assert s3.put("events", "k", b"x").status == 200
        post = other.wait_delivered(1)[0]
        if other_host:
            assert post.get("authorization") is None


# -- TLS -------------------------------------------------------------------------------------

@pytest.fixture
def certs_dir(tmp_path):
    path = tmp_path / "certs"
    (path / "CAs").mkdir(parents=True)
    return path


def trust(certs_dir, authority):
    (certs_dir / "CAs" / "ca.crt").write_bytes(open(authority.cert, "rb").read())
    return ["--certs-dir", str(certs_dir)]


@pytest.mark.sanitize
def test_tls_with_our_authority(make_server, authority, certs_dir):
    with Receiver(tls=authority.server_context(*authority.issue("hook"))) as r:
        server = make_server(env=webhook_env(r), args=trust(certs_dir, authority)).start()
        s3 = notify(server)
        for i in range(20):
            assert s3.put("events", "k", b"%d" % i).status == 200
        assert_in_order(r.wait_delivered(20))
        assert r.connections <= 20


def test_tls_of_an_unknown_authority(make_server, authority, certs_dir, tmp_path):
    from support.certs import Authority
    stranger = Authority(tmp_path / "stranger", "Somebody else")
    with Receiver(tls=stranger.server_context(*stranger.issue("hook"))) as r:
        server = make_server(env=webhook_env(r), args=trust(certs_dir, authority)).start()
        s3 = notify(server)
        assert s3.put("events", "k", b"x").status == 200
        wait_for(lambda: r.tls_failures >= 1, 10, "a refused handshake")
        assert r.posts == []
        wait_for(lambda: "certificate" in server.log().lower(), 10, "the reason in the log")
        r.tls = authority.server_context(*authority.issue("hook2"))
        r.wait_delivered(1, 30)


def test_tls_for_another_name(make_server, authority, certs_dir):
    with Receiver(tls=authority.server_context(*authority.issue("wrong", ("DNS:elsewhere.example",)))) as r:
        server = make_server(env=webhook_env(r), args=trust(certs_dir, authority)).start()
        s3 = notify(server)
        assert s3.put("events", "k", b"x").status == 200
        wait_for(lambda: r.connections >= 2, 10, "two tries")
        assert r.posts == []


def test_plain_answer_on_a_tls_endpoint(make_server, receiver):
    server = make_server(env=webhook_env(receiver.url.replace("http:", "https:"))).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    wait_for(lambda: receiver.connections >= 2, 10, "two tries")
    assert receiver.posts == []


def test_client_certificates_are_each_targets_own(make_server, authority, certs_dir, tmp_path):
    """Two targets, each with its own client certificate; and without one the handshake fails."""
    seen = {}

    def behave_as(name):
        def behave(post):
            seen.setdefault(name, []).append(post)
            return rx.OK
        return behave

    tls = authority.server_context(*authority.issue("mutual"), require_client=True)
    one = authority.issue("one", client=True)
    two = authority.issue("two", client=True)
    with Receiver(behave_as("one"), tls) as r1, Receiver(behave_as("two"), tls) as r2, Receiver(behave_as("no"), tls) as r3:
        env = dict(webhook_env(r1, "one", client_cert=one[0], client_key=one[1]),
                   **webhook_env(r2, "two", client_cert=two[0], client_key=two[1]), **webhook_env(r3, "no"))
        server = make_server(env=env, args=trust(certs_dir, authority)).start()
        s3 = notify(server, "events", "one", "two", "no")
        assert s3.put("events", "k", b"x").status == 200
        r1.wait_delivered(1)
        r2.wait_delivered(1)
        wait_for(lambda: r3.connections >= 1, 10, "a try without a certificate")
        assert r3.posts == []


def test_proxy(make_server, receiver):
    """An HTTP proxy is used when the environment names one, and NO_PROXY is kept."""
    target = "http://belfry-target.invalid/hook"
    env = dict(webhook_env(target), HTTP_PROXY=receiver.url.rsplit("/", 1)[0], http_proxy=receiver.url.rsplit("/", 1)[0])
    server = make_server(env=env).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    post = receiver.wait_delivered(1)[0]
    assert post.line == f"POST {target} HTTP/1.1"


def test_names_are_case_sensitive_and_independent(make_server):
    with Receiver() as a, Receiver() as b:
        server = make_server(env=dict(webhook_env(a, "x"), **webhook_env(b, "X"))).start()
        log = server.log()
        assert arn("x") in log and arn("X") in log
        s3 = notify(server, "events", "X")
        assert s3.put("events", "k", b"x").status == 200
        b.wait_delivered(1)
        assert a.posts == []


@pytest.mark.parametrize("value,enabled", [("on", True), ("true", True), ("1", True), ("Enabled", True), ("off", False),
                                           ("false", False), ("0", False)])
def test_enable(make_server, receiver, value, enabled):
    env = webhook_env(receiver)
    env["MINIO_NOTIFY_WEBHOOK_ENABLE_1"] = value
    server = make_server(env=env).start()
    server.s3.make_bucket("enable")
    assert server.s3.set_rules("enable", rule(arn("1"))).status == (200 if enabled else 400)
    assert ("SQS ARNs:" in server.log()) == enabled


def test_off_keeps_what_is_queued(make_server, receiver):
    receiver.stop()
    env = webhook_env(receiver)
    server = make_server(env=env).start()
    s3 = notify(server)
    for i in range(10):
        assert s3.put("events", f"k{i}", b"x").status == 200
    server.stop()
    server.env = dict(env, MINIO_NOTIFY_WEBHOOK_ENABLE_1="off")
    receiver.start()
    server.start()
    assert server.s3.put("events", "while-off", b"x").status == 200
    holds_for(lambda: receiver.posts == [], 0.7, "nothing is sent while the target is off")
    server.stop()
    server.env = env
    server.start()
    receiver.wait_delivered(10)
    assert sorted(p.key for p in receiver.snapshot()) == [f"events/k{i}" for i in range(10)]


def test_the_log_follows_the_reason(make_server, receiver):
    """What is wrong now stands in the log, also when it is something else than at first; each reason once."""
    receiver.stop()
    receiver.behave = lambda post: Answer(503)
    server = make_server(env=webhook_env(receiver)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    why = f"port {receiver.port}: Connection refused (check that it runs, and MINIO_NOTIFY_WEBHOOK_ENDPOINT_1). "
    wait_for(lambda: why in server.log(), 10, "the first reason")
    receiver.start()
    wait_for(lambda: "answered 503: it is too busy" in server.log(), 20, "the second reason")
    receiver.wait_posts(3, 20)
    assert server.log().count("offline: ") == 2
    receiver.behave = lambda post: rx.OK
    wait_for(lambda: "back online" in server.log(), 20, "the end")


BAD_VALUES = [{"endpoint": "ftp://x/"}, {"endpoint": "nonsense"}, {"endpoint": ""}, {"queue_dir": "relative/path"},
              {"queue_limit": "many"}, {"client_cert": "/nonexistent.crt"},
              {"client_cert": "/nonexistent.crt", "client_key": "/nonexistent.key"}]


@pytest.mark.parametrize("keys", BAD_VALUES, ids=[",".join(f"{k}={v}" for k, v in b.items()) for b in BAD_VALUES])
def test_a_bad_value_hurts_only_its_target(make_server, receiver, keys):
    """The server starts, says what is wrong, serves the other target, and queues for the bad one all the same."""
    bad = dict(webhook_env(receiver, "bad"))
    bad.update({f"MINIO_NOTIFY_WEBHOOK_{k.upper()}_bad": v for k, v in keys.items()})
    with Receiver() as good:
        server = make_server(env=dict(webhook_env(good, "good"), **bad)).start()
        s3 = notify(server, "events", "good")
        assert s3.put("events", "k", b"x").status == 200
        good.wait_delivered(1)
        assert "bad" in server.log()
        if s3.set_rules("events", rule(arn("bad")), rule(arn("good"))).status == 200:
            assert s3.put("events", "queued", b"x").status == 200
            server.stop()
            server.env = dict(webhook_env(good, "good"), **webhook_env(receiver, "bad"))
            server.start()
            wait_for(lambda: any(p.key == "events/queued" for p in receiver.delivered()), 10, "the event of the mended target")


def test_both_prefixes_and_which_wins(make_server):
    with Receiver() as a, Receiver() as b:
        env = webhook_env(a)
        env["BELFRY_NOTIFY_WEBHOOK_ENDPOINT_1"] = b.url
        env["BELFRY_NOTIFY_WEBHOOK_ENABLE_2"] = "on"
        env["BELFRY_NOTIFY_WEBHOOK_ENDPOINT_2"] = a.url
        server = make_server(env=env).start()
        s3 = notify(server, "events", "1", "2")
        assert s3.put("events", "k", b"x").status == 200
        a.wait_delivered(1)
        b.wait_delivered(1)


# -- queue_dir and queue_limit ------------------------------------------------------------------

def old_record(key, name="s3:ObjectCreated:Put", sequencer="1700000000000000"):
    """A record as another server's queue directory holds it: bare, without the envelope."""
    return {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2025-01-02T03:04:05.678Z",
            "eventName": name, "userIdentity": {"principalId": "old"},
            "requestParameters": {"principalId": "old", "region": "", "sourceIPAddress": "10.0.0.1"},
            "responseElements": {"x-amz-id-2": "0" * 64, "x-amz-request-id": "18000000000000AB",
                                 "x-minio-deployment-id": str(uuid.uuid4()), "x-minio-origin-endpoint": "http://10.0.0.2:9000"},
            "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config",
                   "bucket": {"name": "old", "ownerIdentity": {"principalId": "old"}, "arn": "arn:aws:s3:::old"},
                   "object": {"key": key, "size": 3, "eTag": "900150983cd24fb0d6963f7d28e17f72", "contentType": "text/plain",
                              "userMetadata": {"content-type": "text/plain"}, "sequencer": sequencer}},
            "source": {"host": "10.0.0.1", "port": "", "userAgent": "old/1.0"}}


def put_old_files(directory, keys, base=1_700_000_000):
    directory.mkdir(parents=True)
    for i, key in enumerate(keys):
        path = directory / f"{uuid.uuid4()}.event"
        path.write_text(json.dumps(old_record(key, sequencer=f"17979CFE362A{i:04X}"), separators=(",", ":")))
        os.utime(path, (base + i, base + i))


@pytest.mark.parametrize("target_id", ["1", ""])
def test_files_of_a_predecessor_are_taken_in(make_server, receiver, tmp_path, target_id):
    queue = tmp_path / "queue"
    directory = queue / f"minio-webhook-{target_id or '_'}"
    keys = [f"k{i}" for i in range(20)]
    put_old_files(directory, keys)
    server = make_server(env=webhook_env(receiver, target_id, queue_dir=queue)).start()
    s3 = notify(server, "events", target_id or "_")
    assert s3.put("events", "new", b"x").status == 200
    posts = receiver.wait_delivered(21)
    assert sorted(p.key for p in posts) == sorted([f"old/{k}" for k in keys] + ["events/new"])
    old = next(p for p in posts if p.key == "old/k3")
    assert old.record == old_record("k3", sequencer="17979CFE362A0003") | {
        "responseElements": old.record["responseElements"]}
    assert old.event == "s3:ObjectCreated:Put"
    wait_for(lambda: not list(directory.glob("*.event")), 10, "the files to be removed")
    server.restart()
    assert server.s3.put("events", "later", b"x").status == 200
    receiver.wait_delivered(22)
    assert receiver.snapshot()[-1].key == "events/later"


def test_files_in_order_of_time(make_server, receiver, tmp_path):
    """Of one key, in the order of the files' times."""
    queue = tmp_path / "queue"
    put_old_files(queue / "minio-webhook-1", ["same"] * 10)
    make_server(env=webhook_env(receiver, queue_dir=queue)).start()
    posts = receiver.wait_delivered(10)
    assert [p.sequencer for p in posts] == sorted(p.sequencer for p in posts)


def test_foreign_and_broken_files(make_server, receiver, tmp_path):
    """An empty file, no JSON, a batch, a foreign name: named in the log, nothing blocked, nothing thrown away unseen."""
    directory = tmp_path / "queue" / "minio-webhook-1"
    put_old_files(directory, ["good"])
    (directory / f"{uuid.uuid4()}.event").write_bytes(b"")
    (directory / f"{uuid.uuid4()}.event").write_bytes(b"{not json")
    (directory / f"3:{uuid.uuid4()}.event.snappy").write_bytes(b"\x00\x01")
    (directory / "README").write_text("hello")
    server = make_server(env=webhook_env(receiver, queue_dir=tmp_path / "queue")).start()
    posts = receiver.wait_delivered(1)
    assert posts[0].key == "old/good"
    holds_for(lambda: len(receiver.posts) == 1, 0.5, "only the good one")
    assert (directory / "README").exists()
    assert "snappy" in server.log()


def test_queue_dir_is_made(make_server, receiver, tmp_path):
    queue = tmp_path / "deep" / "queue"
    server = make_server(env=webhook_env(receiver, queue_dir=queue)).start()
    s3 = notify(server)
    assert s3.put("events", "k", b"x").status == 200
    receiver.wait_delivered(1)
    assert queue.is_dir()


def test_queue_limit_drops_the_new(make_server, receiver):
    receiver.stop()
    server = make_server(env=webhook_env(receiver, queue_limit=5)).start()
    s3 = notify(server)
    for i in range(12):
        assert s3.put("events", f"k{i:02d}", b"x").status == 200
    assert "queue" in server.log().lower(), "a drop is logged"
    receiver.start()
    posts = receiver.wait_delivered(5, 40)
    end = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > end, 3, "a second")
    assert sorted(p.key for p in receiver.snapshot()) == [f"events/k{i:02d}" for i in range(5)]
    assert s3.put("events", "room-again", b"x").status == 200
    receiver.wait_delivered(len(posts) + 1)


def test_queue_full_reject(make_server, receiver):
    """queue_full=reject: the write is refused, and nothing is written."""
    receiver.stop()
    server = make_server(env=webhook_env(receiver, queue_limit=3, queue_full="reject")).start()
    s3 = notify(server)
    replies = [s3.put("events", f"k{i}", b"x") for i in range(6)]
    assert [r.status for r in replies] == [200] * 3 + [503] * 3
    assert replies[-1].code == "SlowDown"
    wait_for(lambda: "webhook:1: a write is refused with 503 SlowDown: the queue holds 3 events" in server.log(), 5, "the refusal in the log")
    assert s3.get("events", "k4").status == 404
    receiver.start()
    receiver.wait_delivered(3, 40)
    assert s3.put("events", "k4", b"x").status == 200


def test_a_full_queue_takes_no_read_event_from_others(make_server, receiver):
    """A read cannot be refused after its reply: the full target drops its event, says so, and the other one gets its own."""
    receiver.stop()
    with Receiver() as good:
        env = dict(webhook_env(receiver, "full", queue_limit=1, queue_full="reject"), **webhook_env(good, "good"))
        server = make_server(env=env).start()
        s3 = server.s3
        s3.make_bucket("events")
        assert s3.set_rules("events", rule(arn("full")), rule(arn("good"))).status == 200
        assert s3.put("events", "k", b"x").status == 200
        assert s3.put("events", "k", b"y").status == 503
        assert s3.get("events", "k").status == 200
        assert s3.head("events", "k").status == 200
        good.wait_delivered(3)
        assert {p.event for p in good.snapshot()} == {"s3:ObjectCreated:Put", "s3:ObjectAccessed:Get", "s3:ObjectAccessed:Head"}
        wait_for(lambda: "webhook:full: an event of a read was dropped" in server.log(), 5, "the drop in the log")
