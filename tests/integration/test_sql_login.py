# SPDX-License-Identifier: Apache-2.0
"""How the targets that are databases get in: addresses, logins, TLS, names of tables; and what is said when they do not."""
import os
import re
import shutil
import socket
import threading
import uuid

import pytest
from support.brokers import PASSWORD, USER
from support.s3raw import arn, rule
from support.sql import Mysql, Postgres
from support.wait import wait_for

pytestmark = pytest.mark.brokers


def long(case):
    """A case that only make test-all runs."""
    return pytest.param(case, marks=pytest.mark.long)


@pytest.fixture(scope="module")
def pg(start_broker):
    return Postgres(start_broker("postgres"))


@pytest.fixture(scope="module")
def my(start_broker):
    return Mysql(start_broker("mariadb"))


@pytest.fixture
def table():
    return "t" + uuid.uuid4().hex[:12]


@pytest.fixture
def certs(tmp_path):
    """certs_of(db): a certs-dir with the certificate of its authority in CAs."""
    def make(db):
        os.makedirs(tmp_path / "certs" / "CAs")
        shutil.copy(db.broker.tls("ca.crt"), tmp_path / "certs" / "CAs" / "ca.crt")
        return ["--certs-dir", str(tmp_path / "certs")]
    return make


def put(server, db, key="k"):
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", rule(arn("1", db.kind), "s3:ObjectCreated:*")).status == 200
    assert server.s3.put("images", key, b"x").status == 200


def said(server, text, deadline=20):
    return wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


class Forward:
    """127.0.0.2 in place of 127.0.0.1: an address that no certificate names."""

    def __init__(self, port):
        self.port = port
        self.listener = socket.create_server(("127.0.0.2", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self.port))
            for a, b in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


# -- PostgreSQL: what gets in --------------------------------------------------------------------------

def pg_addresses(pg):
    return {
        "url": f"postgres://{USER}:{PASSWORD}@127.0.0.1:{pg.port}/notif?sslmode=disable",
        "guide": f"host=127.0.0.1 port={pg.port} username={USER} password={PASSWORD} database=notif sslmode=disable",
        "socket": f"host={pg.broker.directory} port={pg.port} user={USER} password={PASSWORD} dbname=notif",
        "tls by default": f"host=localhost port={pg.port} user={USER} password={PASSWORD} dbname=notif",
        "verify-full": pg.address("localhost", sslmode="verify-full"),
        "verify-full of an address": pg.address(sslmode="verify-full"),
        "sslrootcert": pg.address(sslmode="verify-ca", sslrootcert=pg.broker.tls("ca.crt")),
        "failover": pg.address("127.0.0.1,no-such-host.invalid,127.0.0.1", port=f"1,2,{pg.port}") + " target_session_attrs=read-write",
    }


@pytest.mark.parametrize("how", ["guide", "verify-full", "failover", *map(long, (
    "url", "socket", "tls by default", "verify-full of an address", "sslrootcert"))])
def test_postgres_gets_in(make_server, pg, table, certs, how):
    server = make_server(env=pg.env(table, address=pg_addresses(pg)[how]), args=certs(pg)).start()
    put(server, pg)
    pg.wait_keys(table, ["images/k"])
    assert PASSWORD not in server.log()


def test_postgres_mutual_tls(make_server, pg, table, certs, tmp_path):
    """A user that has a certificate and no password."""
    if pg("SELECT 1 FROM pg_roles WHERE rolname = 'client'") == []:
        pg("CREATE ROLE client LOGIN")
    pg("GRANT ALL ON SCHEMA public TO client")
    hba = os.path.join(pg.broker.directory, "data", "pg_hba.conf")
    with open(hba, encoding="ascii") as f:
        before = f.read()
    with open(hba, "w", encoding="ascii") as f:
        f.write("hostssl all client 127.0.0.1/32 cert\n" + before)
    pg("SELECT pg_reload_conf()")
    for name in ("client.crt", "client.key"):
        shutil.copy(pg.broker.tls(name), tmp_path / name)
        os.chmod(tmp_path / name, 0o600)
    address = f"host=localhost port={pg.port} dbname=notif user=client sslmode=verify-full"
    server = make_server(env=pg.env(table, address=address), args=certs(pg)).start()
    put(server, pg)
    said(server, "offline: .*(certificate|pg_hba)")
    server.env = pg.env(table, address=f"{address} sslcert={tmp_path}/client.crt sslkey={tmp_path}/client.key")
    server.restart()
    pg.wait_keys(table, ["images/k"])


# -- and what does not ---------------------------------------------------------------------------------

REFUSED = {
    "password": (lambda pg: pg.address().replace(PASSWORD, "wrong-secret"), "user or password is wrong.*CONNECTION_STRING_1"),
    "user": (lambda pg: pg.address().replace(f"user={USER}", "user=nobody"), "(user or password is wrong|make the user).*_1"),
    "database": (lambda pg: pg.address().replace("notif", "elsewhere"), "make the database there.*CONNECTION_STRING_1"),
    "untrusted": (lambda pg: pg.address("localhost", sslmode="verify-full"), "certs-dir/CAs"),
    "port": (lambda pg: pg.address(port=1), "Connection refused"),
    "name": (lambda pg: pg.address("no-such-host.invalid"), "name (cannot be|is not) resolved"),
}


@pytest.mark.parametrize("what", ["password", "untrusted", *map(long, ("user", "database", "port", "name"))])
def test_postgres_refused(make_server, pg, table, what):
    address, reason = REFUSED[what]
    server = make_server(env=pg.env(table, address=address(pg))).start()
    put(server, pg)
    said(server, f"offline: .*{reason}")
    assert "-secret" not in server.log().replace("test-secret", "")
    server.env = pg.env(table)
    server.restart()
    pg.wait_keys(table, ["images/k"])


def test_postgres_other_host(make_server, pg, table, certs):
    with Forward(pg.port):
        server = make_server(env=pg.env(table, address=pg.address("127.0.0.2", sslmode="verify-full")), args=certs(pg)).start()
        said(server, "offline: .*(does not name this host|certificate)")


BAD = [("password=my-secret x", "not understood"), ("service=x", "service"), ("host=a port=b", "port"), ("", "is not set")]


@pytest.mark.parametrize("text,reason", BAD, ids=[r for _, r in BAD])
def test_postgres_bad_settings(make_server, pg, table, text, reason):
    server = make_server(env=dict(pg.env(table), MINIO_NOTIFY_POSTGRES_CONNECTION_STRING_1=text)).start()
    assert re.search(f"settings are wrong.*{reason}", server.log(), re.I), server.log()
    assert "my-secret" not in server.log()


# -- its tables ----------------------------------------------------------------------------------------

def test_postgres_names_of_tables(make_server, pg, table):
    """In quotes, with a schema, folded as the server does; each format."""
    pg(f"CREATE SCHEMA IF NOT EXISTS s{table}")
    names = {"1": f'"Events, {table}"', "2": f"s{table}.events", "3": f'"s{table}"."user"', "4": table.upper()}
    env = {}
    for target_id, name in names.items():
        env.update(pg.env(name, target_id, format="access" if target_id == "3" else "namespace"))
    server = make_server(env=env).start()
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", *(rule(arn(t, pg.kind), "s3:ObjectCreated:*") for t in names)).status == 200
    assert server.s3.put("images", "k", b"x").status == 200
    for name in [names["1"], names["2"], names["3"], table]:
        wait_for(lambda: pg.count(name) == 1, 20, name)


@pytest.mark.long
@pytest.mark.parametrize("name,reason", [("nowhere.events", "make the schema there"), ("user", "Write it in quotes")])
def test_postgres_tables_that_cannot_be(make_server, pg, name, reason):
    server = make_server(env=pg.env(name)).start()
    said(server, f"offline: .*{reason}.*MINIO_NOTIFY_POSTGRES_TABLE_1")


@pytest.mark.long
def test_postgres_without_rights(make_server, pg, table):
    role = f"r{table}"
    pg(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    poor = Postgres(pg.broker, user=role)
    server = make_server(env=poor.env(table)).start()
    put(server, pg)
    said(server, "offline: .*GRANT CREATE.*or make the table")
    pg(Postgres.created.format(table))
    said(server, "offline: .*allow the user SELECT, INSERT, UPDATE and DELETE", 40)
    pg(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {role}")
    pg.wait_keys(table, ["images/k"], 60)


@pytest.mark.long
def test_postgres_without_a_key(make_server, pg, table):
    pg(f"CREATE TABLE {table} (key VARCHAR, value JSONB)")
    server = make_server(env=pg.env(table)).start()
    put(server, pg)
    said(server, "offline: .*add PRIMARY KEY")
    pg(f"ALTER TABLE {table} ADD PRIMARY KEY (key)")
    pg.wait_keys(table, ["images/k"], 60)


def test_postgres_refuses_at_the_commit(make_server, pg, table):
    """A constraint that is looked at when the transaction ends does not say which row it is about: it is found."""
    server = make_server(env=pg.env(table)).start()
    put(server, pg, "first")
    pg.wait_keys(table, ["images/first"])
    pg(f"""CREATE FUNCTION no_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             RAISE EXCEPTION 'no poison' USING ERRCODE = 'check_violation'; END $$;
           CREATE CONSTRAINT TRIGGER t AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
             WHEN (NEW.key LIKE '%poison%') EXECUTE FUNCTION no_{table}()""")
    pg.broker.freeze()
    for i in range(60):
        assert server.s3.put("images", f"poison{i}" if i % 20 == 7 else f"k{i}", b"x").status == 200
    pg.broker.thaw()
    wait_for(lambda: pg.count(table) == 58, 60, "the others")
    wait_for(lambda: server.log().count("becomes a dead letter: ") == 3, 20, "three dead letters")


# -- MySQL -----------------------------------------------------------------------------------------------

def my_addresses(my):
    return {
        "plain": my.address(),
        "a name": my.address("localhost"),
        "socket": f"{USER}:{PASSWORD}@unix({my.broker.directory}/s)/notif",
        "parameters": my.address() + "?charset=utf8mb4&parseTime=true&timeout=5s",
        "tls": my.address("localhost", tls="true"),
        "tls of an address": my.address(tls="true"),
        "skip-verify": my.address(tls="skip-verify"),
        "preferred": my.address(tls="preferred"),
    }


@pytest.mark.parametrize("how", ["tls", *map(long, ("plain", "a name", "socket", "parameters", "tls of an address", "skip-verify",
                                                    "preferred"))])
def test_mysql_gets_in(make_server, my, table, certs, how):
    if how == "socket":
        my.admin(f"CREATE USER IF NOT EXISTS '{USER}'@'localhost' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO '{USER}'@'localhost'")
    server = make_server(env=my.env(table, address=my_addresses(my)[how]), args=certs(my)).start()
    put(server, my)
    my.wait_keys(table, ["images/k"])
    assert PASSWORD not in server.log()


def test_mysql_mutual_tls(make_server, my, table, certs):
    address = my.address("localhost", tls="true").replace(f"{USER}:", "x509:")
    server = make_server(env=my.env(table, address=address), args=certs(my)).start()
    put(server, my)
    said(server, "offline: .*client certificate.*DSN_STRING_1")
    server.env = my.env(table, address=address, client_cert=my.broker.tls("client.crt"), client_key=my.broker.tls("client.key"))
    server.restart()
    my.wait_keys(table, ["images/k"])


MY_REFUSED = {
    "password": (lambda my: my.address().replace(PASSWORD, "wrong-secret"), "user or password is wrong.*DSN_STRING_1"),
    "database": (lambda my: my.address().replace("notif", "elsewhere"), "make the database there.*DSN_STRING_1"),
    "untrusted": (lambda my: my.address("localhost", tls="true"), "certs-dir/CAs"),
    "port": (lambda my: my.address(port=1), "efused|is it running"),
    "name": (lambda my: my.address("no-such-host.invalid"), "no-such-host.invalid"),
}


@pytest.mark.parametrize("what", ["password", "untrusted", *map(long, ("database", "port", "name"))])
def test_mysql_refused(make_server, my, table, what):
    address, reason = MY_REFUSED[what]
    server = make_server(env=my.env(table, address=address(my))).start()
    put(server, my)
    said(server, f"offline: .*({reason})")
    assert "-secret" not in server.log().replace("test-secret", "")
    server.env = my.env(table)
    server.restart()
    my.wait_keys(table, ["images/k"])


def test_mysql_other_host(make_server, my, table, certs):
    with Forward(my.port):
        server = make_server(env=my.env(table, address=my.address("127.0.0.2", tls="true")), args=certs(my)).start()
        said(server, "offline: .*2026")


MY_BAD = [("u:my-secret@tcp(h:1)", "slash"), ("u:my-secret@udp(h)/d", "network"), ("u:my-secret@/d?tls=custom", "tls has to be"), ("", "empty")]


@pytest.mark.parametrize("text,reason", MY_BAD, ids=[r for _, r in MY_BAD])
def test_mysql_bad_settings(make_server, my, table, text, reason):
    server = make_server(env=dict(my.env(table), MINIO_NOTIFY_MYSQL_DSN_STRING_1=text)).start()
    assert re.search(f"settings are wrong.*{reason}", server.log()), server.log()
    assert "my-secret" not in server.log()


@pytest.mark.long
def test_mysql_names_of_tables(make_server, my, table):
    names = {"1": f"`Events, {table}`", "2": f"notif.{table}", "3": f"{table}-user"}
    env = {}
    for target_id, name in names.items():
        env.update(my.env(name, target_id))
    server = make_server(env=env).start()
    server.s3.make_bucket("images")
    assert server.s3.set_rules("images", *(rule(arn(t, my.kind), "s3:ObjectCreated:*") for t in names)).status == 200
    assert server.s3.put("images", "k", b"x").status == 200
    for name in [names["1"], table, f"`{table}-user`"]:
        wait_for(lambda: my.count(name) == 1, 20, name)


def test_mysql_without_prepared_statements(make_server, my, table):
    """Rows are a text where the server takes no arrays of values."""
    server = make_server(env=my.env(table)).start()
    my.admin("SET GLOBAL max_prepared_stmt_count = 0")
    try:
        put(server, my, "it's")
        my.wait_keys(table, ["images/it's"])
    finally:
        my.admin("SET GLOBAL max_prepared_stmt_count = DEFAULT")
    assert "offline" not in server.log()


@pytest.mark.long
def test_mysql_without_a_key(make_server, my, table):
    my(f"CREATE TABLE {table} (key_name VARCHAR(700), value JSON)")
    server = make_server(env=my.env(table)).start()
    put(server, my)
    said(server, "offline: .*no unique key on key_name")
    my(f"ALTER TABLE {table} ADD PRIMARY KEY (key_name)")
    my.wait_keys(table, ["images/k"], 60)


@pytest.mark.long
def test_mysql_without_rights(make_server, my, table):
    my.admin(f"CREATE USER 'r{table}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; GRANT CREATE TEMPORARY TABLES ON notif.* TO 'r{table}'@'127.0.0.1'")
    poor = Mysql(my.broker, user=f"r{table}")
    server = make_server(env=poor.env(table)).start()
    put(server, my)
    said(server, "offline: .*GRANT")
    my.admin(f"GRANT ALL ON notif.{table} TO 'r{table}'@'127.0.0.1'")
    my.wait_keys(table, ["images/k"], 60)
