# SPDX-License-Identifier: Apache-2.0
"""The MQTT target against a real Mosquitto: what arrives, its keys, logins, transports, and what it does when it is away."""
import re
import shutil
import threading
import uuid

import pytest
from support.brokers import PASSWORD, USER
from support.mqtt import MUTUAL, SSL, TCP, WS, WSS, Subscription, mqtt_env
from support.record import pattern
from support.s3raw import arn, rule
from support.server import run
from support.wait import holds_for, wait_for

pytestmark = pytest.mark.brokers
ARN = arn("1", "mqtt")
ODD_KEYS = ["plain.jpg", "with blank", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>", "tail/",
            "k" * 1024, "back\\slash", "{\"Records\":[]}", "*?[a]", "\u2028line"]


@pytest.fixture(scope="module")
def broker(start_broker):
    return start_broker("mqtt")


@pytest.fixture
def topic():
    """Each test has a topic of its own."""
    return f"t/{uuid.uuid4().hex[:10]}"


def notify(server, bucket="images", *events, target=ARN, **filters):
    server.s3.make_bucket(bucket)
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, rule(target, *events, **filters)).status == 200
    return server.s3


def said(server, text, deadline=20):
    wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


# -- what arrives -----------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_message(make_server, broker, topic, qos):
    """The envelope, field by field."""
    server = make_server(env=mqtt_env(broker, topic=topic, qos=qos)).start()
    with Subscription(broker, topic) as s:
        assert notify(server).put("images", "a b/ü.jpg", b"hello", {"Content-Type": "image/jpeg", "User-Agent": "agent"}).status == 200
        (m,) = s.wait(1)
    expected = pattern("s3:ObjectCreated:Put", "images", "a b/ü.jpg", "a+b%2F%C3%BC.jpg", server.user, server.endpoint,
                       "agent", size=5, etag="5d41402abc4b2a76b9719d911017c592", content_type="image/jpeg",
                       metadata={"content-type": "image/jpeg"})
    assert expected.fullmatch(m.body.decode()), m.body
    assert (m.qos, m.retain) == (qos, False)


@pytest.mark.sanitize
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_create_overwrite_delete(make_server, broker, topic, qos):
    server = make_server(env=mqtt_env(broker, topic=topic, qos=qos)).start()
    with Subscription(broker, topic) as s:
        s3 = notify(server)
        for key in ODD_KEYS:
            assert s3.put("images", key, b"one").status == 200
            assert s3.put("images", key, b"three").status == 200
            assert s3.delete("images", key).status == 204
        messages = s.wait(3 * len(ODD_KEYS))
        for key in ODD_KEYS:
            mine = [m for m in messages if m.key == f"images/{key}"]
            assert [m.event for m in mine] == ["s3:ObjectCreated:Put"] * 2 + ["s3:ObjectRemoved:Delete"], key
            assert [m.record["s3"]["object"].get("size") for m in mine] == [3, 5, None]
        holds_for(lambda: len(s.raw) == 3 * len(ODD_KEYS), 0.3, "nothing twice")


def test_filters_and_a_target_without_a_name(make_server, broker, topic):
    server = make_server(env=mqtt_env(broker, "", topic=topic)).start()
    assert "arn:minio:sqs::_:mqtt" in server.log()
    with Subscription(broker, topic) as s:
        s3 = notify(server, "images", "s3:ObjectCreated:*", target=arn("_", "mqtt"), prefix="in/", suffix=".jpg")
        for key in ("in/a.jpg", "in/b.png", "out/c.jpg", "in/d.jpg"):
            assert s3.put("images", key, b"x").status == 200
        assert {m.key for m in s.wait(2)} == {"images/in/a.jpg", "images/in/d.jpg"}


# -- settings ---------------------------------------------------------------------------------------

BAD = [({"broker": "http://127.0.0.1:1"}, "broker must begin with"), ({"broker": "tcp://127.0.0.1:0"}, "port"),
       ({"broker": ""}, "BROKER_1 is not set"), ({"topic": ""}, "TOPIC_1 is not set"), ({"topic": "a/#"}, "topic must be"),
       ({"qos": "3"}, "qos must be 0, 1 or 2"), ({"qos": "0", "queue_dir": "/tmp/q"}, "qos should be set to 1 or 2"),
       ({"password": "p"}, "password needs a username"), ({"client_cert": "/c"}, "set together"),
       ({"client_cert": "/c", "client_key": "/k"}, "client_cert is of use only"), ({"queue_dir": "relative"}, "absolute path")]


@pytest.mark.parametrize("keys,reason", BAD, ids=[f"{i}-{reason}" for i, (_, reason) in enumerate(BAD)])
def test_bad_settings(make_server, keys, reason):
    server = make_server(env=mqtt_env("tcp://127.0.0.1:1", **keys)).start()
    assert re.search(f"settings are wrong.*{re.escape(reason)}", server.log()), server.log()


def test_the_help_has_the_keys():
    text = run("help", "notify_mqtt").stdout
    keys = re.findall(r"MINIO_NOTIFY_MQTT_(\w+)_<ID>", text)
    assert keys == ["ENABLE", "BROKER", "TOPIC", "USERNAME", "PASSWORD", "QOS", "KEEP_ALIVE_INTERVAL", "RECONNECT_INTERVAL",
                    "QUEUE_DIR", "QUEUE_LIMIT", "COMMENT", "CLIENT_CERT", "CLIENT_KEY", "QUEUE_FULL", "DEAD_LETTER_LIMIT"]


# -- logins -------------------------------------------------------------------------------------------

LOGINS = [({}, "tcp://127.0.0.1:{}"), ({"username": USER, "password": "wrong-secret"}, "tcp://127.0.0.1:{}"),
          ({}, "tcp://nobody:wrong-secret@127.0.0.1:{}")]


@pytest.mark.parametrize("keys,url", LOGINS, ids=["none", "wrong", "wrong-in-url"])
def test_refused_logins(make_server, start_broker, topic, keys, url):
    """It is said what is wrong and where to set it right, without the secret; the event waits for the right one."""
    broker = start_broker("mqtt", AUTH=1)
    server = make_server(env=mqtt_env(url.format(broker.port), topic=topic, **keys)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, "offline: .*user name or password is wrong.*MINIO_NOTIFY_MQTT_USERNAME_1")
    assert "wrong-secret" not in server.log()
    with Subscription(broker, topic, login=True) as s:
        server.env = mqtt_env(broker, topic=topic, username=USER, password=PASSWORD)
        server.restart()
        s.wait(1)
    assert PASSWORD not in server.log()


def test_a_login_in_the_url(make_server, start_broker, topic):
    broker = start_broker("mqtt", AUTH=1)
    server = make_server(env=mqtt_env(f"tcp://{USER}:alice%2Dsecret@127.0.0.1:{broker.port}", topic=topic)).start()
    with Subscription(broker, topic, login=True) as s:
        assert notify(server).put("images", "k", b"x").status == 200
        s.wait(1)


# -- transports -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def certs(tmp_path_factory, broker):
    """certs-dir with the authority's certificate in CAs."""
    path = tmp_path_factory.mktemp("certs")
    (path / "CAs").mkdir()
    shutil.copy(broker.tls("ca.crt"), path / "CAs" / "ca.crt")
    return ["--certs-dir", str(path)]


@pytest.mark.sanitize
@pytest.mark.parametrize("url", [f"ws://127.0.0.1:{{}}/mqtt {WS}", f"ssl://localhost:{{}} {SSL}", f"tls://127.0.0.1:{{}} {SSL}",
                                 f"tcps://localhost:{{}} {SSL}", f"wss://localhost:{{}} {WSS}"], ids=lambda u: u.split(":")[0])
def test_transports(make_server, broker, certs, topic, url):
    url, port = url.split()
    server = make_server(env=mqtt_env(url.format(broker.port + int(port)), topic=topic), args=certs).start()
    with Subscription(broker, topic) as s:
        s3 = notify(server)
        for i in range(100):
            assert s3.put("images", f"k{i % 10}", b"x" * i).status == 200
        sizes = [m.record["s3"]["object"]["size"] for m in s.wait(100) if m.key == "images/k3"]
        assert sizes == list(range(3, 100, 10))


def test_mutual_tls(make_server, broker, certs, topic):
    env = mqtt_env(f"ssl://localhost:{broker.port + MUTUAL}", topic=topic)
    server = make_server(env=env, args=certs).start()
    with Subscription(broker, topic) as s:
        assert notify(server).put("images", "k", b"x").status == 200
        said(server, "offline: .*MINIO_NOTIFY_MQTT_CLIENT_CERT_1")
        for name in ("bad", "client"):
            server.stop()
            before = server.log().count("offline: ")
            server.env = dict(env, MINIO_NOTIFY_MQTT_CLIENT_CERT_1=broker.tls(f"{name}.crt"),
                              MINIO_NOTIFY_MQTT_CLIENT_KEY_1=broker.tls(f"{name}.key"))
            server.start()
            if name == "bad":
                wait_for(lambda: server.log().count("offline: ") > before, 20, "the refusal")  # noqa: B023
        s.wait(1)


def test_a_certificate_that_is_not_trusted(make_server, broker, topic):
    server = make_server(env=mqtt_env(f"ssl://localhost:{broker.port + SSL}", topic=topic)).start()
    said(server, "offline: .*certs-dir/CAs")


WRONG = [(f"tcp://127.0.0.1:{{}} {SSL}", "ssl://, ws:// or wss://"), (f"ssl://127.0.0.1:{{}} {TCP}", "TLS"),
         (f"ws://127.0.0.1:{{}} {TCP}", "closed the connection|WebSocket"), (f"tcp://127.0.0.1:{{}} {WS}", "closed|HTTP|in time")]


@pytest.mark.parametrize("url,reason", WRONG, ids=["plain-to-tls", "tls-to-plain", "ws-to-plain", "plain-to-ws"])
def test_the_wrong_transport(make_server, broker, topic, url, reason):
    url, port = url.split()
    server = make_server(env=mqtt_env(url.format(broker.port + int(port)), topic=topic)).start()
    said(server, f"offline: .*({reason})")


# -- the broker is away -----------------------------------------------------------------------------------

def put_many(server, n, keys, until=lambda: None):
    """From four connections; calls until() when half are there."""
    half = threading.Barrier(5)

    def one(t):
        with server.raw() as c:
            for i in range(t, n, 4):
                if i // 4 == n // 8:
                    half.wait()
                assert server.s3.put("images", f"k{i % keys}", b"x", conn=c).status == 200

    threads = [threading.Thread(target=one, args=(t,)) for t in range(4)]
    for t in threads:
        t.start()
    half.wait()
    until()
    for t in threads:
        t.join()


def in_order(messages, most_repeats):
    """Of each key, the first delivery of each change is behind those of all before; repeats are few."""
    last, seen = {}, set()
    for m in messages:
        if m.sequencer in seen:
            continue
        seen.add(m.sequencer)
        assert m.sequencer > last.get(m.key, ""), m.key
        last[m.key] = m.sequencer
    assert len(messages) - len(seen) <= most_repeats


@pytest.fixture
def own_broker(start_broker):
    return start_broker("mqtt", MINE="1")


@pytest.mark.sanitize
@pytest.mark.parametrize("qos", [1, 2])
def test_restarted_under_load(make_server, own_broker, topic, qos):
    """Away at the start; then stopped in the middle and started again with its sessions."""
    with Subscription(own_broker, topic) as s:
        own_broker.stop()
        server = make_server(env=mqtt_env(own_broker, topic=topic, qos=qos)).start()
        notify(server)
        said(server, "offline: .*cannot connect: Connection refused")
        put_many(server, 200, 40, until=own_broker.start)
        s.wait_distinct(200)
        put_many(server, 200, 40, until=lambda: (own_broker.stop(), own_broker.start()))
        messages = s.wait_distinct(400)
        assert {m.key for m in messages} == {f"images/k{i}" for i in range(40)}
        in_order(messages, 300)


@pytest.mark.sanitize
def test_server_killed_under_load(make_server, broker, topic):
    """SIGKILL of the server in the middle of it: every change it has answered is told, in order."""
    server = make_server(env=mqtt_env(broker, topic=topic)).start()
    with Subscription(broker, topic) as s:
        s3 = notify(server)
        for i in range(300):
            assert s3.put("images", f"k{i % 30}", b"x").status == 200
        server.kill()
        server.start()
        messages = s.wait_distinct(300)
    in_order(messages, 300)


def test_frozen(make_server, own_broker, topic):
    """It keeps the connection and says nothing: that is noticed without an event, and what waits goes once it speaks."""
    server = make_server(env=mqtt_env(own_broker, topic=topic)).start()
    said(server, "online, 0 events")
    with Subscription(own_broker, topic) as s:
        own_broker.freeze()
        try:
            said(server, "offline: .*no answer in time to a ping", 40)
            assert notify(server).put("images", "k", b"x").status == 200
        finally:
            own_broker.thaw()
        assert s.wait(1, 60)[0].key == "images/k"


@pytest.mark.long
def test_one_hundred_thousand(make_server, own_broker, topic):
    """All of them, in order per key, with the broker restarted in between."""
    server = make_server(env=mqtt_env(own_broker, topic=topic)).start()
    notify(server)
    with Subscription(own_broker, topic) as s:
        put_many(server, 100000, 500, until=lambda: (own_broker.stop(), own_broker.start()))
        messages = s.wait_distinct(100000, 200)
    in_order(messages, 300)
