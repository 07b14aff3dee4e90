# SPDX-License-Identifier: Apache-2.0
"""The NSQ target against a real nsqd: what arrives, its keys, AUTH, TLS, and what it does when nsqd is away."""
import re
import shutil
import socket
import threading
import uuid

import pytest
from support.nsq import Gatekeeper, Message, Nsq, nsq_env
from support.record import pattern
from support.s3raw import arn, rule
from support.server import run
from support.wait import holds_for, wait_for

pytestmark = pytest.mark.brokers
ARN = arn("1", "nsq")
ODD_KEYS = ["plain.jpg", "with blank", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>", "tail/",
            "k" * 1024, "back\\slash", "{\"Records\":[]}", "*?[a]", "\u2028line"]


@pytest.fixture(scope="module")
def nsq(start_broker):
    return Nsq(start_broker("nsq"))


@pytest.fixture
def topic():
    """Each test has a topic of its own."""
    return f"t{uuid.uuid4().hex[:10]}"


def notify(server, bucket="images", *events, target=ARN, **filters):
    server.s3.make_bucket(bucket)
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, rule(target, *events, **filters)).status == 200
    return server.s3


def said(server, text, deadline=20):
    wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


# -- what arrives -----------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_the_message(make_server, nsq, topic):
    """The envelope, field by field."""
    server = make_server(env=nsq_env(nsq, topic=topic)).start()
    assert notify(server).put("images", "a b/ü.jpg", b"hello", {"Content-Type": "image/jpeg", "User-Agent": "agent"}).status == 200
    with nsq.subscribe(topic) as consumer:
        (m,) = consumer.wait(1)
    expected = pattern("s3:ObjectCreated:Put", "images", "a b/ü.jpg", "a+b%2F%C3%BC.jpg", server.user, server.endpoint,
                       "agent", size=5, etag="5d41402abc4b2a76b9719d911017c592", content_type="image/jpeg",
                       metadata={"content-type": "image/jpeg"})
    assert expected.fullmatch(m.body.decode()), m.body
    (client,) = [c for c in nsq.clients() if any(p["topic"] == topic for p in c["pub_counts"])]
    assert client["user_agent"].startswith("Belfry/") and client["hostname"] == socket.gethostname()


@pytest.mark.sanitize
def test_create_overwrite_delete(make_server, nsq, topic):
    server = make_server(env=nsq_env(nsq, topic=topic)).start()
    s3 = notify(server)
    for key in ODD_KEYS:
        assert s3.put("images", key, b"one").status == 200
        assert s3.put("images", key, b"three").status == 200
        assert s3.delete("images", key).status == 204
    with nsq.subscribe(topic) as consumer:
        messages = consumer.wait(3 * len(ODD_KEYS))
        for key in ODD_KEYS:
            mine = sorted((m for m in messages if m.key == f"images/{key}"), key=lambda m: m.sequencer)
            assert [m.event for m in mine] == ["s3:ObjectCreated:Put"] * 2 + ["s3:ObjectRemoved:Delete"], key
            assert [m.record["s3"]["object"].get("size") for m in mine] == [3, 5, None]
        holds_for(lambda: len(consumer.take()) == 3 * len(ODD_KEYS), 0.3, "nothing twice")


def test_filters_and_a_target_without_a_name(make_server, nsq, topic):
    server = make_server(env=nsq_env(nsq, "", topic=topic)).start()
    assert "arn:minio:sqs::_:nsq" in server.log()
    s3 = notify(server, "images", "s3:ObjectCreated:*", target=arn("_", "nsq"), prefix="in/", suffix=".jpg")
    for key in ("in/a.jpg", "in/b.png", "out/c.jpg", "in/d.jpg"):
        assert s3.put("images", key, b"x").status == 200
    with nsq.subscribe(topic) as consumer:
        assert {m.key for m in consumer.wait(2)} == {"images/in/a.jpg", "images/in/d.jpg"}


# -- settings ---------------------------------------------------------------------------------------

BAD = [({"nsqd_address": "tcp://127.0.0.1:1"}, "without a scheme"), ({"nsqd_address": "127.0.0.1:0"}, "port"),
       ({"nsqd_address": ""}, "NSQD_ADDRESS_1 is not set"), ({"topic": ""}, "TOPIC_1 is not set"),
       ({"topic": "a b"}, "topic must be"), ({"topic": "t" * 65}, "topic must be"), ({"client_cert": "/c"}, "set together"),
       ({"client_cert": "/c", "client_key": "/k"}, "tls=on"), ({"tls": "perhaps"}, "on or off"),
       ({"queue_dir": "relative"}, "absolute path")]


@pytest.mark.parametrize("keys,reason", BAD, ids=[f"{i}-{reason}" for i, (_, reason) in enumerate(BAD)])
def test_bad_settings(make_server, keys, reason):
    server = make_server(env=nsq_env("127.0.0.1:1", **keys)).start()
    assert re.search(f"settings are wrong.*{re.escape(reason)}", server.log()), server.log()


def test_the_help_has_the_keys():
    text = run("help", "notify_nsq").stdout
    keys = re.findall(r"MINIO_NOTIFY_NSQ_(\w+)_<ID>", text)
    assert keys == ["ENABLE", "NSQD_ADDRESS", "TOPIC", "TLS", "TLS_SKIP_VERIFY", "QUEUE_DIR", "QUEUE_LIMIT", "COMMENT",
                    "AUTH_SECRET", "CLIENT_CERT", "CLIENT_KEY", "QUEUE_FULL", "DEAD_LETTER_LIMIT"]


@pytest.mark.parametrize("port,reason", [(1, "it speaks HTTP: name nsqd's TCP port"), (2, "it does not answer as nsqd does|closed")])
def test_another_port_of_nsqd(make_server, nsq, port, reason):
    server = make_server(env=nsq_env(f"127.0.0.1:{nsq.port + port}")).start()
    said(server, f"offline: .*({reason})")


# -- AUTH ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def gatekeeper():
    keeper = Gatekeeper({"good-secret": "m.*", "other-secret": "other"})
    yield keeper
    keeper.close()


AUTH = [("", "asks for a secret.*MINIO_NOTIFY_NSQ_AUTH_SECRET_1"), ("wrong-secret", "not accepted.*MINIO_NOTIFY_NSQ_AUTH_SECRET_1"),
        ("other-secret", "does not allow to publish.*MINIO_NOTIFY_NSQ_TOPIC_1")]


@pytest.mark.parametrize("secret,reason", AUTH, ids=["none", "wrong", "other"])
def test_auth(make_server, start_broker, gatekeeper, secret, reason):
    """It is said what is wrong and where to set it right, without the secret; the event waits for the right one."""
    nsq = Nsq(start_broker("nsq", AUTH=gatekeeper.address))
    topic = f"m{uuid.uuid4().hex[:10]}"
    server = make_server(env=nsq_env(nsq, topic=topic, auth_secret=secret)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, f"offline: .*{reason}")
    assert "-secret" not in server.log().replace("test-secret", "")
    server.env = nsq_env(nsq, topic=topic, auth_secret="good-secret")
    server.restart()
    wait_for(lambda: (nsq.topic(topic) or {}).get("message_count") == 1, 20, "the message")


def test_a_secret_that_is_not_wanted(make_server, nsq, topic):
    server = make_server(env=nsq_env(nsq, topic=topic, auth_secret="good-secret")).start()
    assert notify(server).put("images", "k", b"x").status == 200
    with nsq.subscribe(topic) as consumer:
        consumer.wait(1)


# -- TLS ------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tls_nsq(start_broker):
    return Nsq(start_broker("nsq", TLS="mutual"))


def certs(path, broker):
    """certs-dir with the authority's certificate in CAs."""
    (path / "CAs").mkdir(parents=True)
    shutil.copy(broker.tls("ca.crt"), path / "CAs" / "ca.crt")
    return ["--certs-dir", str(path)]


def delivered(nsq, topic, n=1):
    wait_for(lambda: (nsq.topic(topic) or {}).get("message_count") == n, 20, f"{n} messages")


@pytest.mark.sanitize
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls(make_server, nsq, tmp_path, topic, host):
    args = certs(tmp_path / "certs", nsq.broker)
    server = make_server(env=nsq_env(f"{host}:{nsq.port}", topic=topic, tls="on"), args=args).start()
    s3 = notify(server)
    for i in range(300):
        assert s3.put("images", f"k{i}", b"x" * 100).status == 200
    with nsq.subscribe(topic) as consumer:
        assert {m.key for m in consumer.wait(300)} == {f"images/k{i}" for i in range(300)}
    (client,) = [c for c in nsq.clients() if any(p["topic"] == topic for p in c["pub_counts"])]
    assert client["tls"] and client["tls_version"] == "TLS1.3"


def test_mutual_tls(make_server, tls_nsq, tmp_path, topic):
    args, broker = certs(tmp_path / "certs", tls_nsq.broker), tls_nsq.broker
    env = nsq_env(tls_nsq, topic=topic, tls="on")
    server = make_server(env=env, args=args).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, "offline: .*MINIO_NOTIFY_NSQ_CLIENT_CERT_1")
    for name in ("bad", "client"):
        server.stop()
        before = server.log().count("offline: ")
        server.env = dict(env, MINIO_NOTIFY_NSQ_CLIENT_CERT_1=broker.tls(f"{name}.crt"),
                          MINIO_NOTIFY_NSQ_CLIENT_KEY_1=broker.tls(f"{name}.key"))
        server.start()
        if name == "bad":
            wait_for(lambda: server.log().count("offline: ") > before, 20, "the refusal")  # noqa: B023
    delivered(tls_nsq, topic)


def test_without_tls_where_it_is_required(make_server, tls_nsq, topic):
    server = make_server(env=nsq_env(tls_nsq, topic=topic)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, "offline: .*with TLS only.*MINIO_NOTIFY_NSQ_TLS_1")


def test_a_certificate_that_is_not_trusted(make_server, nsq, topic):
    server = make_server(env=nsq_env(nsq, topic=topic, tls="on")).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, "offline: .*certs-dir/CAs")
    assert nsq.topic(topic) is None
    server.env = nsq_env(nsq, topic=topic, tls="on", tls_skip_verify="on")
    server.restart()
    delivered(nsq, topic)


# -- nsqd is away -----------------------------------------------------------------------------------------

@pytest.fixture
def own_nsq(start_broker):
    return Nsq(start_broker("nsq", MINE="1"))


@pytest.mark.sanitize
def test_away_at_the_start_and_restarted(make_server, own_nsq, topic):
    own_nsq.broker.stop()
    server = make_server(env=nsq_env(own_nsq, topic=topic)).start()
    s3 = notify(server)
    for i in range(10):
        assert s3.put("images", f"k{i}", b"x").status == 200
    said(server, "offline: .*cannot connect: Connection refused")
    own_nsq.broker.start()
    with own_nsq.subscribe(topic) as consumer:
        consumer.wait(10, 60)
        own_nsq.finished(topic)
    own_nsq.broker.stop()
    own_nsq.broker.start()
    assert s3.put("images", "later", b"x").status == 200
    with own_nsq.subscribe(topic) as consumer:
        assert [m.key for m in consumer.wait(1, 60)] == ["images/later"]


def put_many(server, n, keys, until=lambda: None):
    """From four connections; calls until() when half are there."""
    half = threading.Barrier(5)

    def one(t):
        with server.raw() as c:
            for i in range(t, n, 4):
                if i // 4 == n // 8:
                    half.wait()
                assert server.s3.put("images", f"k{i % keys}", b"%d" % i, conn=c).status == 200

    threads = [threading.Thread(target=one, args=(t,)) for t in range(4)]
    for t in threads:
        t.start()
    half.wait()
    until()
    for t in threads:
        t.join()


def test_killed_under_load(make_server, own_nsq, topic):
    """What nsqd had in memory is lost with it, and only that: it has said OK. Whatever came after is there."""
    own_nsq.broker.start() if own_nsq.broker.pid is None else None
    server = make_server(env=nsq_env(own_nsq, topic=topic)).start()
    notify(server)
    put_many(server, 400, 40, until=lambda: (own_nsq.broker.kill(), own_nsq.broker.start()))
    s3 = server.s3
    for i in range(20):
        assert s3.put("images", f"after{i}", b"x").status == 200
    with own_nsq.subscribe(topic) as consumer:
        wait_for(lambda: {f"images/after{i}" for i in range(20)} <= {Message(b).key for b in consumer.take()}, 60, "what came after")


@pytest.mark.sanitize
def test_server_killed_under_load(make_server, nsq, topic):
    """SIGKILL of the server in the middle of it: every change it has answered is told, repeats are few."""
    server = make_server(env=nsq_env(nsq, topic=topic)).start()
    s3 = notify(server)
    for i in range(300):
        assert s3.put("images", f"k{i}", b"x").status == 200
    server.kill()
    server.start()
    with nsq.subscribe(topic) as consumer:
        messages = consumer.wait_distinct(300)
    assert {m.key for m in messages} == {f"images/k{i}" for i in range(300)}


def test_the_topic_is_removed(make_server, nsq, topic):
    server = make_server(env=nsq_env(nsq, topic=topic)).start()
    s3 = notify(server)
    assert s3.put("images", "k", b"x").status == 200
    delivered(nsq, topic)
    nsq.http(f"/topic/delete?topic={topic}", b"")
    assert s3.put("images", "l", b"x").status == 200
    with nsq.subscribe(topic) as consumer:
        assert [m.key for m in consumer.wait(1)] == ["images/l"]


@pytest.mark.long
def test_frozen_while_idle(make_server, own_nsq, topic):
    """It keeps the connection and says nothing: that is noticed without an event."""
    server = make_server(env=nsq_env(own_nsq, topic=topic)).start()
    said(server, "online, 0 events")
    own_nsq.broker.freeze()
    try:
        said(server, "offline: .*no heartbeats", 40)
    finally:
        own_nsq.broker.thaw()
    assert notify(server).put("images", "k", b"x").status == 200
    with own_nsq.subscribe(topic) as consumer:
        consumer.wait(1, 60)
    assert server.log().count("offline: ") == 1


@pytest.mark.long
def test_one_hundred_thousand(make_server, own_nsq, topic):
    """All of them, with nsqd restarted in between (in order, so that it keeps what it has)."""
    server = make_server(env=nsq_env(own_nsq, topic=topic)).start()
    notify(server)
    put_many(server, 100000, 500, until=lambda: (own_nsq.broker.stop(), own_nsq.broker.start()))
    with own_nsq.subscribe(topic) as consumer:
        messages = consumer.wait_distinct(100000, 120)
    assert len(messages) - 100000 <= 1000
