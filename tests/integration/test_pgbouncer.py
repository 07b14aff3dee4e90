# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL behind pgbouncer: by sessions, and by transactions, when each may go to another connection of the database."""
import contextlib
import os
import shutil
import socket
import subprocess
import threading

import pytest
from support.brokers import PASSWORD, PORTS, USER, free_ports
from support.s3raw import arn, rule
from support.sql import Postgres
from support.wait import wait_for

pytestmark = pytest.mark.brokers


@pytest.fixture(scope="module")
def pg(start_broker):
    return Postgres(start_broker("postgres"))


class Pooler:
    """pgbouncer before a database, with three connections to it."""

    def __init__(self, pg, mode):
        self.port, self.process = free_ports(PORTS), None
        self.directory = os.path.join(pg.broker.directory, f"pooler-{mode}")
        self.ini = os.path.join(self.directory, "pgbouncer.ini")
        users = os.path.join(self.directory, "users.txt")
        os.makedirs(self.directory, exist_ok=True)
        with open(users, "w", encoding="ascii") as f:
            f.write(f'"{USER}" "{PASSWORD}"\n')
        with open(self.ini, "w", encoding="ascii") as f:
            f.write(f"[databases]\n* = host=127.0.0.1 port={pg.port}\n"
                    f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
                    f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = {mode}\ndefault_pool_size = 3\n")
        if os.geteuid() == 0:                           # which pgbouncer refuses
            for path in (self.directory, users, self.ini):
                shutil.chown(path, "brokers", "brokers")

    def __enter__(self):
        who = {"user": "brokers", "group": "brokers", "extra_groups": []} if os.geteuid() == 0 else {}
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen([program, self.ini], stdout=log, stderr=log, **who)
        try:
            wait_for(self.taken, 20, "pgbouncer to take connections")
        except BaseException:
            self.__exit__()
            raise
        return self

    def taken(self):
        assert self.process.poll() is None, f"pgbouncer ended: see {self.directory}/log"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


def in_four(puts):
    """Calls puts(0) to puts(3) at the same time, each with what goes wrong in it."""
    wrong = []

    def one(t):
        try:
            puts(t)
        except Exception as e:                          # noqa: BLE001 - for the test
            wrong.append(e)
    threads = [threading.Thread(target=one, args=(t,)) for t in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_pgbouncer(make_server, pg, mode):
    """Both formats: a single row, a batch with a row that is refused, after the pooler was killed under them; removals."""
    table, journal = f"mirror_{mode}", f"journal_{mode}"
    pooler = Pooler(pg, mode)
    address = pg.address(port=pooler.port)
    server = make_server(env={**pg.env(table, address=address), **pg.env(journal, "2", address=address, format="access")})
    with pooler:
        s3 = server.start().s3
        s3.make_bucket("images")
        events = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
        assert s3.set_rules("images", rule(arn("1", pg.kind), *events), rule(arn("2", pg.kind), *events)).status == 200
        assert s3.put("images", "first", b"x").status == 200
        pg.wait_keys(table, ["images/first"])
        pg.wait_journal(journal, 1)
        pg(pg.refuse_poison(table, "namespace"))

    def puts(t):
        with server.raw() as c:
            for i in range(t, 200, 4):
                assert s3.put("images", "poison" if i == 100 else f"k{i}", b"x", conn=c).status == 200
    in_four(puts)
    keys = [f"images/k{i}" for i in range(200) if i != 100]
    with pooler:
        pg.wait_keys(table, ["images/first", *keys], 60)
        for key in keys[:50]:
            assert s3.delete(*key.split("/")).status == 204
        pg.wait_keys(table, ["images/first", *keys[50:]], 60)
        happened = {(k, "s3:ObjectCreated:Put") for k in ["images/first", "images/poison", *keys]}
        happened |= {(k, "s3:ObjectRemoved:Delete") for k in keys[:50]}
        wait_for(lambda: {(r.key, r.event) for r in pg.journal(journal)} == happened, 60, "every event in the journal")
    last = {r.key: r.event for r in pg.journal(journal)}
    assert {k for k, event in last.items() if event.endswith("Delete")} == set(keys[:50])
    assert "poison" in server.log()
