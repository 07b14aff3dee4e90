# SPDX-License-Identifier: Apache-2.0
"""Databases that events are sent to: a real broker, asked by its own client (psql, mariadb)."""
import contextlib
import json
import os
import subprocess
import urllib.parse

from .brokers import PASSWORD, USER
from .wait import SCALE, wait_for


class SqlError(Exception):
    """The server refused a statement."""


class Row:
    """One row of format access."""

    def __init__(self, time, data):
        (self.record,) = json.loads(data)["Records"]
        self.time, self.data, self.event = time, data, self.record["eventName"]
        thing = self.record["s3"]
        self.key = f'{thing["bucket"]["name"]}/{urllib.parse.unquote_plus(thing["object"]["key"])}'
        self.sequencer = thing["object"]["sequencer"]


class Database:
    """Of one kind: what differs is below."""

    def __init__(self, broker, user=USER, password=PASSWORD, database="notif"):
        self.broker, self.user, self.password, self.database = broker, user, password, database

    @property
    def port(self):
        return self.broker.port

    def run(self, command, env, sql):
        done = subprocess.run(command, env=dict(os.environ, **env), input=sql, capture_output=True, text=True,
                              timeout=60 * SCALE, check=False)
        if done.returncode:
            raise SqlError(done.stderr)
        return done.stdout

    def mirror(self, table):
        """key -> record"""
        rows = self(f"SELECT {self.key}, value FROM {table}")
        return {k: json.loads(v)["Records"][0] for k, v in rows}

    def make_journal(self, table):
        """A table for format access that numbers what is written."""
        self(self.numbered.format(table))

    def journal(self, table):
        """The rows in the order in which they were written. Where make_journal has not made it they have no number: then
        PostgreSQL tells the transactions apart, and the rows of one by their places, and InnoDB keeps a table without a key by a
        number of its own that grows."""
        try:
            return [Row(*r) for r in self(f"SELECT event_time, event_data FROM {table} ORDER BY n")]
        except SqlError:
            return [Row(*r) for r in self(f"SELECT event_time, event_data FROM {table} {self.by_age}")]

    def count(self, table):
        """-1: there is no such table."""
        try:
            return int(self(f"SELECT count(*) FROM {table}")[0][0])
        except SqlError:
            return -1

    def wait_keys(self, table, keys, deadline=20):
        """Waits until exactly these rows are there."""
        def there():
            try:
                return {r[0] for r in self(f"SELECT {self.key} FROM {table}")} == set(keys)
            except SqlError:
                return False
        wait_for(there, deadline, f"the rows {sorted(keys)[:20]} of {table}")
        return self.mirror(table)

    def wait_journal(self, table, n, deadline=20):
        wait_for(lambda: self.count(table) >= n, deadline, f"{n} rows of {table}")
        return self.journal(table)

    def env(self, table, target_id="1", address=None, **keys):
        """Environment of one target; keys such as format, or that of the address."""
        keys = {self.address_key: address or self.address(), "table": table, "format": "namespace", **keys}
        suffix = f"_{target_id}" if target_id else ""
        env = {f"MINIO_{self.subsys}_ENABLE{suffix}": "on"}
        env.update({f"MINIO_{self.subsys}_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
        return env


class Postgres(Database):
    kind, subsys, address_key, broker_name = "postgresql", "NOTIFY_POSTGRES", "connection_string", "postgres"
    by_age = "ORDER BY xmin::text::bigint, ctid"
    key = "key"
    numbered = "CREATE TABLE {0} (event_time TIMESTAMP WITH TIME ZONE NOT NULL, event_data JSONB, n BIGSERIAL)"
    two_columns = created = "CREATE TABLE {0} (key VARCHAR PRIMARY KEY, value JSONB)"

    def refuse_poison(self, table, style):
        what = "key" if style == "namespace" else "event_data::text"
        return f"ALTER TABLE {table} ADD CHECK ({what} NOT LIKE '%poison%')"

    @contextlib.contextmanager
    def locked(self, table):
        """Another session holds the table."""
        command = [*self.command(), "-c", f"BEGIN; LOCK TABLE {table}", "-c", "SELECT 'held'", "-f", "-"]
        env = dict(os.environ, PGPASSWORD=self.password, PGSSLMODE="disable")
        with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
            assert session.stdout.readline().strip() == b"held"
            yield
            session.stdin.close()

    def address(self, host="127.0.0.1", port=None, sslmode="disable", **more):
        text = f"host={host} port={port or self.port} dbname={self.database} user={self.user} password={self.password}"
        return " ".join([text, f"sslmode={sslmode}", *(f"{k}={v}" for k, v in more.items())])

    def command(self):
        return ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user,
                "-d", self.database]

    def __call__(self, sql):
        command = [*self.command(), "-F", "\x1f", "-R", "\x1e", "-f", "-"]
        out = self.run(command, {"PGPASSWORD": self.password, "PGCLIENTENCODING": "UTF8", "PGSSLMODE": "disable"}, sql)
        out = out.removesuffix("\n")
        return [r.split("\x1f") for r in out.split("\x1e")] if out else []


class Mysql(Database):
    kind, subsys, address_key, broker_name = "mysql", "NOTIFY_MYSQL", "dsn_string", "mariadb"
    by_age = ""
    key = "key_name"
    two_columns = "CREATE TABLE {0} (key_name VARCHAR(700) PRIMARY KEY, value JSON) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    created = ("CREATE TABLE {0} (key_name VARCHAR(3072) NOT NULL, key_hash CHAR(64) GENERATED ALWAYS AS (SHA2(key_name, 256)) "
               "STORED, value JSON, UNIQUE KEY (key_hash)) CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin ROW_FORMAT = Dynamic")
    numbered = "CREATE TABLE {0} (event_time DATETIME NOT NULL, event_data JSON, n BIGINT AUTO_INCREMENT PRIMARY KEY)"

    def refuse_poison(self, table, style):
        what = "key_name" if style == "namespace" else "event_data"
        return f"ALTER TABLE {table} ADD CHECK ({what} NOT LIKE '%poison%')"

    @contextlib.contextmanager
    def locked(self, table):
        """Another session holds the table."""
        env = dict(os.environ, MYSQL_PWD=self.password)
        with subprocess.Popen([*self.command(), "-n"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
            session.stdin.write(f"LOCK TABLES {table} WRITE; SELECT 'held';\n".encode())
            session.stdin.flush()
            assert session.stdout.readline().strip() == b"held"
            yield
            session.stdin.close()

    def address(self, host="127.0.0.1", port=None, tls=None):
        text = f"{self.user}:{self.password}@tcp({host}:{port or self.port})/{self.database}"
        return f"{text}?tls={tls}" if tls else text

    def admin(self, sql):
        """As root, who may make users."""
        return self.run(["mariadb", "--no-defaults", "-S", f"{self.broker.directory}/s", "-u", "root"], {}, sql)

    def command(self):
        return ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", self.user, "--batch", "--raw",
                "--skip-column-names", "--default-character-set=utf8mb4", self.database]

    def __call__(self, sql):
        out = self.run(self.command(), {"MYSQL_PWD": self.password}, sql)
        return [r.split("\t") for r in out.split("\n")[:-1]]


DATABASES = {d.kind: d for d in (Mysql, Postgres)}
