# SPDX-License-Identifier: Apache-2.0
"""The Kafka target against a real Kafka: message, key, partition, logins, TLS, and what is wrong with what was set."""
import re
import shutil

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from support.admin import Admin
from support.delivery import assert_in_order
from support.kafka import MUTUAL, SASL, SASL_TLS, TLS, Topic, kafka_env, login
from support.record import pattern
from support.s3raw import arn, rule
from support.wait import wait_for

pytestmark = pytest.mark.brokers

ODD_KEYS = ["plain.jpg", "with blank", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>", "tail/",
            "k" * 1024, "back\\slash", "{\"Records\":[]}", "*?[a]"]


@pytest.fixture(scope="module")
def kafka(start_broker):
    return start_broker("kafka")


@pytest.fixture
def admin(kafka):
    client = KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{kafka.port}")
    yield client
    client.close()


def make_topic(admin, topic, partitions=1, **config):
    admin.create_topics([NewTopic(topic.name, partitions, 1, topic_configs={k.replace("_", "."): v for k, v in config.items()})])
    return topic


def notify(server, *targets, bucket="images"):
    server.s3.make_bucket(bucket)
    events = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, *[rule(arn(t, "kafka"), *events) for t in targets or ("1",)]).status == 200
    return server.s3


def reason(server, target):
    """Why it is offline; "" while it is not."""
    found = Admin(server).target(target, "kafka")
    return found["lastError"] if found["status"] == "offline" else ""


# -- messages -------------------------------------------------------------------------------------------

def test_the_message_is_the_envelope(make_server, kafka):
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic)).start()
    s3 = notify(server)
    assert s3.put("images", "a b/ü.jpg", b"hello", {"Content-Type": "image/jpeg", "User-Agent": "agent"}).status == 200
    (m,) = topic.wait(1)
    expected = pattern("s3:ObjectCreated:Put", "images", "a b/ü.jpg", "a+b%2F%C3%BC.jpg", server.user, server.endpoint,
                       "agent", size=5, etag="5d41402abc4b2a76b9719d911017c592", content_type="image/jpeg",
                       metadata={"content-type": "image/jpeg"})
    assert expected.fullmatch(m.body), m.body
    assert m.key == "images/a b/ü.jpg" and m.headers == {}


def test_any_key(make_server, kafka):
    """Created, overwritten, deleted; the message's key is the raw one, and each key's events come in order."""
    topic = Topic(kafka)
    server = make_server(env=kafka_env(kafka, topic)).start()
    s3 = notify(server)
    for body in (b"one", b"three"):
        for key in ODD_KEYS:
            assert s3.put("images", key, body).status == 200
    for key in ODD_KEYS:
        assert s3.delete("images", key).status == 204
    found = topic.wait(3 * len(ODD_KEYS))
    assert len(found) == 3 * len(ODD_KEYS)
    assert_in_order(found)
    for key in ODD_KEYS:
        mine = [m for m in found if m.key == f"images/{key}"]
        assert [m.event for m in mine] == ["s3:ObjectCreated:Put"] * 2 + ["s3:ObjectRemoved:Delete"]
        assert [m.record["s3"]["object"].get("size") for m in mine] == [3, 5, None]


# sarama: int32(fnv1a(key)) % 7, without its sign; Kafka's own clients: (murmur2(key) & 0x7fffffff) % 7
def fnv1a(key):
    h = 0x811C9DC5
    for byte in key.encode():
        h = (h ^ byte) * 0x01000193 & 0xFFFFFFFF
    return abs(h - (1 << 32) if h >> 31 else h)


def murmur2(key):
    data, mask, m = key.encode(), 0xFFFFFFFF, 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    for i in range(0, len(data) - 3, 4):
        k = int.from_bytes(data[i:i + 4], "little") * m & mask
        h = h * m & mask ^ (k ^ k >> 24) * m & mask
    rest = data[len(data) & ~3:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF


@pytest.mark.parametrize("partitioner,hashed", [("minio", fnv1a), ("java", murmur2)])
def test_partitions(make_server, kafka, admin, partitioner, hashed):
    topic = make_topic(admin, Topic(kafka), 7)
    server = make_server(env=kafka_env(kafka, topic, partitioner=partitioner)).start()
    s3 = notify(server)
    for i in range(50):
        assert s3.put("images", f"k{i}", b"x").status == 200
    found = topic.wait(50)
    assert {m.key: m.partition for m in found} == {f"images/k{i}": hashed(f"images/k{i}") % 7 for i in range(50)}
    assert len({m.partition for m in found}) == 7


def test_compression_and_cloudevents(make_server, kafka):
    codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
    topics = {c: Topic(kafka) for c in codecs}
    env = {}
    for c in codecs:
        env |= kafka_env(kafka, topics[c], c, producer_compression_codec=c.upper(), producer_compression_level="3",
                         payload="cloudevents", acks="leader", batch_size="100", batch_commit_timeout="1m")
    server = make_server(env=env).start()
    s3 = notify(server, *codecs)
    assert s3.put("images", "ü.jpg", b"x").status == 200
    for t in topics.values():
        (m,) = t.wait(1)
        h = m.headers
        assert len(h.pop("ce_id")) == 16
        assert h.pop("ce_time") == m.record["eventTime"]
        assert h == {"content-type": "application/json", "ce_specversion": "1.0", "ce_type": "com.amazonaws.s3.ObjectCreated:Put",
                     "ce_source": "minio:s3..images", "ce_subject": "ü.jpg"}


# -- logins and TLS -------------------------------------------------------------------------------------

@pytest.fixture
def trusting(tmp_path):
    """Arguments of a server that trusts the broker's CA."""
    def make(broker):
        (tmp_path / "certs" / "CAs").mkdir(parents=True)
        shutil.copy(broker.tls("ca.crt"), tmp_path / "certs" / "CAs")
        return ["--certs-dir", str(tmp_path / "certs")]
    return make


def ways(broker):
    """Every way in: name → port and keys."""
    client = {"client_tls_cert": broker.tls("client.crt"), "client_tls_key": broker.tls("client.key")}
    out = {"tls": {"extra": TLS, "tls": "on", "host": "localhost"}, "mutual": {"extra": MUTUAL, "tls": "on", **client}}
    for mechanism in ("plain", "sha256", "sha512"):
        out[mechanism] = {"extra": SASL, **login(mechanism)}
        out[mechanism + "-tls"] = {"extra": SASL_TLS, "tls": "on", **login(mechanism)}
    return out


@pytest.mark.parametrize("version", ["kafka", pytest.param("kafka4", marks=pytest.mark.long)])
def test_ways_in(make_server, start_broker, trusting, version):
    broker = start_broker("kafka", **({} if version == "kafka" else {"KAFKA": version}))
    topics = {name: Topic(broker) for name in ways(broker)}
    env = {}
    for name, keys in ways(broker).items():
        env |= kafka_env(broker, topics[name], name, **keys)
    server = make_server(env=env, args=trusting(broker)).start()
    s3 = notify(server, *topics)
    assert s3.put("images", "k", b"x").status == 200
    for topic in topics.values():
        assert [m.key for m in topic.wait(1)] == ["images/k"]
    assert "alice-secret" not in server.log()


def test_certificates_are_verified(make_server, kafka):
    """Without the CA nothing is sent; with tls_skip_verify it is."""
    topic, skipped = Topic(kafka), Topic(kafka)
    env = kafka_env(kafka, topic, "1", extra=TLS, tls="on")
    server = make_server(env=env | kafka_env(kafka, skipped, "2", extra=TLS, tls="on", tls_skip_verify="on")).start()
    assert notify(server, "1", "2").put("images", "k", b"x").status == 200
    skipped.wait(1)
    wait_for(lambda: "not trusted or does not name this host; put the certificate of its CA into certs-dir/CAs" in server.log(), 20, "the reason")
    assert topic.messages() == []


WRONG = {  # port, keys, what is said
    "password": (SASL, login(sasl_password="wrong-secret"), "it refuses the login: check sasl_username.*MINIO_NOTIFY_KAFKA_SASL_USERNAME_password"),
    "scram": (SASL, login("sha512", sasl_password="wrong-secret"), "it refuses the login"),
    "user": (SASL_TLS, login("sha256", tls="on", sasl_username="nobody"), "it refuses the login"),
    "nocert": (MUTUAL, {"tls": "on"}, "MINIO_NOTIFY_KAFKA_CLIENT_TLS_CERT_nocert"),
    "foreign": (MUTUAL, {"tls": "on", "client_tls_cert": "bad.crt", "client_tls_key": "bad.key"}, "client certificate"),
    "nofile": (TLS, {"tls": "on", "client_tls_cert": "/nowhere/c.pem", "client_tls_key": "/nowhere/k.pem"}, "/nowhere/c.pem"),
    "notls": (TLS, {}, "MINIO_NOTIFY_KAFKA_TLS_notls"),
    "astls": (0, {"tls": "on"}, "MINIO_NOTIFY_KAFKA_TLS_astls"),
    "nosasl": (SASL, {}, "MINIO_NOTIFY_KAFKA_SASL"),
    "topic": (0, {"topic": "no such/topic"}, "cannot be the name of a topic"),
    "name": (0, {"brokers": "no-such-host.invalid:9092"}, "no-such-host.invalid:9092: its name (cannot be|is not) resolved"),
    "nobody": (0, {"brokers": "127.0.0.1:1"}, "127.0.0.1:1: cannot connect: Connection refused"),
}


def test_what_is_wrong(make_server, kafka, trusting):
    """Each wrong setting by itself: what is said of it names it, no secret; the event waits; with the right one it comes."""
    env, topic = {}, Topic(kafka)
    for name, (extra, keys, _) in WRONG.items():
        keys = {k: kafka.tls(v) if v.startswith("bad.") else v for k, v in keys.items()}
        env |= kafka_env(kafka, keys.pop("topic", topic), name, extra=extra, **keys)
    server = make_server(env=env, args=trusting(kafka)).start()
    assert notify(server, *WRONG).put("images", "k", b"x").status == 200
    for name, (_, _, said) in WRONG.items():
        wait_for(lambda: re.search(said, reason(server, name)), 20, f"{name}: {said}")
    assert "secret" not in server.log().replace("test-secret", "")
    assert topic.messages() == []
    server.env = {}
    for name in WRONG:
        server.env |= kafka_env(kafka, topic, name)
    server.restart()
    wait_for(lambda: len(topic.messages()) >= len(WRONG), 30, "the event from each")


# -- the topic ------------------------------------------------------------------------------------------

def test_a_topic_that_goes_away(make_server, kafka, admin):
    """It is made again by the brokers (auto.create.topics.enable); what comes meanwhile waits for that."""
    topic = make_topic(admin, Topic(kafka))
    server = make_server(env=kafka_env(kafka, topic)).start()
    s3 = notify(server)
    assert s3.put("images", "before", b"x").status == 200
    topic.wait(1)
    admin.delete_topics([topic.name])
    for i in range(20):
        assert s3.put("images", f"k{i}", b"x").status == 200
    wait_for(lambda: {m.key for m in topic.messages()} == {f"images/k{i}" for i in range(20)}, 40, "the events after that")


def test_one_that_is_too_large(make_server, kafka, admin):
    """The broker refuses it by itself: it becomes a dead letter, all others arrive, though they were in one batch with it."""
    topic = make_topic(admin, Topic(kafka), max_message_bytes="3000")
    server = make_server(env=kafka_env(kafka, topic))
    kafka.freeze()      # so that all go in one batch
    try:
        server.start()
        s3 = notify(server)
        for i in range(30):
            extra = {"x-amz-meta-large": "v" * 1900} if i == 11 else {}
            assert s3.put("images", ("L" * 900 if i == 11 else f"k{i}"), b"x", extra).status == 200
    finally:
        kafka.thaw()
    wait_for(lambda: {m.key for m in topic.messages()} == {f"images/k{i}" for i in range(30) if i != 11}, 60, "the small ones")
    wait_for(lambda: "becomes a dead letter" in server.log() and "max.message.bytes" in server.log(), 20, "the dead letter")
