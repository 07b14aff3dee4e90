# SPDX-License-Identifier: Apache-2.0
"""The Redis target against a real redis-server: both formats, its keys, logins, TLS."""
import json
import re
import shutil
import threading
import uuid

import pytest
from support.certs import Authority
from support.record import pattern
from support.redis import Redis, client_context, redis_env
from support.ops import delete_body, delete_many
from support.s3raw import arn, rule
from support.server import run
from support.wait import holds_for, wait_for
from test_commands import belfry, status

ARN = arn("1", "redis")


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """One Redis for the tests that do not mistreat it; each has a key of its own."""
    with Redis(tmp_path_factory.mktemp("redis"), durable=False) as r:
        yield r


@pytest.fixture
def own_redis(tmp_path):
    made = []

    def make(*args, **kwargs):
        r = Redis(tmp_path / f"redis{len(made)}", *args, **kwargs)
        made.append(r)
        return r

    yield make
    for r in made:
        r.kill()


def notify(server, bucket="images", *events, target=ARN, **filters):
    server.s3.make_bucket(bucket)
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, rule(target, *events, **filters)).status == 200
    return server.s3


ODD_KEYS = ["plain.jpg", "with blank", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>", "tail/",
            "k" * 1024, "back\\slash", "{\"Records\":[]}", "*?[a]", "\u2028line"]


def test_paused(make_server, redis):
    """Nothing is sent, and the connection is given up, until it is resumed."""
    server = make_server(env=redis_env(redis, key="paused")).start()
    s3 = notify(server)
    assert s3.put("images", "before", b"x").status == 200
    redis.wait_hash(["images/before"], key="paused")
    belfry(server, "target", "pause", "1:redis")
    assert s3.put("images", "meanwhile", b"x").status == 200
    wait_for(lambda: status(server, "1:redis")["queued"] == 1, 10, "the event to wait")
    holds_for(lambda: redis("HLEN", "paused") == 1, 0.3, "nothing to be sent")
    belfry(server, "target", "resume", "1:redis")
    redis.wait_hash(["images/before", "images/meanwhile"], key="paused")


@pytest.mark.sanitize
def test_namespace_mirrors_the_objects(make_server, redis):
    server = make_server(env=redis_env(redis, key="mirror")).start()
    s3 = notify(server)
    for key in ODD_KEYS:
        assert s3.put("images", key, b"one", {"x-amz-meta-n": "1"}).status == 200
    fields = redis.wait_hash([f"images/{k}" for k in ODD_KEYS], key="mirror")
    first = {f: r["s3"]["object"]["sequencer"] for f, r in fields.items()}
    for key in ODD_KEYS:
        assert s3.put("images", key, b"three", {"x-amz-meta-n": "2"}).status == 200
    wait_for(lambda: all(r["s3"]["object"].get("size") == 5 for r in redis.hash("mirror").values()), 20, "the newer records")
    for field, record in redis.hash("mirror").items():
        assert record["s3"]["object"]["sequencer"] > first[field]
        assert record["s3"]["object"]["userMetadata"]["X-Amz-Meta-N"] == "2"
    for key in ODD_KEYS[::2]:
        assert s3.delete("images", key).status == 204
    redis.wait_hash([f"images/{k}" for k in ODD_KEYS[1::2]], key="mirror")
    assert delete_many(s3, "images", delete_body([k for k in ODD_KEYS[1::2] if k != "\u2028line"])).status == 200
    wait_for(lambda: redis("TYPE", "mirror") == "none", 20, "the empty hash to be gone")


def test_the_value_is_the_record(make_server, redis):
    """Byte for byte what the webhook envelope holds, in the envelope of each format."""
    env = dict(redis_env(redis, "n", key="value-n"), **redis_env(redis, "a", key="value-a", format="access"))
    server = make_server(env=env).start()
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", rule(arn("n", "redis"), "s3:ObjectCreated:*"),
                               rule(arn("a", "redis"), "s3:ObjectCreated:*")).status == 200
    assert server.s3.put("images", "a b/ü.jpg", b"hello", {"Content-Type": "image/jpeg", "User-Agent": "agent"}).status == 200
    wait_for(lambda: redis("HLEN", "value-n") == 1 and redis("LLEN", "value-a") == 1, 20, "both")
    value = redis("HGET", "value-n", "images/a b/ü.jpg").decode()
    envelope = '{"EventName":"s3:ObjectCreated:Put","Key":"images/a b/ü.jpg",' + value[1:]
    expected = pattern("s3:ObjectCreated:Put", "images", "a b/ü.jpg", "a+b%2F%C3%BC.jpg", server.user, server.endpoint,
                       "agent", size=5, etag="5d41402abc4b2a76b9719d911017c592", content_type="image/jpeg",
                       metadata={"content-type": "image/jpeg"})
    found = expected.fullmatch(envelope)
    assert found, envelope
    record = value[len('{"Records":['):-len("]}")]
    assert redis("LINDEX", "value-a", 0).decode() == f'[{{"Event":[{record}],"EventTime":"{found["time"]}"}}]'


@pytest.mark.sanitize
def test_access_is_a_journal(make_server, redis):
    server = make_server(env=redis_env(redis, key="journal", format="access")).start()
    s3 = notify(server, "images", "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*")
    assert s3.put("images", "k", b"1").status == 200
    assert s3.get("images", "k").status == 200
    assert s3.put("images", "k", b"2").status == 200
    assert s3.delete("images", "k").status == 204
    assert s3.delete("images", "k").status == 204
    items = redis.wait_list(5, key="journal")
    assert sorted(i.event for i in items) == ["s3:ObjectAccessed:Get", "s3:ObjectCreated:Put", "s3:ObjectCreated:Put",
                                              "s3:ObjectRemoved:Delete", "s3:ObjectRemoved:NoOP"]
    changes = [i.event for i in items if "Accessed" not in i.event]
    assert changes == ["s3:ObjectCreated:Put"] * 2 + ["s3:ObjectRemoved:Delete", "s3:ObjectRemoved:NoOP"]
    assert redis("BLPOP", "journal", 1)[0] == b"journal", "a consumer takes it from the left"


def test_every_removal_removes(make_server, redis):
    """NoOP means that nothing of that name is there: a row left over from before goes."""
    server = make_server(env=redis_env(redis, key="gone")).start()
    s3 = notify(server)
    redis("HSET", "gone", "images/left-over", "{}", "images/other", "{}")
    assert s3.delete("images", "left-over").status == 204
    wait_for(lambda: redis("HKEYS", "gone") == [b"images/other"], 20, "the row to go")


def test_late_reads_bring_nothing_back(make_server, redis):
    """Reads are told, but never of an object that is gone by then."""
    server = make_server(env=redis_env(redis, key="reads")).start()
    s3 = notify(server, "images", "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*")
    over = threading.Event()

    def reader(number):
        with server.raw() as c:
            while not over.is_set():
                for i in range(4):
                    assert s3.head("images", f"k{(i + number) % 4}", conn=c).status in (200, 404)

    threads = [threading.Thread(target=reader, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    with server.raw() as c:
        for i in range(200):
            assert s3.put("images", f"k{i % 4}", b"x", conn=c).status == 200
            assert s3.delete("images", f"k{i % 4}", conn=c).status == 204
        over.set()
        for t in threads:
            t.join()
        assert s3.put("images", "last", b"x", conn=c).status == 200
    redis.wait_hash(["images/last"], key="reads")
    holds_for(lambda: redis("HKEYS", "reads") == [b"images/last"], 0.5, "nothing else")
    assert s3.get("images", "last").status == 200
    wait_for(lambda: redis.hash("reads")["images/last"]["eventName"] == "s3:ObjectAccessed:Get", 20, "the read")


@pytest.mark.parametrize("text,kind", [("Access", "list"), ("ACCESS", "list"), ("NameSpace", "hash"), ("", "hash")])
def test_format_in_any_case(make_server, redis, text, kind):
    key = uuid.uuid4().hex
    server = make_server(env=redis_env(redis, key=key, format=text)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    wait_for(lambda: redis("TYPE", key) == kind, 20, kind)


def test_filters(make_server, redis):
    server = make_server(env=redis_env(redis, key="filtered")).start()
    s3 = notify(server, "images", "s3:ObjectCreated:*", prefix="in/", suffix=".jpg")
    for key in ("in/a.jpg", "in/b.png", "out/c.jpg", "in/d.jpg"):
        assert s3.put("images", key, b"x").status == 200
    redis.wait_hash(["images/in/a.jpg", "images/in/d.jpg"], key="filtered")


def test_a_target_without_a_name(make_server, redis):
    server = make_server(env=redis_env(redis, "", key="unnamed")).start()
    assert "arn:minio:sqs::_:redis" in server.log()
    assert notify(server, target=arn("_", "redis")).put("images", "k", b"x").status == 200
    redis.wait_hash(["images/k"], key="unnamed")


def test_it_names_itself(make_server, redis):
    make_server(env=redis_env(redis, key="named")).start()
    wait_for(lambda: b"name=Belfry" in redis("CLIENT", "LIST"), 20, "the client's name")


# -- settings ---------------------------------------------------------------------------------------

BAD = [({"address": "redis://127.0.0.1:1"}, "without a scheme"), ({"address": "127.0.0.1:0"}, "port"),
       ({"address": ""}, "ADDRESS_1 is not set"), ({"key": ""}, "KEY_1 is not set"), ({"format": "both"}, "namespace|access"),
       ({"client_cert": "/c"}, "set together"), ({"client_cert": "/c", "client_key": "/k"}, "tls=on"),
       ({"tls": "perhaps"}, "on or off"), ({"queue_dir": "relative"}, "absolute path")]


@pytest.mark.parametrize("keys,reason", BAD, ids=[reason for _, reason in BAD])
def test_bad_settings(make_server, redis, keys, reason):
    """The server starts, says what is wrong, and queues; with the right setting what was queued arrives."""
    key = keys.get("key", uuid.uuid4().hex)
    server = make_server(env=redis_env(redis, **{"key": key, **keys})).start()
    assert re.search(f"settings are wrong.*{re.escape(reason)}", server.log()), server.log()
    assert notify(server).put("images", "k", b"x").status == 200
    good = key or uuid.uuid4().hex
    server.env = redis_env(redis, key=good)
    server.restart()
    redis.wait_hash(["images/k"], key=good)


def test_the_help_has_the_keys():
    text = run("help", "notify_redis").stdout
    keys = re.findall(r"MINIO_NOTIFY_REDIS_(\w+)_<ID>", text)
    assert keys == ["ENABLE", "ADDRESS", "KEY", "FORMAT", "PASSWORD", "USER", "QUEUE_DIR", "QUEUE_LIMIT", "COMMENT", "TLS",
                    "TLS_SKIP_VERIFY", "CLIENT_CERT", "CLIENT_KEY", "QUEUE_FULL", "DEAD_LETTER_LIMIT"]


# -- logins -------------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_password(make_server, own_redis):
    redis = own_redis(password="yoursecret").start()
    server = make_server(env=redis_env(redis, password="yoursecret")).start()
    assert notify(server).put("images", "k", b"x").status == 200
    redis.wait_hash(["images/k"])
    assert "yoursecret" not in server.log()


def test_user_with_few_rights(make_server, own_redis):
    redis = own_redis("--user", "ann", "on", ">ann-secret", "~events", "+hset", "+hdel", durable=False).start()
    server = make_server(env=redis_env(redis, user="ann", password="ann-secret")).start()
    s3 = notify(server)
    assert s3.put("images", "k", b"x").status == 200
    assert s3.put("images", "l", b"x").status == 200
    redis.wait_hash(["images/k", "images/l"])
    assert s3.delete("images", "k").status == 204
    redis.wait_hash(["images/l"])


REFUSED = [({}, "NOAUTH", "MINIO_NOTIFY_REDIS_PASSWORD_1"),
           ({"password": "wrong-secret"}, "WRONGPASS", "MINIO_NOTIFY_REDIS_PASSWORD_1"),
           ({"user": "ann", "password": "wrong-secret"}, "WRONGPASS", "MINIO_NOTIFY_REDIS_PASSWORD_1"),
           ({"user": "nobody", "password": "yoursecret"}, "WRONGPASS", "MINIO_NOTIFY_REDIS_PASSWORD_1"),
           ({"user": "ann", "password": "ann-secret"}, "NOPERM", "MINIO_NOTIFY_REDIS_USER_1")]


@pytest.mark.parametrize("keys,error,variable", REFUSED, ids=["none", "wrong", "wrong-of-user", "no-such-user", "no-right"])
def test_refused_logins(make_server, own_redis, keys, error, variable):
    """It is said what is wrong and where to set it right, without the secret; the event waits for the right one."""
    redis = own_redis("--user", "ann", "on", ">ann-secret", "~other", "+@all", password="yoursecret", durable=False).start()
    server = make_server(env=redis_env(redis, **keys)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    wait_for(lambda: re.search(f"offline: .*{error}.*{variable}", server.log()), 20, f"{error} in the log")
    assert "secret" not in server.log().replace("test-secret", "")
    server.env = redis_env(redis, password="yoursecret")
    server.restart()
    redis.wait_hash(["images/k"])


def test_a_password_that_is_not_wanted(make_server, own_redis):
    redis = own_redis("--user", "default", "on", "nopass", "~*", "+@all", durable=False).start()
    server = make_server(env=redis_env(redis, password="yoursecret")).start()
    assert notify(server).put("images", "k", b"x").status == 200
    wait_for(lambda: re.search("offline: .*leave it out here", server.log()), 20, "the reason in the log")


# -- TLS ------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tls_dir(tmp_path_factory, authority):
    """certs-dir with the authority's certificate in CAs."""
    path = tmp_path_factory.mktemp("certs")
    (path / "CAs").mkdir()
    shutil.copy(authority.cert, path / "CAs" / "ca.crt")
    return str(path)


@pytest.fixture
def tls_redis(own_redis, authority):
    def make(clients="no", sans=("IP:127.0.0.1", "DNS:localhost"), name="redis"):
        cert, key = authority.issue(f"{name}-{uuid.uuid4().hex[:6]}", sans)
        mine = authority.issue("tester", client=True)
        return own_redis(tls=(cert, key, authority.cert, clients), durable=False,
                         client_tls=client_context_any(authority, mine)).start()
    return make


def client_context_any(authority, pair):
    """The test's own connection: trusts the authority, whatever the name."""
    context = client_context(authority, *pair)
    context.check_hostname = False
    return context


@pytest.mark.sanitize
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls(make_server, tls_redis, tls_dir, host):
    redis = tls_redis()
    server = make_server(env=redis_env(f"{host}:{redis.port}", tls="on"), args=["--certs-dir", tls_dir]).start()
    s3 = notify(server)
    for i in range(300):
        assert s3.put("images", f"k{i}", b"x" * 100).status == 200
    redis.wait_hash([f"images/k{i}" for i in range(300)])


@pytest.mark.sanitize
def test_mutual_tls(make_server, tls_redis, tls_dir, authority):
    redis = tls_redis(clients="yes")
    env = redis_env(redis, tls="on")
    server = make_server(env=env, args=["--certs-dir", tls_dir]).start()
    s3 = notify(server)
    assert s3.put("images", "k", b"x").status == 200
    wait_for(lambda: re.search("offline: .*MINIO_NOTIFY_REDIS_CLIENT_CERT_1", server.log()), 20, "the refusal")
    cert, key = authority.issue("belfry-client", client=True)
    server.env = dict(env, MINIO_NOTIFY_REDIS_CLIENT_CERT_1=cert, MINIO_NOTIFY_REDIS_CLIENT_KEY_1=key)
    server.restart()
    redis.wait_hash(["images/k"])


def test_mutual_tls_with_a_foreign_certificate(make_server, tls_redis, tls_dir, tmp_path):
    redis = tls_redis(clients="yes")
    cert, key = Authority(tmp_path / "other").issue("stranger", client=True)
    server = make_server(env=redis_env(redis, tls="on", client_cert=cert, client_key=key), args=["--certs-dir", tls_dir]).start()
    assert notify(server).put("images", "k", b"x").status == 200
    wait_for(lambda: "offline: " in server.log(), 20, "the refusal")
    assert redis("EXISTS", "events") == 0


def test_a_client_certificate_that_is_not_there(make_server, tls_redis, tls_dir):
    redis = tls_redis()
    env = redis_env(redis, tls="on", client_cert="/nowhere/c.pem", client_key="/nowhere/k.pem")
    server = make_server(env=env, args=["--certs-dir", tls_dir]).start()
    wait_for(lambda: re.search("offline: client_cert /nowhere/c.pem cannot be used", server.log()), 20, "the reason")


NOT_TRUSTED = [("no-ca", ("IP:127.0.0.1",), False, "certs-dir/CAs"), ("other-host", ("DNS:elsewhere.example",), True, "does not name"),
               ("other-address", ("IP:127.0.0.2",), True, "does not name")]


@pytest.mark.parametrize("sans,ca,reason", [c[1:] for c in NOT_TRUSTED], ids=[c[0] for c in NOT_TRUSTED])
def test_certificates_that_are_not_trusted(make_server, tls_redis, tls_dir, sans, ca, reason):
    redis = tls_redis(sans=sans)
    args = ["--certs-dir", tls_dir] if ca else []
    server = make_server(env=redis_env(redis, tls="on"), args=args).start()
    assert notify(server).put("images", "k", b"x").status == 200
    wait_for(lambda: re.search(f"offline: .*{reason}", server.log()), 20, "the reason")
    assert redis("EXISTS", "events") == 0
    server.env = redis_env(redis, tls="on", tls_skip_verify="on")
    server.restart()
    redis.wait_hash(["images/k"])


def test_tls_with_a_plain_server(make_server, redis):
    server = make_server(env=redis_env(redis, tls="on", key="never")).start()
    wait_for(lambda: re.search("offline: .*TLS", server.log()), 20, "the reason")


def test_plain_with_a_tls_server(make_server, tls_redis):
    redis = tls_redis()
    server = make_server(env=redis_env(redis)).start()
    wait_for(lambda: re.search("offline: .*if it expects TLS, set MINIO_NOTIFY_REDIS_TLS_1=on", server.log()), 20, "the reason")


# -- what a MinIO left behind --------------------------------------------------------------------------------

def test_queue_dir(make_server, redis, tmp_path):
    """The files of a MinIO's queue for this target are taken over at the start."""
    directory = tmp_path / "queue" / "minio-redis-1"
    directory.mkdir(parents=True)
    record = {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2025-01-02T03:04:05.678Z",
              "eventName": "s3:ObjectCreated:Put", "userIdentity": {"principalId": "old"}, "requestParameters": None,
              "responseElements": {}, "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config", "bucket": {
                  "name": "old", "ownerIdentity": {"principalId": "old"}, "arn": "arn:aws:s3:::old"},
                  "object": {"key": "a+b%2Fc", "size": 1, "sequencer": "1797000000000000"}},
              "source": {"host": "", "port": "", "userAgent": "old"}}
    (directory / f"{uuid.uuid4()}.event").write_text(json.dumps(record, separators=(",", ":")))
    make_server(env=redis_env(redis, key="taken", queue_dir=tmp_path / "queue")).start()
    assert redis.wait_hash(["old/a b/c"], key="taken")["old/a b/c"] == record
    wait_for(lambda: not list(directory.iterdir()), 10, "the file to be gone")
