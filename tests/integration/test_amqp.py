# SPDX-License-Identifier: Apache-2.0
"""The AMQP target against a real RabbitMQ: what arrives, its keys, logins, TLS."""
import contextlib
import re
import shutil
import socket
import ssl
import threading
import uuid

import pytest
from support.amqp import Rabbit, amqp_env
from support.brokers import PASSWORD, USER
from support.delivery import assert_in_order
from support.record import pattern
from support.s3raw import arn, rule
from support.server import run
from support.wait import holds_for, wait_for

pytestmark = pytest.mark.brokers
ARN = arn("1", "amqp")
LONG = pytest.mark.long
ODD_KEYS = ["plain.jpg", "with blank", "per%cent%20", 'quo"te\'s', "ünïcödé/☃/日本", "a//b", "+plus&amp<>", "tail/",
            "k" * 1024, "back\\slash", "{\"Records\":[]}", "*?[a]", "\u2028line"]


@pytest.fixture(scope="module")
def rabbit(start_broker):
    return Rabbit(start_broker("rabbitmq"))


@pytest.fixture
def exchange():
    """Each test has an exchange of its own."""
    return f"e{uuid.uuid4().hex[:10]}"


def notify(server, bucket="images", *events, target=ARN, **filters):
    server.s3.make_bucket(bucket)
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    assert server.s3.set_rules(bucket, rule(target, *events, **filters)).status == 200
    return server.s3


def said(server, text, deadline=20):
    wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


# -- what arrives -----------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_the_message(make_server, rabbit, exchange):
    """Body, headers and properties, field by field."""
    server = make_server(env=amqp_env(rabbit, exchange=exchange, routing_key="bucketlogs", delivery_mode=2)).start()
    with rabbit.queue(exchange) as queue:
        s3 = notify(server)
        assert s3.put("images", "a b/ü.jpg", b"hello", {"Content-Type": "image/jpeg", "User-Agent": "agent"}).status == 200
        (m,) = queue.wait(1)
        expected = pattern("s3:ObjectCreated:Put", "images", "a b/ü.jpg", "a+b%2F%C3%BC.jpg", server.user, server.endpoint,
                           "agent", size=5, etag="5d41402abc4b2a76b9719d911017c592", content_type="image/jpeg",
                           metadata={"content-type": "image/jpeg"})
        assert expected.fullmatch(m.body.decode()), m.body
        assert m.headers == {"minio-bucket": "images", "minio-event": "s3:ObjectCreated:Put"}
        assert m.properties.content_type == "application/json" and m.properties.delivery_mode == 2
        assert re.fullmatch("[0-9a-f]{16}", m.properties.message_id)
        assert m.routing_key == "bucketlogs" and m.exchange == exchange
        assert PASSWORD not in server.log()


@pytest.mark.sanitize
def test_create_overwrite_delete(make_server, rabbit, exchange):
    server = make_server(env=amqp_env(rabbit, exchange=exchange)).start()
    with rabbit.queue(exchange) as queue:
        s3 = notify(server)
        for key in ODD_KEYS:
            assert s3.put("images", key, b"one").status == 200
            assert s3.put("images", key, b"three").status == 200
            assert s3.delete("images", key).status == 204
        messages = queue.wait(3 * len(ODD_KEYS))
        for key in ODD_KEYS:
            mine = [m for m in messages if m.key == f"images/{key}"]
            assert [m.event for m in mine] == ["s3:ObjectCreated:Put"] * 2 + ["s3:ObjectRemoved:Delete"], key
            assert [m.record["s3"]["object"].get("size") for m in mine] == [3, 5, None]
            assert mine[0].properties.delivery_mode is None
        holds_for(lambda: len(queue.take()) == 3 * len(ODD_KEYS), 0.3, "nothing twice")


def test_a_large_record(make_server, rabbit, exchange):
    """A record of several frames: many long keys of metadata."""
    server = make_server(env=amqp_env(rabbit, exchange=exchange)).start()
    with rabbit.queue(exchange) as queue:
        s3 = notify(server)
        assert s3.put("images", "ü" * 512, b"x", {"x-amz-meta-long": "<" * 2000}).status == 200
        (m,) = queue.wait(1)
        assert m.record["s3"]["object"]["userMetadata"]["X-Amz-Meta-Long"] == "<" * 2000 and len(m.body) > 12000


def test_filters_and_a_target_without_a_name(make_server, rabbit, exchange):
    server = make_server(env=amqp_env(rabbit, "", exchange=exchange)).start()
    assert "arn:minio:sqs::_:amqp" in server.log()
    with rabbit.queue(exchange) as queue:
        s3 = notify(server, "images", "s3:ObjectCreated:*", target=arn("_", "amqp"), prefix="in/", suffix=".jpg")
        for key in ("in/a.jpg", "in/b.png", "out/c.jpg", "in/d.jpg"):
            assert s3.put("images", key, b"x").status == 200
        assert [m.key for m in queue.wait(2)] == ["images/in/a.jpg", "images/in/d.jpg"]


# -- exchanges --------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind,key,binding", [pytest.param("direct", "logs", None, marks=LONG), ("topic", "a.b", None),
                                              ("headers", "", {"x-match": "all", "minio-event": "s3:ObjectRemoved:Delete"})])
def test_types_of_exchanges(make_server, rabbit, exchange, kind, key, binding):
    server = make_server(env=amqp_env(rabbit, exchange=exchange, exchange_type=kind, routing_key=key)).start()
    with rabbit.queue(exchange, kind, "a.#" if kind == "topic" else key, binding=binding) as queue:
        s3 = notify(server)
        assert s3.put("images", "k", b"x").status == 200
        assert s3.delete("images", "k").status == 204
        names = ["s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"]
        assert [m.event for m in queue.wait(2 if not binding else 1)] == (names if not binding else names[1:])


def test_the_default_exchange(make_server, rabbit, exchange):
    """No name and no type: the routing key is a queue's name."""
    server = make_server(env=amqp_env(rabbit, exchange="", exchange_type="", routing_key=exchange)).start()
    with rabbit.queue("", "", name=exchange) as queue:
        assert notify(server).put("images", "k", b"x").status == 200
        assert queue.wait(1)[0].exchange == ""
        queue.channel.queue_delete(exchange)


def test_an_exchange_that_is_not_declared(make_server, rabbit, exchange):
    """Without a type it has to be there; so a user without the right to make it will do."""
    server = make_server(env=amqp_env(rabbit, exchange=exchange, exchange_type="")).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, f"offline: .*no exchange '{exchange}'.*MINIO_NOTIFY_AMQP_EXCHANGE_TYPE_1")
    with rabbit.queue(exchange, "topic", "#") as queue:
        queue.wait(1, 60)


FLAGS = [{}, {"durable": "on"}, {"auto_deleted": "on"}, {"durable": "on", "auto_deleted": "on"}, {"no_wait": "on", "durable": "on"}]


@pytest.mark.parametrize("flags", [pytest.param(f, marks=LONG if len(f) < 2 else (), id="-".join(f) or "none") for f in FLAGS])
def test_flags_of_the_exchange(make_server, rabbit, exchange, flags):
    """It is declared as the settings say: another declaration of the same passes, any different one is refused."""
    server = make_server(env=amqp_env(rabbit, exchange=exchange, **flags)).start()
    said(server, "online, 0 events")
    durable, gone = flags.get("durable") == "on", flags.get("auto_deleted") == "on"
    for d in (False, True):
        for g in (False, True):
            with rabbit.connect() as c:
                channel = c.channel()
                try:
                    channel.exchange_declare(exchange, "fanout", durable=d, auto_delete=g)
                    assert (d, g) == (durable, gone)
                except Exception as e:                      # noqa: BLE001 - pika's own
                    assert "inequivalent arg" in str(e) and (d, g) != (durable, gone)


def test_false_is_off(make_server, rabbit, exchange):
    """The guide's example says "false"."""
    flags = dict.fromkeys(("mandatory", "no_wait", "auto_deleted", "durable", "internal"), "false")
    server = make_server(env=amqp_env(rabbit, exchange=exchange, **flags)).start()
    with rabbit.queue(exchange) as queue:
        assert notify(server).put("images", "k", b"x").status == 200
        queue.wait(1)


def test_an_internal_exchange_takes_nothing(make_server, rabbit, exchange):
    server = make_server(env=amqp_env(rabbit, exchange=exchange, internal="on")).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, "offline: .*internal exchange.*MINIO_NOTIFY_AMQP_INTERNAL_1")


@pytest.mark.parametrize("no_wait", ["off", "on"])
def test_an_exchange_with_other_settings(make_server, rabbit, exchange, no_wait):
    with rabbit.connect() as c:
        c.channel().exchange_declare(exchange, "topic", durable=True)
        # mandatory: it may be declared again and published to before a queue is bound to it
        server = make_server(env=amqp_env(rabbit, exchange=exchange, no_wait=no_wait, mandatory="on")).start()
        assert notify(server).put("images", "k", b"x").status == 200
        said(server, "offline: .*inequivalent arg.*MINIO_NOTIFY_AMQP_EXCHANGE_1")
        c.channel().exchange_delete(exchange)
    with rabbit.queue(exchange) as queue:
        queue.wait(1, 60)


def test_a_type_that_is_none(make_server, rabbit, exchange):
    server = make_server(env=amqp_env(rabbit, exchange=exchange, exchange_type="fanuot")).start()
    said(server, "offline: .*type.*MINIO_NOTIFY_AMQP_EXCHANGE_TYPE_1")


# -- mandatory ----------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_mandatory(make_server, rabbit, exchange):
    """Nothing is bound: the events wait, in order, until something is."""
    server = make_server(env=amqp_env(rabbit, exchange=exchange, mandatory="on")).start()
    s3 = notify(server)
    for i in range(20):
        assert s3.put("images", f"k{i % 3}", b"%d" % i).status == 200
    said(server, "offline: unroutable \\(NO_ROUTE\\): no queue is bound to exchange .*MINIO_NOTIFY_AMQP_MANDATORY_1")
    with rabbit.queue(exchange) as queue:
        messages = queue.wait(20, 60)
        assert_in_order(messages)
        assert len(messages) == 20
        queue.unbind()
        assert s3.put("images", "later", b"x").status == 200
        wait_for(lambda: server.log().count("unroutable") >= 2, 20, "it to be unroutable again")
        queue.bind()
        assert queue.wait(21, 60)[20].key == "images/later"
    assert "dead letter" not in server.log()


def test_not_mandatory(make_server, rabbit, exchange):
    """As MinIO: what no queue gets is gone, and that is a delivery."""
    server = make_server(env=amqp_env(rabbit, exchange=exchange)).start()
    s3 = notify(server)
    assert s3.put("images", "k", b"x").status == 200
    with rabbit.queue(exchange) as queue:
        assert s3.put("images", "l", b"x").status == 200
        wait_for(lambda: "images/l" in [m.key for m in queue.take()], 20, "the one after the binding")
    assert "offline" not in server.log()


# -- logins -------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def users(rabbit):
    """A user whose name and password need encoding, in a vhost of its own; one who may write only; one without a vhost."""
    rabbit.run("""
        rabbit_vhost:add(<<"my/host %">>, <<"t">>),
        rabbit_auth_backend_internal:add_user(<<"u@s:r">>, <<"p/a:s@s%w?">>, <<"t">>),
        rabbit_auth_backend_internal:set_permissions(<<"u@s:r">>, <<"my/host %">>, <<".*">>, <<".*">>, <<".*">>, <<"t">>),
        rabbit_auth_backend_internal:add_user(<<"writer">>, <<"writer-secret">>, <<"t">>),
        rabbit_auth_backend_internal:set_permissions(<<"writer">>, <<"/">>, <<"">>, <<"^mine">>, <<"^mine">>, <<"t">>),
        rabbit_auth_backend_internal:add_user(<<"nobody">>, <<"nobody-secret">>, <<"t">>),
        rabbit_auth_backend_internal:set_permissions(<<"alice">>, <<"my/host %">>, <<".*">>, <<".*">>, <<".*">>, <<"t">>).
    """)


def test_encoded_user_password_and_vhost(make_server, rabbit, users, exchange):
    url = f"amqp://u%40s%3Ar:p%2Fa%3As%40s%25w%3F@localhost:{rabbit.port}/my%2Fhost%20%25"
    server = make_server(env=amqp_env(url, exchange=exchange)).start()
    with rabbit.queue(exchange, vhost="my/host %") as queue:
        assert notify(server).put("images", "k", b"x").status == 200
        queue.wait(1)
    assert "p/a:s" not in server.log() and "p%2Fa" not in server.log()


REFUSED = [("amqp://alice:wrong-secret@127.0.0.1:{}", "user or password is wrong.*MINIO_NOTIFY_AMQP_URL_1"),
           ("amqp://nosuch:wrong-secret@127.0.0.1:{}", "user or password is wrong.*MINIO_NOTIFY_AMQP_URL_1"),
           ("amqp://nobody:nobody-secret@127.0.0.1:{}", "vhost is missing there, or the user may not.*MINIO_NOTIFY_AMQP_URL_1"),
           ("amqp://alice:alice-secret@127.0.0.1:{}/none", "vhost is missing there.*MINIO_NOTIFY_AMQP_URL_1"),
           ("amqp://writer:writer-secret@127.0.0.1:{}", "give the user configure and write.*MINIO_NOTIFY_AMQP_URL_1")]


REFUSED_IDS = ["password", "user", "no-right", "no-vhost", "no-exchange"]


@pytest.mark.parametrize("url,reason", [pytest.param(*c, marks=LONG if name in ("user", "no-right") else (), id=name)
                                        for c, name in zip(REFUSED, REFUSED_IDS)])
def test_refused_logins(make_server, rabbit, users, exchange, url, reason):
    """It is said what is wrong and where to set it right, without the secret; the event waits for the right one."""
    server = make_server(env=amqp_env(url.format(rabbit.port), exchange=exchange)).start()
    assert notify(server).put("images", "k", b"x").status == 200
    said(server, f"offline: .*{reason}")
    assert "secret" not in server.log().replace("test-secret", "")
    server.env = amqp_env(rabbit, exchange=exchange)
    with rabbit.queue(exchange) as queue:
        server.restart()
        queue.wait(1)


def test_a_user_who_may_only_write(make_server, rabbit, users):
    server = make_server(env=amqp_env(f"amqp://writer:writer-secret@127.0.0.1:{rabbit.port}", exchange="mine",
                                      exchange_type="")).start()
    with rabbit.queue("mine") as queue:
        assert notify(server).put("images", "k", b"x").status == 200
        queue.wait(1, 60)


# -- TLS ------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tls_dir(tmp_path_factory, rabbit):
    """certs-dir with the authority's certificate in CAs."""
    path = tmp_path_factory.mktemp("certs")
    (path / "CAs").mkdir()
    shutil.copy(rabbit.broker.tls("ca.crt"), path / "CAs" / "ca.crt")
    return str(path)


def tls_url(broker, host="localhost", more=""):
    return f"amqps://{USER}:{PASSWORD}@{host}:{broker.port + 1}{more}"


@pytest.mark.sanitize
@pytest.mark.parametrize("host", [pytest.param("127.0.0.1", marks=LONG), "localhost"])
def test_tls(make_server, rabbit, tls_dir, exchange, host):
    server = make_server(env=amqp_env(tls_url(rabbit.broker, host), exchange=exchange), args=["--certs-dir", tls_dir]).start()
    with rabbit.queue(exchange) as queue:
        s3 = notify(server)
        for i in range(300):
            assert s3.put("images", f"k{i}", b"x" * 100).status == 200
        assert [m.key for m in queue.wait(300)] == [f"images/k{i}" for i in range(300)]


def test_the_ca_of_the_url(make_server, rabbit, exchange):
    """As Go's client takes it: cacertfile in the URL."""
    url = tls_url(rabbit.broker, more="/?cacertfile=" + rabbit.broker.tls("ca.crt").replace("/", "%2F"))
    server = make_server(env=amqp_env(url, exchange=exchange)).start()
    with rabbit.queue(exchange) as queue:
        assert notify(server).put("images", "k", b"x").status == 200
        queue.wait(1)


@pytest.mark.parametrize("ca", [False, True], ids=["wrong-ca", "other-host"])
def test_certificates_that_are_not_trusted(make_server, authority, tmp_path, ca):
    """The handshake fails before a word of AMQP: any TLS server will do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(f"elsewhere-{ca}", ("DNS:elsewhere.example",)))
    (tmp_path / "certs" / "CAs").mkdir(parents=True)
    shutil.copy(authority.cert, tmp_path / "certs" / "CAs" / "ca.crt")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(sock, server_side=True) as s:
                        s.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        server = make_server(env=amqp_env(f"amqps://localhost:{listener.getsockname()[1]}"),
                             args=["--certs-dir", str(tmp_path / "certs")] if ca else []).start()
        said(server, f"offline: .*({'does not name this host' if ca else 'is not trusted.*certs-dir/CAs'})")
        server.stop()
        listener.shutdown(socket.SHUT_RDWR)


def test_tls_with_the_wrong_scheme(make_server, rabbit, tls_dir, exchange):
    server = make_server(env=amqp_env(f"amqp://{USER}:{PASSWORD}@localhost:{rabbit.port + 1}", exchange=exchange)).start()
    said(server, "offline: .*amqps://")
    server.stop()
    server.env = amqp_env(f"amqps://{USER}:{PASSWORD}@localhost:{rabbit.port}", exchange=exchange)
    server.start()
    said(server, "offline: .*no TLS with it")


@pytest.mark.long
def test_mutual_tls(make_server, start_broker, tmp_path, exchange):
    rabbit = Rabbit(start_broker("rabbitmq", TLS="mutual"))
    (tmp_path / "certs" / "CAs").mkdir(parents=True)
    shutil.copy(rabbit.broker.tls("ca.crt"), tmp_path / "certs" / "CAs" / "ca.crt")
    env = amqp_env(tls_url(rabbit.broker), exchange=exchange)
    server = make_server(env=env, args=["--certs-dir", str(tmp_path / "certs")]).start()
    with rabbit.queue(exchange) as queue:
        assert notify(server).put("images", "k", b"x").status == 200
        said(server, "offline: .*(MINIO_NOTIFY_AMQP_CLIENT_CERT_1|certificate required)")
        for name, fine in (("bad", False), ("client", True)):
            server.stop()
            server.env = dict(env, MINIO_NOTIFY_AMQP_CLIENT_CERT_1=rabbit.broker.tls(f"{name}.crt"),
                              MINIO_NOTIFY_AMQP_CLIENT_KEY_1=rabbit.broker.tls(f"{name}.key"))
            before = server.log().count("offline: ")
            server.start()
            if not fine:
                wait_for(lambda: server.log().count("offline: ") > before, 20, "the refusal")  # noqa: B023
        queue.wait(1)


# -- settings ---------------------------------------------------------------------------------------

BAD = [({"url": "http://127.0.0.1:1"}, "begin with amqp://"), ({"url": "amqp://127.0.0.1:0"}, "port"),
       ({"url": ""}, "URL_1 is not set"), ({"client_cert": "/c"}, "set together"),
       ({"client_cert": "/c", "client_key": "/k"}, "amqps://"), ({"delivery_mode": "3"}, "delivery_mode"),
       ({"exchange": ""}, "exchange_type needs an exchange"), ({"routing_key": "k" * 256}, "longer than 255"),
       ({"mandatory": "perhaps"}, "on or off"), ({"queue_dir": "relative"}, "absolute path")]


@pytest.mark.parametrize("keys,reason", [pytest.param(*c, marks=LONG if i > 2 else (), id=c[1]) for i, c in enumerate(BAD)])
def test_bad_settings(make_server, keys, reason):
    server = make_server(env=amqp_env("amqp://127.0.0.1:1", **keys)).start()
    assert re.search(f"settings are wrong.*{re.escape(reason)}", server.log()), server.log()


def test_immediate_is_ignored_aloud(make_server, rabbit, exchange):
    server = make_server(env=amqp_env(rabbit, exchange=exchange, immediate="on", publishing_confirms="off")).start()
    said(server, "IMMEDIATE is ignored")
    with rabbit.queue(exchange) as queue:
        assert notify(server).put("images", "k", b"x").status == 200
        queue.wait(1)


def test_the_help_has_the_keys():
    text = run("help", "notify_amqp").stdout
    keys = re.findall(r"MINIO_NOTIFY_AMQP_(\w+)_<ID>", text)
    assert keys == ["ENABLE", "URL", "EXCHANGE", "EXCHANGE_TYPE", "ROUTING_KEY", "MANDATORY", "DURABLE", "NO_WAIT", "INTERNAL",
                    "AUTO_DELETED", "DELIVERY_MODE", "PUBLISHING_CONFIRMS", "QUEUE_DIR", "QUEUE_LIMIT", "COMMENT", "IMMEDIATE",
                    "CLIENT_CERT", "CLIENT_KEY", "QUEUE_FULL", "DEAD_LETTER_LIMIT"]
