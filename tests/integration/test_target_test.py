# SPDX-License-Identifier: Apache-2.0
"""belfry target test: what it says of a target of each kind that does not work. Every message says what is wrong, which setting
that comes from, and what is to be done about it."""
import contextlib
import json
import os
import shutil
import socket
import threading

import pytest
from support.amqp import amqp_env
from support.brokers import PASSWORD, USER
from support.elastic import Stand, answer, elastic_env
from support.kafka import kafka_env
from support.mqtt import mqtt_env
from support.nats import nats_env
from support.nsq import nsq_env
from support.ports import free_port
from support.receiver import Answer, Receiver, webhook_env
from support.redis import redis_env
from support.sql import Mysql, Postgres
from test_commands import belfry


def sql_env(kind, address, target, **keys):
    keys = {kind.address_key: address, "table": "t", "format": "namespace", **keys}
    env = {f"MINIO_{kind.subsys}_ENABLE_{target}": "on"}
    return env | {f"MINIO_{kind.subsys}_{k.upper()}_{target}": str(v) for k, v in keys.items()}


def mysql(host, port, target, user=USER, password=PASSWORD, tls="", database="notif", **keys):
    tls = f"?tls={tls}" if tls else ""
    return sql_env(Mysql, f"{user}:{password}@tcp({host}:{port})/{database}{tls}", target, **keys)


def postgres(host, port, target, user=USER, password=PASSWORD, sslmode="disable", database="notif", **keys):
    return sql_env(Postgres, f"host={host} port={port} dbname={database} user={user} password={password} sslmode={sslmode}", target,
                   **keys)


def amqp(host, port, target, user=USER, password=PASSWORD, scheme="amqp", vhost="", **keys):
    return amqp_env(f"{scheme}://{user}:{password}@{host}:{port}/{vhost}", target, **keys)


# Of each kind: the environment of a target that is there, and the setting that says where.
KINDS = {
    "amqp": (amqp, "URL"),
    "elasticsearch": (lambda h, p, t, scheme="http", **k: elastic_env(f"{scheme}://{h}:{p}", t, **k), "URL"),
    "kafka": (lambda h, p, t, **k: kafka_env(None, "t", t, brokers=f"{h}:{p}", **k), "BROKERS"),
    "mqtt": (lambda h, p, t, scheme="tcp", **k: mqtt_env(f"{scheme}://{h}:{p}", t, **k), "BROKER"),
    "mysql": (mysql, "DSN_STRING"),
    "nats": (lambda h, p, t, **k: nats_env(f"{h}:{p}", t, **k), "ADDRESS"),
    "nsq": (lambda h, p, t, **k: nsq_env(f"{h}:{p}", t, **k), "NSQD_ADDRESS"),
    "postgresql": (postgres, "CONNECTION_STRING"),
    "redis": (lambda h, p, t, **k: redis_env(f"{h}:{p}", t, **k), "ADDRESS"),
    "webhook": (lambda h, p, t, scheme="http", **k: webhook_env(f"{scheme}://{h}:{p}/hook", t, **k), "ENDPOINT"),
}


WHO = {"nats": {"username": USER, "password": PASSWORD}, "mqtt": {"username": USER, "password": PASSWORD},
       "redis": {"password": PASSWORD}}


def says(server, kind, target):
    """What is wrong, in the command's own words."""
    reply = json.loads(belfry(server, "target", "test", f"{target}:{kind}", "--json", code=1))
    assert reply["ok"] is False and reply["reason"], reply
    assert PASSWORD not in reply["reason"]
    return reply["reason"]


def expect(make_server, cases, cas=()):
    """cases: kind, target, environment, parts that the answer has to have. In them VAR_ is MINIO_NOTIFY_KIND_, and what ends
    with = the name of a variable."""
    env, args = {}, []
    for _, _, more, *_ in cases:
        env |= more
    server = make_server(env=env, args=args)
    if cas:
        folder = os.path.join(server.directory + "-certs", "CAs")
        os.makedirs(folder)
        for n, ca in enumerate(cas):
            shutil.copy(ca, os.path.join(folder, f"{n}.crt"))
        server.args = ["--certs-dir", os.path.dirname(folder)]
    server.start()
    wrong = []
    for kind, target, _, *parts in cases:
        reason = says(server, kind, target)
        for part in parts:
            if part.startswith("VAR_"):
                part = f"MINIO_NOTIFY_{kind.replace('postgresql', 'postgres').upper()}_{part[4:]}_{target}"
            if part not in reason:
                wrong.append(f"{kind} {target}: no '{part}' in '{reason}'")
    assert not wrong, "\n".join(wrong)


class Elsewhere:
    """127.0.0.2, from where a broker on 127.0.0.1 is reached: its certificate names another address."""

    def __init__(self, port):
        self.to, self.sockets = port, []
        self.listener = socket.create_server(("127.0.0.2", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for s in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.sockets += [near, far]
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)


def make(kind):
    return KINDS[kind][0]


def test_no_such_name_and_nobody_there(make_server):
    port = free_port()
    expect(make_server, [(kind, target, env(host, port, target), f"VAR_{setting}", text)
                         for kind, (env, setting) in KINDS.items()
                         for target, host, text in (("name", "no-such-host.invalid", "esolv"),
                                                    ("refused", "127.0.0.1", "run"))])


def test_answers_over_http(make_server):
    """What a receiver says of a login or a place."""
    with Receiver() as hook, Stand() as stand:
        codes = {401: "AUTH_TOKEN", 403: "AUTH_TOKEN", 404: "ENDPOINT", 410: "ENDPOINT"}
        hook.behave = lambda post: Answer(int(post.path.rpartition("/")[2]))
        cases = [("webhook", f"s{code}", webhook_env(f"http://127.0.0.1:{hook.port}/{code}", f"s{code}"), str(code), f"VAR_{var}")
                 for code, var in codes.items()]
        stand.on_request = lambda post: answer(401, {"error": {"type": "security_exception", "reason": "no such user"}})
        cases.append(("elasticsearch", "login", elastic_env(stand, "login", username=USER, password="wrong"), "401", "VAR_USERNAME"))
        expect(make_server, cases)


def tls_cases(tls, host, nats, nsq, pg, my):
    """Of each kind a target that reaches its broker by TLS. tls: a port that speaks it from the first byte on, whatever it
    speaks then."""
    return {
        "amqp": make("amqp")(host, tls, "t", scheme="amqps"),
        "elasticsearch": make("elasticsearch")(host, tls, "t", scheme="https"),
        "kafka": make("kafka")(host, tls, "t", tls="on"),
        "mqtt": make("mqtt")(host, tls, "t", scheme="ssl"),
        "mysql": make("mysql")(host, my, "t", tls="true"),
        "nats": make("nats")(host, nats, "t", tls="on"),
        "nsq": make("nsq")(host, nsq, "t", tls="on"),
        "postgresql": make("postgresql")(host, pg, "t", sslmode="verify-full"),
        "redis": make("redis")(host, tls, "t", tls="on"),
        "webhook": make("webhook")(host, tls, "t", scheme="https"),
    }


@pytest.mark.brokers
def test_certificates(make_server, start_broker):
    """Of a CA that is not trusted; and of one that is, for another address."""
    brokers = [start_broker("mqtt", AUTH="1"), start_broker("nats", TLS="1"), start_broker("nsq", TLS="1"), start_broker("postgres"),
               start_broker("mariadb")]
    ports = [b.port for b in brokers]
    ports[0] += 2
    expect(make_server, [(kind, "t", env, "certs-dir/CAs") for kind, env in tls_cases(ports[0], "127.0.0.1", *ports[1:]).items()])
    with contextlib.ExitStack() as stack:
        there = [stack.enter_context(Elsewhere(p)).port for p in ports]
        cases = tls_cases(there[0], "127.0.0.2", *there[1:])
        expect(make_server, [(kind, "t", env, "127.0.0.2", "does not name this") for kind, env in cases.items()],
               cas=[b.tls("ca.crt") for b in brokers])


@pytest.mark.brokers
def test_logins_and_what_is_missing(make_server, start_broker):
    redis, mqtt = start_broker("redis", AUTH="1"), start_broker("mqtt", AUTH="1")
    nats, tnats, nsq = start_broker("nats", AUTH="userpass"), start_broker("nats", TLS="1"), start_broker("nsq", TLS="1")
    pg, my = start_broker("postgres"), start_broker("mariadb")

    def case(kind, target, broker, *parts, **keys):
        return kind, target, make(kind)("127.0.0.1", broker.port, target, **keys), *parts

    expect(make_server, [
        case("mqtt", "login", mqtt, "password is wrong", "VAR_USERNAME", username=USER, password="wrong"),
        case("mqtt", "none", mqtt, "VAR_USERNAME"),
        case("mqtt", "tls", mqtt, "expect TLS", "VAR_BROKER", scheme="ssl"),
        case("mysql", "login", my, "password is wrong", "VAR_DSN_STRING", password="wrong"),
        case("mysql", "database", my, "make the database", "VAR_DSN_STRING", database="none"),
        case("mysql", "table", my, "table's name", "VAR_DSN_STRING", table="nowhere.t"),
        case("nats", "login", nats, "login is refused", "VAR_USERNAME", username=USER, password="wrong"),
        case("nats", "none", nats, "login is refused", "VAR_USERNAME"),
        case("nats", "stream", nats, "no stream takes this subject", "VAR_SUBJECT", jetstream="on", subject="none", **WHO["nats"]),
        case("nats", "stan", nats, "VAR_STREAMING_CLUSTER_ID", streaming="on", streaming_cluster_id="x", **WHO["nats"]),
        case("nats", "tls", tnats, "certs-dir/CAs"),
        case("nsq", "tls", nsq, "TLS only", "VAR_TLS"),
        case("postgresql", "login", pg, "password is wrong", "VAR_CONNECTION_STRING", password="wrong"),
        case("postgresql", "user", pg, "password is wrong", "VAR_CONNECTION_STRING", user="nobody"),
        case("postgresql", "database", pg, "make the database", "VAR_CONNECTION_STRING", database="none"),
        case("postgresql", "table", pg, "make the schema", "VAR_TABLE", table="nowhere.t"),
        case("postgresql", "other", my, "VAR_CONNECTION_STRING"),
        case("redis", "login", redis, "password is wrong", "VAR_PASSWORD", password="wrong"),
        case("redis", "none", redis, "asks for a password", "VAR_PASSWORD"),
        case("redis", "other", nats, "as Redis does", "VAR_TLS"),
        case("webhook", "other", redis, "VAR_ENDPOINT"),
        case("elasticsearch", "other", redis, "VAR_URL"),
        case("kafka", "other", mqtt, "VAR_TLS"),
        case("amqp", "other", mqtt, "VAR_URL"),
        case("nsq", "other", redis, "as nsqd does", "VAR_NSQD_ADDRESS"),
        case("mqtt", "other", redis, "VAR_BROKER"),
    ])


@pytest.mark.brokers
@pytest.mark.long
def test_those_that_do_not_answer(make_server, start_broker):
    """Which the command waits for."""
    redis = start_broker("redis", AUTH="1").port
    expect(make_server, [
        ("redis", "tls", make("redis")("127.0.0.1", redis, "tls", tls="on"), "expect TLS", "VAR_ADDRESS"),
        ("nats", "other", make("nats")("127.0.0.1", redis, "other"), "VAR_ADDRESS"),
        ("mysql", "other", make("mysql")("127.0.0.1", redis, "other"), "VAR_DSN_STRING"),
    ])


@pytest.mark.brokers
@pytest.mark.long
def test_the_slow_ones(make_server, start_broker):
    """Brokers that take seconds to start."""
    rabbit, kafka, elastic = start_broker("rabbitmq"), start_broker("kafka"), start_broker("elasticsearch", AUTH="1")

    def case(kind, target, port, *parts, **keys):
        return kind, target, make(kind)("127.0.0.1", port, target, **keys), *parts

    sasl = {"sasl": "on", "sasl_username": USER, "sasl_password": "wrong", "sasl_mechanism": "plain"}
    expect(make_server, [
        case("amqp", "login", rabbit.port, "VAR_URL", password="wrong"),
        case("amqp", "vhost", rabbit.port, "vhost", "VAR_URL", vhost="none"),
        case("amqp", "exchange", rabbit.port, "no exchange", "VAR_EXCHANGE_TYPE", exchange="nowhere", exchange_type=""),
        case("amqp", "other", rabbit.port, "VAR_EXCHANGE", exchange="amq.topic", exchange_type="fanout"),
        case("amqp", "unroutable", rabbit.port, "unroutable", "VAR_MANDATORY", exchange="amq.topic", exchange_type="topic",
             durable="on", routing_key="nowhere", mandatory="on"),
        case("kafka", "login", kafka.port + 2, "VAR_SASL_USERNAME", **sasl),
        case("kafka", "scram", kafka.port + 2, "VAR_SASL_USERNAME", **{**sasl, "sasl_mechanism": "sha512"}),
        case("kafka", "none", kafka.port + 2, "VAR_SASL"),
        case("kafka", "tls", kafka.port + 3, "VAR_TLS"),
        case("elasticsearch", "login", elastic.port, "VAR_USERNAME", username=USER, password="wrong"),
        case("elasticsearch", "none", elastic.port, "VAR_USERNAME"),
    ])
