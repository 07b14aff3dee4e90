# SPDX-License-Identifier: Apache-2.0
"""A real Redis as a further receiver, in both formats: a list of everything, a hash that mirrors the objects. It is killed
now and then itself; it syncs every command, so what it has answered it still has afterwards."""
import os
import threading

from support.redis import Redis, redis_env
from support.s3raw import arn, rule
from support.wait import wait_for

from . import verify
from .model import ACKED, HAPPENED, LOST, OBJECTS
from .workers import BUCKET

BATCH = 256             # events that the Redis target sends at once
LIST, HASH = "journal", "mirror"


class Entry:
    """One item of the list, as verify looks at deliveries."""

    def __init__(self, item):
        record = item.record
        self.bucket = record["s3"]["bucket"]["name"]
        self.key = record["s3"]["object"]["key"].replace("%2F", "/")
        agent = record["source"]["userAgent"]
        self.event, self.number = item.event, int(agent[3:]) if agent.startswith("op-") else None
        self.sequencer, self.etag = item.sequencer, record["s3"]["object"].get("eTag")

    @property
    def identity(self):
        return self.number, self.key

    @property
    def place(self):
        return self.sequencer, self.number or 0


class Mirrors:
    """The Redis of one run."""

    def __init__(self, directory):
        self.redis = Redis(os.path.join(directory, "redis"))
        self.env = dict(redis_env(self.redis, LIST, key=LIST, format="access"), **redis_env(self.redis, HASH, key=HASH))
        self.rules = [rule(arn(t, "redis"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for t in (LIST, HASH)]
        self.kills = self.repeats = 0
        self._over = threading.Event()
        self._thread = None

    def start(self):
        self.redis.start()

    def stop(self):
        self.redis.kill()

    # -- one round ------------------------------------------------------------------
    def begin_round(self, random):
        """It stays up, is away for the whole round, or is killed and started again within it."""
        self._over.clear()
        mood = random.choices([None, self._away, self._killed], [60, 10, 30])[0]
        self._thread = threading.Thread(target=mood, args=(random.uniform(0.05, 0.5),)) if mood else None
        if self._thread:
            self._thread.start()

    def _away(self, _):
        self.redis.kill()
        self.kills += 1
        self._over.wait()
        self.redis.start()

    def _killed(self, after):
        self._over.wait(after)
        self.redis.kill()
        self.kills += 1
        self.redis.start()

    def end_round(self):
        self._over.set()
        if self._thread:
            self._thread.join()

    def bury(self):
        """Until it has seen the end of the dead server's connections: nothing of it comes after something of the next."""
        if self._over.is_set():
            wait_for(lambda: b"name=Belfry" not in self.redis("CLIENT", "LIST"), 20, "the old connections to Redis to end")

    # -- the verdict ------------------------------------------------------------------
    def entries(self):
        return [Entry(i) for i in self.redis.list(LIST)]

    def missing(self, run):
        got = {e.identity for e in self.entries()}
        return [op for op in run.journal.ops.values() if op.status in (ACKED, HAPPENED) and (op.number, op.key) not in got]

    def check(self, run):
        """Every acknowledged change is in the list, in order; the hash is what the objects are."""
        try:
            wait_for(lambda: not self.missing(run), run.patience, "every event to be in Redis' list")
        except AssertionError:
            lost = self.missing(run)
            run.journal.problem(f"{len(lost)} events never came to Redis: {lost[:10]}", LOST, len(lost))
        entries, by_key = self.entries(), {}
        for e in entries:
            verify.check_one(run, e)
            by_key.setdefault(e.key, []).append(e)
        for key, es in by_key.items():
            verify.check_order(run, f"Redis: {key}", es)
        self.repeats = repeats = len(entries) - len({e.identity for e in entries})
        allowed = BATCH * (run.kills + self.kills + 1)
        if repeats > allowed:
            run.journal.problem(f"{repeats} repeats in Redis' list, more than {allowed}")
        self.check_hash(run, {key: max(e.place for e in es) for key, es in by_key.items()})
        run.log(f"Redis: {len(entries)} events, {repeats} repeats, killed {self.kills} times itself")
        return len(entries)

    def check_hash(self, run, last):
        pages = run.server.boto().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        objects = {f"{BUCKET}/{o['Key']}": o["ETag"].strip('"') for o in pages.search("Contents[]") if o}

        def mirror():
            return {f: r["s3"]["object"].get("eTag") for f, r in self.redis.hash(HASH).items()}
        try:
            wait_for(lambda: mirror() == objects, run.patience, "the hash to be what the objects are")
        except AssertionError:
            found = mirror()
            wrong = sorted(f for f in set(found) | set(objects) if found.get(f) != objects.get(f))
            run.journal.problem(f"Redis' hash differs from the objects in {len(wrong)} keys: {wrong[:10]}",
                                OBJECTS, len(wrong))
        for field, record in self.redis.hash(HASH).items():
            place = record["s3"]["object"]["sequencer"], int(record["source"]["userAgent"].removeprefix("op-"))
            if place != last.get(field.removeprefix(f"{BUCKET}/")):
                run.journal.problem(f"Redis' hash has another event of {field} than the last")

    def check_quiet(self, run, entries):
        """What was delivered is not delivered again."""
        if self.redis("LLEN", LIST) != entries:
            run.journal.problem(f"{self.redis('LLEN', LIST) - entries} events in Redis' list again after a clean restart")
