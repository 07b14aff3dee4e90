# SPDX-License-Identifier: Apache-2.0
"""All kinds of requests at once for long: nothing may grow."""
import json
import os
import random
import threading
import time

from support.listener import Listener
from support.multipart import MIB, Upload
from support.receiver import webhook_env
from support.redis import Redis, redis_env
from support.s3raw import arn, key_path, rule
from support.server import Server
from support.wait import SCALE, wait_for
from torture import instruments, plot
from torture.row import Row

BUCKET = "flat"
KEYS, FILE_KEYS, PART_KEYS = 4000, 200, 8
LONG_S = 600            # from here on growth is judged by the hour
KINDS = {               # what is sampled -> growth per hour that is still flat: part of its size, and bytes or descriptors
    "memory": (0.10, 8 * MIB),
    "descriptors": (0.0, 16),
    "disk": (0.25, 64 * MIB),
    "log": (0.25, 32 * MIB),
    "rows": (0.25, 32 * MIB),
    "bodies in rows": (0.25, 64 * MIB),
    "files": (0.25, 64 * MIB),
}


class Client(threading.Thread):
    """What belfry-load does not do: uploads in parts (finished, given up, aborted), copies, tags, a listener that comes
    and goes, a bucket that is made, filled and removed."""

    def __init__(self, row, seed):
        super().__init__(daemon=True)
        self.row, self.random, self.done = row, random.Random(seed), 0
        self.over, self.problems = threading.Event(), []

    def run(self):
        steps = [self.upload, self.copy, self.tag, self.listen, self.bucket]
        while not self.over.is_set():
            for step in steps:
                try:
                    step(self.row.server.s3)
                    self.done += 1
                except Exception as e:                      # noqa: BLE001 - told at the end, with all others
                    self.problems.append(f"{step.__name__}: {e!r}")

    def want(self, reply, *right):
        if reply.status not in right:
            self.problems.append(repr(reply)[:300])
        return reply

    def upload(self, s3):
        u = Upload(s3, BUCKET, f"parts/{self.random.randrange(PART_KEYS)}")
        self.want(u.put(1, os.urandom(5 * MIB)), 200)
        self.want(u.put(2, os.urandom(self.random.randrange(1, 200_000))), 200)
        if self.random.random() < 0.3:
            self.want(u.abort(), 204)
        else:
            self.want(u.complete(), 200)

    def copy(self, s3):
        source = f"parts/{self.random.randrange(PART_KEYS)}"
        headers = [("x-amz-copy-source", key_path(BUCKET, source))]
        self.want(s3.put(BUCKET, f"copies/{self.random.randrange(PART_KEYS)}", headers=headers), 200, 404)

    def tag(self, s3):
        body = b"<Tagging><TagSet><Tag><Key>a</Key><Value>%d</Value></Tag></TagSet></Tagging>" % self.random.randrange(1000)
        path = key_path(BUCKET, f"parts/{self.random.randrange(PART_KEYS)}") + "?tagging"
        self.want(s3.request("PUT", path, body=body), 200, 404)

    def listen(self, _):
        with Listener(self.row.server, BUCKET) as listener:
            self.over.wait(0.2)
        assert listener.ended

    def bucket(self, s3):
        name = f"flat-{self.random.randrange(1000)}"
        self.want(s3.request("PUT", f"/{name}"), 200)
        for i in range(20):
            self.want(s3.put(name, f"k{i}", b"x" * 3000), 200)
        self.want(s3.request("DELETE", f"/{name}", [("x-minio-force-delete", "true")]), 204)


class FullLoad:
    """The server, its two receivers, the clients, and the samples."""

    def __init__(self, ctx, directory):
        self.ctx = ctx
        self.sink, self.redis = instruments.sink(ctx), Redis(os.path.join(directory, "redis"), durable=False)
        env = dict(webhook_env(f"http://127.0.0.1:{self.sink.port}/"), **redis_env(self.redis), MINIO_PROMETHEUS_AUTH_TYPE="public")
        self.server = Server(os.path.join(directory, "data"), binary_path=ctx.binary, env=env)
        self.samples, self.began = [], 0.0

    def start(self):
        self.redis.start()
        self.server.start()
        s3 = self.server.s3
        s3.make_bucket(BUCKET)
        events = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
        assert s3.set_rules(BUCKET, rule(arn("1"), *events), rule(arn("1", "redis"), *events)).status == 200
        self.began = time.monotonic()

    def sample(self):
        sizes, mem = instruments.disk(self.server.directory), instruments.memory(self.server)
        self.samples.append({"time": time.monotonic() - self.began, "memory": mem["RssAnon"], "all memory": mem["VmRSS"],
                             "descriptors": self.server.open_files(), "disk": sizes["all"], "log": sizes["log"],
                             "rows": sizes["sst"], "bodies in rows": sizes["blob"], "files": sizes["files"],
                             "delivered": self.sink.stats()["events"]})

    def load(self, seconds):
        """Processes of belfry-load: small bodies as fast as they go, and files."""
        load, more = instruments.Load(self.ctx, self.server, BUCKET), {"seconds": seconds, "timeout": 120}
        return [load.start("mixed", 16, prefix="s/", keyspace=KEYS, size=1024, mix="45,25,5,25", **more),
                load.start("mixed", 8, prefix="f/", keyspace=FILE_KEYS, size=100_000, mix="45,25,5,25", rate=200, **more)]

    def run(self, seconds, seed):
        every = max(0.5, min(5.0, seconds / 60))
        client, processes = Client(self, seed), self.load(seconds)
        client.start()
        try:
            while all(p.poll() is None for p in processes):
                self.sample()
                instruments.until(every, *processes)
            results = [instruments.Load.result(p) for p in processes]
        finally:
            client.over.set()
            for p in processes:
                with instruments.running(p):
                    pass
        client.join(60 * SCALE)
        self.judge_requests(results, client)

    def judge_requests(self, results, client):
        for r in results:
            wrong = {s: n for s, n in r["status"].items() if s not in ("200", "204", "404")}
            if wrong or r["transport_errors"] or r["wrong_body"]:
                self.ctx.problem(f"requests failed: {wrong}, {r['transport_errors']} without an answer, "
                                 f"{r['wrong_body']} with other bytes")
        for text in client.problems[:10]:
            self.ctx.problem(text)
        took = self.samples[-1]["time"]
        self.ctx.add(acked=sum(r["ok"] for r in results))
        self.ctx.note(f"{sum(r['requests'] for r in results) / took:.0f} requests/s, {client.done} steps of other kinds, "
                      f"{self.samples[-1]['delivered'] / took:.0f} events/s to the webhook, over {took / 60:.1f} min")

    # -- the verdict ---------------------------------------------------------------
    def growth(self, name):
        """(median of the middle third, median of the last third, growth per hour over both), after the first third."""
        end = self.samples[-1]["time"]
        late = [s for s in self.samples if s["time"] >= end / 3]
        points = [(s["time"], s[name]) for s in late]
        third = [v for t, v in points if t < 2 * end / 3], [v for t, v in points if t >= 2 * end / 3]
        return instruments.median(third[0]), instruments.median(third[1]), instruments.slope(points) * 3600

    def judge_growth(self):
        long, end = self.samples[-1]["time"] >= LONG_S, self.samples[-1]["time"]
        told = []
        for name, (part, more) in KINDS.items():
            before, after, per_hour = self.growth(name)
            if long:
                bound = part * before + more
                grows = per_hour > bound and after - before > bound * end / 3600 / 3
            else:
                grows = after > 1.5 * before + 2 * more
            if grows:
                self.ctx.problem(f"{name} grows: {before:.0f}, then {after:.0f}; {per_hour:.0f} an hour")
            unit, size = ("", 1) if name == "descriptors" else (" MiB", MIB)
            told.append(f"{name} {before / size:.0f} → {after / size:.0f}{unit}" +
                        (f" ({per_hour / size:+.1f}/h)" if long else ""))
        self.ctx.note("; ".join(told))

    def drain(self):
        """The queues are empty in the end, and what they took on the disk is given back."""
        wait_for(lambda: instruments.queued(self.server) == 0, 60, "empty queues")

    def draw(self, path):
        def line(name, size=1.0):
            return [(s["time"], s[name] / size) for s in self.samples]
        rate = [(b["time"], (b["delivered"] - a["delivered"]) / (b["time"] - a["time"]))
                for a, b in zip(self.samples, self.samples[1:]) if b["time"] > a["time"]]
        plot.draw(path, f"{self.samples[-1]['time'] / 60:.0f} minutes at full load", [
            ("resident memory, MiB", {"all": line("all memory", MIB), "of its own": line("memory", MIB)}),
            ("open descriptors", {"descriptors": line("descriptors")}),
            ("on the disk, MiB", {"all": line("disk", MIB), "log": line("log", MIB), "rows": line("rows", MIB),
                                  "bodies in rows": line("bodies in rows", MIB), "files": line("files", MIB)}),
            ("events delivered to the webhook, per second", {"events": rate})])

    def close(self):
        self.server.kill()
        self.sink.__exit__()
        self.redis.kill()


def full_load(ctx):
    for number, rng in ctx.rounds():
        directory = os.path.join(ctx.directory, str(number))
        os.makedirs(directory)
        run = FullLoad(ctx, directory)
        try:
            run.start()
            run.run(max(5.0, ctx.left() * 0.9), rng.random())
            run.judge_growth()
            run.drain()
            run.server.stop()
        finally:
            run.close()
            if run.samples:
                run.draw(os.path.join(os.path.dirname(ctx.directory), f"full-load-{number}.svg"))
                with open(os.path.join(os.path.dirname(ctx.directory), f"full-load-{number}.json"), "w", encoding="utf-8") as f:
                    json.dump(run.samples, f)


ROWS = [Row("full-load", "full load for long", "with PUT, GET, DELETE, uploads in parts, copies, tags, listeners and buckets that "
            "come and go, and rules to a webhook and a Redis: no request fails; after a warm-up of a third resident memory, "
            "descriptors and disk (log, rows, bodies) stay flat: for less than 10 minutes within half as much again, otherwise "
            "by the growth an hour; drawn in build/torture/SEED/full-load-N.svg", full_load, share=4, least=7, timed=True)]
