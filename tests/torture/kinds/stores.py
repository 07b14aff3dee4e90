# SPDX-License-Identifier: Apache-2.0
"""Databases, in both formats: MariaDB, PostgreSQL, Elasticsearch, Redis."""
from support.brokers import PASSWORD, USER
from support.elastic import Elastic, elastic_env
from support.redis import Redis, redis_env
from support.sql import Mysql, Postgres
from support.wait import wait_for

from .base import JOURNAL, MIRROR, Entry, Kind


class Sql(Kind):
    mirrors = True
    window = at_kill = 500

    def prepare(self):
        self.db.make_journal(JOURNAL)

    def env(self):
        return self.envs(self.db.address(port=self.wire.port))

    def envs(self, address):
        journal, mirror = self.ids
        return dict(self.db.env(JOURNAL, journal, address, format="access"), **self.db.env(MIRROR, mirror, address))

    def entries(self):
        return self.old + [Entry(r.record) for r in self.db.journal(JOURNAL)]

    def mirror(self):
        return self.db.mirror(MIRROR)

    def count(self):
        return self.db.count(JOURNAL)

    def lose(self, run):
        """Both tables, as they stand; Belfry makes new ones. That of the journal does not number its rows; how it tells their
        order all the same is the database's matter, and it soon makes place for one that does."""
        self.losses += 1
        n = self.losses
        self.rename(JOURNAL, f"{JOURNAL}_a{n}")
        self.rename(MIRROR, f"{MIRROR}_a{n}")
        self.old += [Entry(r.record) for r in self.db.journal(f"{JOURNAL}_a{n}")]
        self.old_mirror = dict(self.old_mirror, **self.db.mirror(f"{MIRROR}_a{n}"))
        wait_for(lambda: self.db.count(JOURNAL) > 0, 40, "a new table")
        self.db.make_journal(f"{JOURNAL}_next")
        self.swap(JOURNAL, f"{JOURNAL}_b{n}", f"{JOURNAL}_next")
        self.old += [Entry(r.record) for r in self.db.journal(f"{JOURNAL}_b{n}")]

    def rename(self, table, to):
        self.db(f"ALTER TABLE {table} RENAME TO {to}")


class PostgresKind(Sql):
    name = target = "postgresql"
    window = at_kill = 1000
    broker_name = "postgres"

    def make(self):
        super().make()
        self.db = Postgres(self.broker)

    def swap(self, table, to, new):
        self.db(f"BEGIN; ALTER TABLE {table} RENAME TO {to}; ALTER TABLE {new} RENAME TO {table}; COMMIT")

    def later(self):
        """As a standby: it reads only."""
        self.db("ALTER SYSTEM SET default_transaction_read_only = on")
        self.db("SELECT pg_reload_conf()")

    def later_over(self):
        self.db("SET default_transaction_read_only = off")
        self.db("ALTER SYSTEM RESET default_transaction_read_only")
        self.db("SELECT pg_reload_conf()")


class MysqlKind(Sql):
    name = target = "mysql"
    broker_name = "mariadb"
    early = True

    def make(self):
        super().make()
        self.db = Mysql(self.broker)

    def env(self):
        """As a user who is bound by read_only."""
        return self.envs(self.db.address(port=self.wire.port).replace(USER, "belfry", 1))

    def prepare(self):
        super().prepare()
        self.db.admin(f"CREATE USER 'belfry'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON notif.* TO 'belfry'@'127.0.0.1'")

    def swap(self, table, to, new):
        self.db(f"RENAME TABLE {table} TO {to}, {new} TO {table}")

    def later(self):
        self.db.admin("SET GLOBAL read_only = 1")

    def later_over(self):
        self.db.admin("SET GLOBAL read_only = 0")


class ElasticKind(Kind):
    name = target = broker_name = "elasticsearch"
    mirrors, once, early, look_s, pause_s = True, "always", True, 1, 0.04

    def env(self):
        (journal, mirror), url = self.ids, f"http://{self.address}"
        return dict(elastic_env(url, journal, index=JOURNAL, format="access"), **elastic_env(url, mirror, index=MIRROR))

    def prepare(self):
        self.elastic = Elastic(self.broker)

    def all(self, index):
        """Every document in the order in which it was written: the only shard numbers what it does. A search gives 10,000 at
        most."""
        self.elastic("POST", f"/{index}/_refresh")
        return self.visible(index)

    def visible(self, index):
        """The same, as far as a search shows it."""
        found, e = [], self.elastic
        if e("HEAD", f"/{index}")[0] == 404:
            return found
        status, page = e("POST", f"/{index}/_search?scroll=1m&size=5000", {"sort": ["_doc"], "seq_no_primary_term": True})
        scroll = page.get("_scroll_id")
        while page["hits"]["hits"]:
            assert page["_shards"]["total"] == page["_shards"]["successful"] == 1, page["_shards"]
            found += [(h["_primary_term"], h["_seq_no"], h["_source"]["Records"][0]) for h in page["hits"]["hits"]]
            _, page = e("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})
        e("DELETE", "/_search/scroll", {"scroll_id": scroll})
        return [r for _, _, r in sorted(found, key=lambda f: f[:2])]

    def entries(self):
        return self.old + list(map(Entry, self.all(JOURNAL)))

    def mirror(self):
        return by_name(self.all(MIRROR))

    def look(self):
        """Once a second it shows what is new by itself; made to with each look it hardly does anything else."""
        return by_name(self.visible(MIRROR))

    def count(self):
        return self.elastic.count(JOURNAL)

    def lose(self, run):
        with run.still(self):
            self.save()
            self.losses += 1
            for index in (JOURNAL, MIRROR):
                assert self.elastic("DELETE", f"/{index}")[0] == 200

    def block(self, value):
        for index in (JOURNAL, MIRROR):
            assert self.elastic("PUT", f"/{index}/_settings", {"index.blocks.read_only_allow_delete": value})[0] == 200

    def later(self):
        """As when its disk is full: 429."""
        self.block(True)

    def later_over(self):
        self.block(None)


def by_name(records):
    return {f"{e.bucket}/{e.key}": r for r in records for e in [Entry(r)]}


class RedisKind(Kind):
    name = target = "redis"
    mirrors = True

    def make(self):
        self.broker = Redis(self.directory)

    def env(self):
        journal, mirror = self.ids
        return dict(redis_env(self.address, journal, key=JOURNAL, format="access"), **redis_env(self.address, mirror, key=MIRROR))

    def entries(self):
        return self.old + [Entry(i.record) for i in self.broker.list(JOURNAL)]

    def mirror(self):
        return self.broker.hash(MIRROR)

    def count(self):
        return self.broker("LLEN", JOURNAL)

    def lose(self, run):
        """Both keys, as they stand."""
        self.losses += 1
        n = self.losses
        for key in (JOURNAL, MIRROR):
            self.broker("RENAME", key, f"{key}-{n}")
        self.old += [Entry(i.record) for i in self.broker.list(f"{JOURNAL}-{n}")]
        self.old_mirror = dict(self.old_mirror, **self.broker.hash(f"{MIRROR}-{n}"))

    def later(self):
        """It is full."""
        self.broker("CONFIG", "SET", "maxmemory", 1)

    def later_over(self):
        self.broker("CONFIG", "SET", "maxmemory", 0)
