# SPDX-License-Identifier: Apache-2.0
"""The Elasticsearch target against a real one: both formats, its keys, logins, TLS."""
import base64
import json
import os
import re
import shutil
import uuid

import pytest
from support.brokers import PASSWORD, USER
from support.elastic import Elastic, Stand, answer, elastic_env
from support.record import pattern
from support.s3raw import arn, rule
from support.server import run
from support.wait import wait_for

ARN = arn("1", "elasticsearch")
pytestmark = pytest.mark.brokers


@pytest.fixture(scope="module")
def elastic(start_broker):
    return Elastic(start_broker("elasticsearch"))


@pytest.fixture
def index():
    return uuid.uuid4().hex


def notify(server, bucket="images", *events, target=ARN, **filters):
    server.s3.make_bucket(bucket)
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, rule(target, *events, **filters)).status == 200
    return server.s3


ODD_KEYS = ["2026-02-01", "plain.jpg", "with blank", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>", "tail/",
            "k" * 1024, "back\\slash", "{\"Records\":[]}", "*?[a]", "\u2028line"]


def test_namespace_mirrors_the_objects(make_server, elastic, index):
    server = make_server(env=elastic_env(elastic, index=index)).start()
    s3 = notify(server)
    for key in ODD_KEYS:            # the first looks like a date: no type may be guessed by it
        assert s3.put("images", key, b"one", {"x-amz-meta-n": "1"}).status == 200
    first = elastic.wait_mirror([f"images/{k}" for k in ODD_KEYS], index)
    assert s3.put("images", "plain.jpg", b"other").status == 200
    wait_for(lambda: elastic.mirror(index)["images/plain.jpg"]["s3"]["object"]["size"] == 5, 20, "the overwrite")
    now = elastic.mirror(index)["images/plain.jpg"]
    assert now["s3"]["object"]["sequencer"] > first["images/plain.jpg"]["s3"]["object"]["sequencer"]
    for key in ODD_KEYS[:-1]:
        assert s3.delete("images", key).status == 204
    elastic.wait_mirror([f"images/{ODD_KEYS[-1]}"], index)


def test_the_record_field_by_field(make_server, elastic, index):
    server = make_server(env={**elastic_env(elastic, index=index), **elastic_env(elastic, "2", index=index + "a", format="access")}).start()
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", *[rule(arn(t, "elasticsearch"), "s3:ObjectCreated:*") for t in "12"]).status == 200
    assert server.s3.put("images", "a b.jpg", b"hello", {"Content-Type": "image/jpeg", "User-Agent": "agent"}).status == 200
    (one,), (two,) = elastic.wait_count(1, index), elastic.wait_count(1, index + "a")
    assert one.record == two.record, "both formats have the same body"
    record = json.dumps(one.record, separators=(",", ":"), ensure_ascii=False)
    envelope = f'{{"EventName":"s3:ObjectCreated:Put","Key":"images/a b.jpg","Records":[{record}]}}'
    expected = pattern("s3:ObjectCreated:Put", "images", "a b.jpg", "a+b.jpg", server.user, server.endpoint,
                       "agent", size=5, etag="5d41402abc4b2a76b9719d911017c592", content_type="image/jpeg",
                       metadata={"content-type": "image/jpeg"})
    assert expected.fullmatch(envelope), envelope


def test_the_id_is_that_of_minio(make_server, elastic, index):
    server = make_server(env=elastic_env(elastic, index=index)).start()
    s3 = notify(server)
    for key in ("myphoto.jpg", "gopher.jpg"):
        assert s3.put("images", key, b"x").status == 200
    elastic.wait_mirror(["images/myphoto.jpg", "images/gopher.jpg"], index)
    assert {d.key: d.id for d in elastic.records(index)} == {
        "images/myphoto.jpg": "p6Ki67qy3lCiC8S6O7Sqg45IYNdXdtxyGnAfASuSU2c=",
        "images/gopher.jpg": "JAH58L4VBIc562PCN4FP64NHmux7Mbjej6_r_kDfH4M="}


def test_access_is_a_journal(make_server, elastic, index):
    server = make_server(env=elastic_env(elastic, index=index, format="access")).start()
    s3 = notify(server, "images", "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*")
    assert s3.put("images", "k", b"1").status == 200
    assert s3.get("images", "k").status == 200
    assert s3.put("images", "k", b"2").status == 200
    for _ in range(2):
        assert s3.delete("images", "k").status == 204
    found = elastic.wait_count(5, index)
    assert sorted(d.event for d in found) == ["s3:ObjectAccessed:Get", "s3:ObjectCreated:Put", "s3:ObjectCreated:Put",
                                              "s3:ObjectRemoved:Delete", "s3:ObjectRemoved:NoOP"]
    assert len({d.id for d in found}) == 5


def test_a_minio_s_documents_go_on(make_server, elastic, index):
    """An index that a MinIO has filled, with versions Elasticsearch counted itself."""
    name = "p6Ki67qy3lCiC8S6O7Sqg45IYNdXdtxyGnAfASuSU2c="
    for _ in range(3):
        assert elastic("PUT", f"/{index}/_doc/{name}", {"Records": [{"old": True}]})[0] in (200, 201)
    server = make_server(env=elastic_env(elastic, index=index)).start()
    s3 = notify(server)
    assert s3.put("images", "myphoto.jpg", b"x").status == 200
    wait_for(lambda: "s3" in elastic.search(index)[0]["_source"]["Records"][0], 20, "the object's own record")
    elastic.wait_mirror(["images/myphoto.jpg"], index)
    assert s3.delete("images", "myphoto.jpg").status == 204
    wait_for(lambda: elastic.count(index) == 0, 20, "the removal")


# -- settings -----------------------------------------------------------------------------------------

BAD = [({"url": "tcp://127.0.0.1:1"}, "http"), ({"url": ""}, "URL_1 is not set"), ({"index": ""}, "INDEX_1 is not set"),
       ({"index": "Events"}, "lower case"), ({"username": "u"}, "set in pairs"), ({"api_key": "k", "username": "u", "password": "p"}, "together")]


@pytest.mark.parametrize("keys,reason", BAD, ids=[reason for _, reason in BAD])
def test_bad_settings(make_server, keys, reason):
    """The server starts, says what is wrong, and queues; with the right setting what was queued arrives."""
    with Stand() as stand:
        server = make_server(env=elastic_env(stand.url, **keys)).start()
        assert re.search(f"settings are wrong.*{re.escape(reason)}", server.log()), server.log()
        assert notify(server).put("images", "k", b"x").status == 200
        server.env = elastic_env(stand.url)
        server.restart()
        wait_for(lambda: len(stand.documents) == 1, 20, "the document")


def test_the_help_has_the_keys():
    keys = re.findall(r"MINIO_NOTIFY_ELASTICSEARCH_(\w+)_<ID>", run("help", "notify_elasticsearch").stdout)
    assert keys == ["ENABLE", "URL", "INDEX", "FORMAT", "QUEUE_DIR", "QUEUE_LIMIT", "USERNAME", "PASSWORD", "COMMENT", "API_KEY",
                    "CLIENT_CERT", "CLIENT_KEY", "QUEUE_FULL", "DEAD_LETTER_LIMIT"]


def test_an_api_key_without_x_elastic_product(make_server):
    """OpenSearch and what else answers _bulk; GET / is never asked for."""
    expected = "ApiKey " + base64.b64encode(b"id:api-secret").decode()
    with Stand() as stand:
        stand.on_request = lambda post: None if post.get("Authorization") == expected else answer(
            401, {"error": {"type": "security_exception", "reason": "missing credentials"}, "status": 401})
        server = make_server(env=elastic_env(stand.url, api_key="wrong-secret")).start()
        s3 = notify(server)
        assert s3.put("images", "k", b"x").status == 200
        wait_for(lambda: re.search("offline: .*401.*MINIO_NOTIFY_ELASTICSEARCH_USERNAME_1", server.log()), 20, "the refusal")
        assert "-secret" not in server.log().replace("test-secret", "")
        server.env = elastic_env(stand.url, api_key="id:api-secret")
        server.restart()
        wait_for(lambda: len(stand.documents) == 1, 20, "the document")
        assert all(p.path.startswith("/events") for p in stand.posts)


# -- each item's own status ------------------------------------------------------------------------------

def key_of(record):
    return record["Records"][0]["s3"]["object"]["key"] if record else None


def test_one_poisonous_record_of_many(make_server, elastic, index):
    """The index's mapping refuses one: it becomes a dead letter, the others arrive."""
    assert elastic("PUT", f"/{index}", {"mappings": {"dynamic": False, "properties": {"Records": {"properties": {"s3": {
        "properties": {"object": {"properties": {"size": {"type": "byte"}}}}}}}}}})[0] == 200
    server = make_server(env=elastic_env(elastic, index=index)).start()
    s3 = notify(server)
    for i in range(20):
        assert s3.put("images", f"k{i}", b"x" * (1000 if i == 7 else 10)).status == 200
    elastic.wait_mirror([f"images/k{i}" for i in range(20) if i != 7], index)
    wait_for(lambda: re.search(r"dead letter.*mapping does not take this record", server.log()), 20, "the dead letter")


def test_a_busy_item_comes_again_alone(make_server):
    turns = {"k3": 3}

    def busy(_op, _name, record):
        key = key_of(record)
        if turns.get(key, 0) > 0:
            turns[key] -= 1
            return 429, "es_rejected_execution_exception", "queue is full"
        return None

    with Stand() as stand:
        stand.on_item = busy
        server = make_server(env=elastic_env(stand.url, format="access")).start()
        s3 = notify(server)
        for i in range(10):
            assert s3.put("images", f"k{i}", b"x").status == 200
        wait_for(lambda: len(stand.documents) == 10, 30, "all")
        assert turns["k3"] == 0


def test_a_late_request_changes_nothing(make_server):
    """One that was given up here, and is carried out after all that followed it."""
    with Stand() as stand:
        server = make_server(env=elastic_env(stand.url)).start()
        s3 = notify(server)
        assert s3.put("images", "k", b"1").status == 200
        wait_for(lambda: len(stand.documents) == 1, 20, "the document")
        late = next(p for p in stand.posts if "_bulk" in p.path)
        assert s3.put("images", "k", b"22").status == 200
        wait_for(lambda: next(iter(stand.documents.values()))[1]["Records"][0]["s3"]["object"]["size"] == 2, 20, "the second")
        items = json.loads(stand._behave(late).body)["items"]
        assert items[0]["index"]["status"] == 409
        assert next(iter(stand.documents.values()))[1]["Records"][0]["s3"]["object"]["size"] == 2


# -- logins and TLS ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def secure(start_broker):
    return Elastic(start_broker("elasticsearch", AUTH="1", TLS="mutual"))


@pytest.fixture
def certs(secure, tmp_path):
    (tmp_path / "certs" / "CAs").mkdir(parents=True)
    shutil.copy(secure.broker.tls("ca.crt"), tmp_path / "certs" / "CAs" / "ca.crt")
    return ["--certs-dir", str(tmp_path / "certs")]


def mine(secure):
    return {"client_cert": secure.broker.tls("client.crt"), "client_key": secure.broker.tls("client.key")}


@pytest.mark.parametrize("how", ["keys", "url"])
def test_mutual_tls_and_a_password(make_server, secure, certs, index, how):
    login = {"username": USER, "password": PASSWORD} if how == "keys" else {
        "url": secure.url.replace("://", f"://{USER}:{PASSWORD}@")}
    server = make_server(env=elastic_env(secure, index=index, **mine(secure), **login), args=certs).start()
    s3 = notify(server)
    for i in range(50):
        assert s3.put("images", f"k{i}", b"x").status == 200
    secure.wait_mirror([f"images/k{i}" for i in range(50)], index)
    assert PASSWORD not in server.log()


WRONG = [({"password": "wrong-secret", "username": USER}, "401.*MINIO_NOTIFY_ELASTICSEARCH_USERNAME_1"),
         ({"client_cert": "", "client_key": ""}, "(certificate|alert|closed)"), ({"no_ca": True}, "certs-dir/CAs"),
         ({"url": "http"}, "https://")]


@pytest.mark.parametrize("keys,reason", WRONG, ids=["password", "no-certificate", "ca", "no-tls"])
def test_refused(make_server, secure, certs, index, keys, reason):
    keys = dict(keys)
    args = [] if keys.pop("no_ca", None) else certs
    if keys.get("url") == "http":
        keys["url"] = secure.url.replace("https", "http")
    right = {"username": USER, "password": PASSWORD, **mine(secure)}
    server = make_server(env=elastic_env(secure, index=index, **{**right, **keys}), args=args).start()
    assert notify(server).put("images", "k", b"x").status == 200
    wait_for(lambda: re.search(f"offline: .*{reason}", server.log()), 20, reason)
    assert "-secret" not in server.log().replace("test-secret", "")
    server.env, server.args = elastic_env(secure, index=index, **right), certs
    server.restart()
    secure.wait_mirror(["images/k"], index)


@pytest.mark.long
@pytest.mark.parametrize("style", ["namespace", "access"])
def test_the_newer_one(make_server, start_broker, index, style):
    if not os.path.isdir("/var/cache/belfry-brokers/elasticsearch8"):
        pytest.skip("scripts/install-brokers was not asked for elasticsearch8")
    newer = Elastic(start_broker("elasticsearch", ELASTIC="elasticsearch8"))
    server = make_server(env=elastic_env(newer, index=index, format=style)).start()
    s3 = notify(server)
    for i in range(20):
        assert s3.put("images", f"k{i}", b"x").status == 200
    assert s3.delete("images", "k0").status == 204
    if style == "namespace":
        newer.wait_mirror([f"images/k{i}" for i in range(1, 20)], index)
    else:
        assert len(newer.wait_count(21, index)) == 21
