# SPDX-License-Identifier: Apache-2.0
"""The NATS target against real servers: core, JetStream, NATS Streaming; records, logins, TLS."""
import contextlib
import json
import re
import shutil
import urllib.request
import uuid

import pytest
from support.nats import CLUSTER, Consumer, Stream, logins, nats_env, trusting
from support.rawhttp import ConnectionEnded
from support.record import pattern
from support.s3raw import arn, rule
from support.wait import holds_for, wait_for

pytestmark = pytest.mark.brokers
ARN = arn("1", "nats")
ODD_KEYS = ["plain.jpg", "with blank", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>", "tail/",
            "k" * 1024, "back\\slash", "\u2028line"]


def notify(server, *events, target=ARN, bucket="images", **filters):
    server.s3.make_bucket(bucket)
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, rule(target, *events, **filters)).status == 200
    return server.s3


@pytest.fixture
def subject():
    return "events." + uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def broker(start_broker):
    return start_broker("nats")


@pytest.fixture(scope="module")
def stan(start_broker):
    return start_broker("stan")


def assert_in_order(events):
    """Of each odd key one creation and one removal, in this order."""
    for key in ODD_KEYS:
        mine = [e for e in events if e.key == f"images/{key}"]
        assert [e.name for e in mine] == ["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"]
        assert mine[0].sequencer < mine[1].sequencer


def test_core(make_server, broker, subject):
    server = make_server(env=nats_env(broker, subject=subject)).start()
    s3 = notify(server)
    with Consumer(broker, subject) as c:
        for key in ODD_KEYS:
            assert s3.put("images", key, b"one").status == 200
            assert s3.put("images", key, b"three").status == 200
            assert s3.delete("images", key).status == 204
        events = c.wait(3 * len(ODD_KEYS))
    for key in ODD_KEYS:
        mine = [e for e in events if e.key == f"images/{key}"]
        assert [e.name for e in mine] == ["s3:ObjectCreated:Put", "s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"]
        assert [e.record["s3"]["object"].get("size") for e in mine] == [3, 5, None]
        assert sorted(mine, key=lambda e: e.sequencer) == mine


def test_jetstream(make_server, broker, subject):
    """In the stream, each key's in order, each with an id of its own, by which the server drops repeats."""
    stream = Stream(broker, subject).add()
    server = make_server(env=nats_env(broker, subject=subject, jetstream="on")).start()
    s3 = notify(server)
    for key in ODD_KEYS:
        assert s3.put("images", key, b"one").status == 200
        assert s3.delete("images", key).status == 204
    events = stream.wait(2 * len(ODD_KEYS))
    assert_in_order(events)
    ids = [m.headers["Nats-Msg-Id"] for m in stream.messages()]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"belfry-1-[0-9A-F]{16}-[0-9A-F]{16}", i) for i in ids)
    assert ids[0].split("-")[2] == events[0].sequencer


def test_jetstream_drops_repeats(make_server, broker, subject, tmp_path):
    """What a crash makes come again is not stored again."""
    stream = Stream(broker, subject).add()
    server = make_server(env=nats_env(broker, subject=subject, jetstream="on"))
    server.start(extra_env={"BELFRY_CRASH_AT": "event-sent:3"})
    s3 = notify(server)
    sent = 0
    with contextlib.suppress(OSError, ConnectionEnded):
        for i in range(100):
            assert s3.put("images", f"k{i}", b"x").status == 200
            sent += 1
    assert server.process.wait(20) != 0
    server.process = None
    server.start()
    stream.wait(sent)
    assert server.s3.put("images", "last", b"x").status == 200
    wait_for(lambda: stream.events()[-1].key == "images/last", 20, "the last event")
    keys = [e.key for e in stream.events()]
    assert len(keys) == len(set(keys)) and {f"images/k{i}" for i in range(sent)} <= set(keys)


@pytest.mark.parametrize("keys", [{}, {"streaming_async": "on"},
                                  {"streaming_async": "on", "streaming_max_pub_acks_in_flight": "10"}], ids=["one", "async", "ten"])
def test_streaming(make_server, stan, subject, keys):
    server = make_server(env=nats_env(stan, subject=subject, streaming="on", streaming_cluster_id=CLUSTER, **keys)).start()
    s3 = notify(server)
    for key in ODD_KEYS:
        assert s3.put("images", key, b"one").status == 200
        assert s3.delete("images", key).status == 204
    with Consumer(stan, subject, "stan") as c:
        assert_in_order(c.wait(2 * len(ODD_KEYS)))


def test_the_record(make_server, broker, subject):
    stream = Stream(broker, subject).add()
    server = make_server(env=nats_env(broker, subject=subject)).start()
    s3 = notify(server)
    assert s3.put("images", "a b/ü.jpg", b"hello", {"Content-Type": "image/jpeg", "User-Agent": "agent"}).status == 200
    stream.wait(1)
    body = stream.messages()[0].data.decode()
    assert pattern("s3:ObjectCreated:Put", "images", "a b/ü.jpg", "a+b%2F%C3%BC.jpg", server.user, server.endpoint, "agent",
                   size=5, etag="5d41402abc4b2a76b9719d911017c592", content_type="image/jpeg",
                   metadata={"content-type": "image/jpeg"}).fullmatch(body), body


# -- logins -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("auth", ["userpass", "token", "nkey", "creds"])
def test_logins(make_server, start_broker, subject, auth):
    """With the right one an event arrives; without, it waits, and it is said what to set, without the secret."""
    broker = start_broker("nats", AUTH=auth)
    keys, login = logins(broker, auth)
    server = make_server(env=nats_env(broker, subject=subject)).start()
    s3 = notify(server)
    assert s3.put("images", "k", b"x").status == 200
    wait_for(lambda: re.search(r"offline: .*MINIO_NOTIFY_NATS_\w+_1", server.log()), 20, "the refusal")
    server.env = nats_env(broker, subject=subject, **keys)
    with Consumer(broker, subject, **login) as c:
        server.restart()
        c.wait_keys({"images/k"})
    assert "alice-secret" not in server.log()


WRONG = {"userpass": {"username": "alice", "password": "wrong-secret"}, "token": {"token": "wrong-secret"}}


@pytest.mark.parametrize("auth", WRONG)
def test_wrong_logins(make_server, start_broker, subject, auth):
    broker = start_broker("nats", AUTH=auth)
    server = make_server(env=nats_env(broker, subject=subject, **WRONG[auth])).start()
    wait_for(lambda: re.search("offline: .*Authorization Violation.*the login is refused", server.log(), re.I), 20, "the refusal")
    assert "wrong-secret" not in server.log()


@pytest.mark.parametrize("auth", ["userpass", "token"])
def test_streaming_logins(make_server, start_broker, subject, auth):
    stan = start_broker("stan", AUTH=auth)
    keys, login = logins(stan, auth)
    server = make_server(env=nats_env(stan, subject=subject, streaming="on", streaming_cluster_id=CLUSTER, **keys)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    with Consumer(stan, subject, "stan", **login) as c:
        c.wait_keys({"images/k"})


# -- TLS ------------------------------------------------------------------------------------------------

def certs_dir(tmp_path, broker, ca="ca.crt"):
    (tmp_path / "certs" / "CAs").mkdir(parents=True)
    shutil.copy(broker.tls(ca), tmp_path / "certs" / "CAs" / "ca.crt")
    return ["--certs-dir", str(tmp_path / "certs")]


def arrives(make_server, broker, subject, context, args=(), **keys):
    server = make_server(env=nats_env(broker, subject=subject, **keys), args=list(args)).start()
    with Consumer(broker, subject, tls=context) as c:
        s3 = notify(server)
        for i in range(50):
            assert s3.put("images", f"k{i}", b"x" * 100).status == 200
        c.wait_keys({f"images/k{i}" for i in range(50)})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("by", ["CAs", "cert_authority"])
def test_tls(make_server, start_broker, subject, tmp_path, host, by):
    broker = start_broker("nats", TLS="1")
    keys = {"tls": "on", "address": f"{host}:{broker.port}"}
    args = certs_dir(tmp_path, broker) if by == "CAs" else []
    if by == "cert_authority":
        keys["cert_authority"] = broker.tls("ca.crt")
    arrives(make_server, broker, subject, trusting(broker.tls("ca.crt")), args, **keys)


def test_mutual_tls(make_server, start_broker, subject, tmp_path):
    broker = start_broker("nats", TLS="mutual")
    pair = {"client_cert": broker.tls("client.crt"), "client_key": broker.tls("client.key")}
    context = trusting(broker.tls("ca.crt"), *pair.values())
    arrives(make_server, broker, subject, context, certs_dir(tmp_path, broker), tls="on", **pair)


def test_skip_verify_skips(make_server, start_broker, subject):
    broker = start_broker("nats", TLS="1")
    arrives(make_server, broker, subject, trusting(broker.tls("ca.crt")), tls="on", tls_skip_verify="on")


REFUSED_TLS = {"unknown": ("1", {}, "certificate.*certs-dir/CAs"),
               "name": ("1", {"address": "127.1"}, "does not name this host"),
               "no-certificate": ("mutual", {}, "MINIO_NOTIFY_NATS_CLIENT_CERT_1"),
               "foreign": ("mutual", {"client": "bad"}, "MINIO_NOTIFY_NATS_CLIENT_CERT_1")}


@pytest.mark.parametrize("case", REFUSED_TLS)
def test_refused_tls(make_server, start_broker, subject, tmp_path, case):
    kind, keys, reason = REFUSED_TLS[case]
    broker = start_broker("nats", TLS=kind)
    more = {"tls": "on", "address": f"{keys.get('address', 'localhost')}:{broker.port}"}
    if "client" in keys:
        more.update(client_cert=broker.tls(keys["client"] + ".crt"), client_key=broker.tls(keys["client"] + ".key"))
    args = [] if case == "unknown" else certs_dir(tmp_path, broker)
    server = make_server(env=nats_env(broker, subject=subject, **more), args=args).start()
    wait_for(lambda: re.search("offline: .*" + reason, server.log()), 20, reason + " in the log")


def test_tls_where_there_is_none(make_server, broker, subject):
    server = make_server(env=nats_env(broker, subject=subject, tls="on")).start()
    wait_for(lambda: re.search("offline: .*speaks no TLS.*MINIO_NOTIFY_NATS_TLS_1", server.log()), 20, "the reason")


def test_streaming_tls(make_server, start_broker, subject, tmp_path):
    stan = start_broker("stan", TLS="1")
    server = make_server(env=nats_env(stan, subject=subject, streaming="on", streaming_cluster_id=CLUSTER, tls="on"),
                         args=certs_dir(tmp_path, stan)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    with Consumer(stan, subject, "stan", tls=trusting(stan.tls("ca.crt"))) as c:
        c.wait_keys({"images/k"})


# -- settings -----------------------------------------------------------------------------------------

BAD = [({"address": "nats://127.0.0.1:1"}, "without a scheme"), ({"subject": ""}, "SUBJECT_1 is not set"),
       ({"subject": "a.*"}, "wildcards"), ({"username": "alice"}, "must be specified as a pair"),
       ({"client_cert": "/c"}, "set together"), ({"tls_handshake_first": "on"}, "needs tls=on"),
       ({"streaming": "on"}, "empty cluster id"),
       ({"streaming": "on", "streaming_cluster_id": "c", "jetstream": "on"}, "cannot both be on")]


@pytest.mark.parametrize("keys,reason", BAD, ids=[reason for _, reason in BAD])
def test_bad_settings(make_server, broker, subject, keys, reason):
    """The server starts and says what is wrong."""
    server = make_server(env=nats_env(broker, **{"subject": subject, **keys})).start()
    wait_for(lambda: re.search(f"settings are wrong.*{re.escape(reason)}", server.log()), 10, reason)


def test_unreadable_files(make_server, broker, tmp_path):
    """Files that are not there, or not what they should be, are named."""
    (tmp_path / "seed").write_text("nothing of the kind\n")
    env = {}
    for name, keys in {"s": {"nkey_seed": str(tmp_path / "seed")}, "n": {"nkey_seed": str(tmp_path / "none")},
                       "c": {"user_credentials": str(tmp_path / "none")}, "a": {"cert_authority": str(tmp_path / "none")},
                       "k": {"client_cert": str(tmp_path / "none"), "client_key": str(tmp_path / "none")}}.items():
        env.update(nats_env(broker, name, **keys))
    server = make_server(env=env).start()
    for pattern_ in ("nats:s: offline: .*without the seed of a user", "nats:n: offline: .*nkey_seed .* cannot be read: No such file",
                     "nats:c: offline: .*user_credentials .* cannot be read: No such file",
                     "nats:a: offline: .*the CA certificate .* cannot be used", "nats:k: offline: .*client_cert .* cannot be used"):
        wait_for(lambda p=pattern_: re.search(p, server.log()), 20, pattern_)


def test_it_names_itself_and_pings(make_server, broker, subject):
    """By its name in the server's list of connections."""
    make_server(env=nats_env(broker, subject=subject, ping_interval="1s")).start()

    def mine():
        with urllib.request.urlopen(f"http://127.0.0.1:{broker.port + 1}/connz", timeout=10) as f:
            return [c for c in json.load(f)["connections"] if c.get("name") == "Belfry"]
    wait_for(lambda: len(mine()) == 1, 20, "the connection's name")


# -- what goes wrong ----------------------------------------------------------------------------------

def test_too_large_for_the_server(make_server, start_broker, subject):
    """One event that is beyond max_payload becomes a dead letter; the others go on."""
    broker = start_broker("nats", PAYLOAD="2048")
    server = make_server(env=nats_env(broker, subject=subject)).start()
    s3 = notify(server)
    with Consumer(broker, subject) as c:
        for i in range(10):
            assert s3.put("images", f"a{i}", b"x").status == 200
        big = {f"x-amz-meta-{n}": "v" * 300 for n in range(5)}
        assert s3.put("images", "big", b"x", big).status == 200
        for i in range(10):
            assert s3.put("images", f"b{i}", b"x").status == 200
        c.wait_keys({f"images/{x}{i}" for x in "ab" for i in range(10)})
    wait_for(lambda: "the server's max_payload is 2048" in server.log(), 20, "the reason")


def test_no_stream(make_server, broker, subject):
    """Without a stream events wait, and it is said what is missing; with it they arrive; again so when it is removed."""
    server = make_server(env=nats_env(broker, subject=subject, jetstream="on")).start()
    s3 = notify(server)
    assert s3.put("images", "k", b"x").status == 200
    wait_for(lambda: re.search("offline: .*no stream takes this subject", server.log()), 20, "the reason")
    stream = Stream(broker, subject).add()
    assert [e.key for e in stream.wait(1)] == ["images/k"]
    stream.delete()
    assert s3.put("images", "l", b"x").status == 200
    holds_for(lambda: True, 0.3, "time to fail")
    assert [e.key for e in stream.add().wait(1)] == ["images/l"]


def test_a_full_stream(make_server, broker, subject):
    stream = Stream(broker, subject, max_msgs=2, discard="new").add()
    server = make_server(env=nats_env(broker, subject=subject, jetstream="on")).start()
    s3 = notify(server)
    for i in range(4):
        assert s3.put("images", f"k{i}", b"x").status == 200
    stream.wait(2)
    holds_for(lambda: stream.count() == 2, 1, "no more than fits")
    stream.purge()
    wait_for(lambda: {e.key for e in stream.events()} == {"images/k2", "images/k3"}, 60, "the others")


@pytest.mark.parametrize("mode", ["core", "jetstream", "streaming"])
def test_away(make_server, start_broker, subject, mode):
    """Away at the start, killed in the middle, back with its data: every event arrives."""
    broker = start_broker("stan" if mode == "streaming" else "nats", HEAP="away")
    keys = {"jetstream": {"jetstream": "on"}, "core": {},
            "streaming": {"streaming": "on", "streaming_async": "on", "streaming_cluster_id": CLUSTER}}[mode]
    stream = Stream(broker, subject).add() if mode != "streaming" else None
    broker.stop()
    server = make_server(env=nats_env(broker, subject=subject, **keys)).start()
    s3 = notify(server)
    put = 0
    for action in (broker.start, broker.kill, broker.start, broker.kill, broker.start):
        for _ in range(150):
            assert s3.put("images", f"k{put}", b"x").status == 200
            put += 1
        action()
    want = {f"images/k{i}" for i in range(put)}
    if stream:
        wait_for(lambda: stream.count() >= put, 60, "all events")
        keys = [e.key for e in stream.events()]
    else:
        with Consumer(broker, subject, "stan") as c:
            keys = [e.key for e in c.wait_keys(want, 60)]
    assert set(keys) == want
    if mode == "jetstream":
        assert len(keys) == len(want), "repeats are dropped by their ids"


@pytest.mark.long
def test_a_frozen_server(make_server, start_broker, subject):
    """It keeps its connections and answers nothing: noticed, and what was out goes again."""
    broker = start_broker("nats", HEAP="away")
    server = make_server(env=nats_env(broker, subject=subject)).start()
    s3 = notify(server)
    with Consumer(broker, subject) as c:
        assert s3.put("images", "before", b"x").status == 200
        c.wait(1)
        broker.freeze()
        try:
            for i in range(20):
                assert s3.put("images", f"k{i}", b"x").status == 200
            wait_for(lambda: re.search("offline: .*in time", server.log()), 40, "the silence to be noticed")
        finally:
            broker.thaw()
        c.wait_keys({"images/before"} | {f"images/k{i}" for i in range(20)}, 60)
