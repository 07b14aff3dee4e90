# SPDX-License-Identifier: Apache-2.0
"""Many of everything that a PUT has to look at: buckets, rules, listeners."""
import os
import threading
import time

from support.listener import listen_target
from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.server import Server
from support.wait import SCALE, wait_for
from torture import instruments
from torture.crowd import Crowd
from torture.row import Row

CREATED = "s3:ObjectCreated:*"
RULES = 1000
READY_S, LIST_S, SCRAPE_S = 1.0, 1.0, 3.0
BUCKET_BYTES = 2 << 10          # of the server's memory, for a bucket with a rule
SLOWER, FLOOR_US = 1.5, 600     # of the median of a PUT: the factor, and what is no difference
P99_SLOWER, P99_FLOOR_US = 2.5, 5000


def compare(ctx, what, there, base, figure="p50", slower=SLOWER, floor=FLOOR_US):
    """Results of belfry-load with and without; a problem when the best of one is worse than the median of the other allows."""
    a, b = [r["latency_us"][figure] for r in base], [r["latency_us"][figure] for r in there]
    ctx.add(acked=sum(r["ok"] for r in base + there))
    for r in base + there:
        if r["errors"] or r["transport_errors"]:
            ctx.problem(f"{what}: requests failed: {r}")
    ctx.note(f"{figure} of a PUT {what}: {instruments.median(b):.0f} us, without {instruments.median(a):.0f} us")
    if min(b) > slower * max(instruments.median(a), min(a)) + floor:
        ctx.problem(f"{figure} of a PUT {what}: {b} us, without {a} us")


def in_turns(loads, seconds, times, prefix):
    """The same load on each, in turns: a list of results for each."""
    found = [[] for _ in loads]
    for i in range(times):
        for load, results in zip(loads, found):
            results.append(load.run("put", 8, prefix=f"{prefix}{i}/", seconds=seconds, rate=400, size=1024))
    return found


def each(n, threads, work):
    """work(connection number, i) for i in 0..n-1, by threads."""
    failed = []

    def run(t):
        try:
            for i in range(t, n, threads):
                work(t, i)
        except Exception as e:                              # noqa: BLE001 - raised below
            failed.append(e)
    all_threads = [threading.Thread(target=run, args=(t,)) for t in range(threads)]
    for t in all_threads:
        t.start()
    for t in all_threads:
        t.join()
    if failed:
        raise failed[0]


class Buckets:
    """A server with n buckets, each with a rule, beside one with a single bucket."""

    def __init__(self, ctx, directory):
        self.ctx, self.sink = ctx, instruments.sink(ctx)
        self.full = ctx.seconds >= 60
        self.n = 10_000 if self.full else 400
        env = dict(webhook_env(f"http://127.0.0.1:{self.sink.port}/"), MINIO_PROMETHEUS_AUTH_TYPE="public")
        self.many, self.one = [Server(os.path.join(directory, d), env=env, binary_path=ctx.binary) for d in ("many", "one")]
        self.name = f"b-{self.n // 2:05}"

    def make(self):
        before, began = instruments.memory(self.many)["RssAnon"], time.monotonic()
        s3, body = self.many.s3, rule(arn("1"), CREATED, prefix="k")
        conns = [self.many.raw() for _ in range(8)]
        document = f"<NotificationConfiguration>{body}</NotificationConfiguration>".encode()

        def work(t, i):
            for target, data in ((f"/b-{i:05}", b""), (f"/b-{i:05}?notification", document)):
                reply = s3.request("PUT", target, body=data, conn=conns[t])
                assert reply.status == 200, reply
        each(self.n, len(conns), work)
        took, size = time.monotonic() - began, (instruments.memory(self.many)["RssAnon"] - before) / self.n
        self.ctx.note(f"{self.n} buckets with a rule each: made in {took:.1f} s ({2 * self.n / took:.0f} requests/s), "
                      f"{size / 1024:.1f} KiB of memory each")
        for c in conns:
            c.close()

    def look(self):
        """Listing, metrics, info; and that a bucket costs no more memory after a start."""
        empty = Server(self.many.directory + "-empty", binary_path=self.ctx.binary).start()
        base, least = instruments.memory(empty)["RssAnon"], empty.ready_after
        empty.stop()
        self.many.restart(deadline=60)
        ready, size = self.many.ready_after, (instruments.memory(self.many)["RssAnon"] - base) / self.n
        self.ctx.recovery(ready)
        began = time.monotonic()
        reply = self.many.s3.request("GET", "/")
        listed = time.monotonic() - began
        if reply.body.count(b"<Name>") != self.n:
            self.ctx.problem(f"{reply.body.count(b'<Name>')} of {self.n} buckets are listed")
        began = time.monotonic()
        reply = self.many.s3.request("GET", "/minio/v2/metrics/bucket", sign=False)
        scraped = time.monotonic() - began
        if reply.body.count(b"minio_bucket_usage_object_total{") != self.n:
            self.ctx.problem(f"metrics answered {reply.status}, with {len(reply.body)} bytes, not all buckets")
        self.ctx.note(f"start with {self.n} buckets {ready:.2f} s (with none {least:.2f} s), {size / 1024:.1f} KiB each; "
                      f"listed in {listed * 1e3:.0f} ms, metrics of all in {scraped * 1e3:.0f} ms")
        for what, took, bound in (("ready", ready, max(READY_S, 12 * least)), ("list", listed, LIST_S),
                                  ("metrics", scraped, SCRAPE_S)):
            if took > bound * SCALE:
                self.ctx.problem(f"{what} with {self.n} buckets: {took:.2f} s")
        if size > BUCKET_BYTES and self.full:
            self.ctx.problem(f"a bucket with a rule takes {size:.0f} bytes of memory")

    def put(self):
        """Beside scrapes of all metrics, too: they are on no thread that serves."""
        seconds, times = (3.0, 3) if self.full else (0.5, 3)
        loads = [instruments.Load(self.ctx, self.many, self.name), instruments.Load(self.ctx, self.one, "single")]
        many, one = in_turns(loads, seconds, times, "k")
        compare(self.ctx, f"beside {self.n} buckets", many, one)

    def rules(self):
        """One bucket with 1,000 rules, beside one with a single one, in the same server."""
        s3 = self.one.s3
        s3.make_bucket("rules")
        began = time.monotonic()
        rules = [rule(arn("1"), CREATED, prefix=f"p{i:04}/", suffix=f".x{i % 7}", rule_id=f"r{i}") for i in range(RULES - 1)]
        reply = s3.set_rules("rules", *rules, rule(arn("1"), CREATED, prefix="k", rule_id="last"))
        took = time.monotonic() - began
        assert reply.status == 200, reply
        assert s3.rules("rules").body.count(b"<QueueConfiguration>") == RULES
        self.ctx.note(f"{RULES} rules were set in {took * 1e3:.0f} ms")
        seconds, times = (3.0, 3) if self.full else (0.5, 3)
        loads = [instruments.Load(self.ctx, self.one, b) for b in ("rules", "single")]
        there, base = in_turns(loads, seconds, times, "k-rules")
        compare(self.ctx, f"in a bucket with {RULES} rules", there, base)

    def run(self):
        self.many.start()
        self.one.start().s3.make_bucket("single")
        assert self.one.s3.set_rules("single", rule(arn("1"), CREATED, prefix="k")).status == 200
        self.make()
        self.look()
        self.put()
        self.rules()
        wait_for(lambda: instruments.queued(self.many) + instruments.queued(self.one) == 0, 30, "empty queues")
        s = self.sink.stats()
        lost = max(0, self.ctx.outcome.counts["acked"] - s["distinct"]) if self.ctx.outcome.counts["runs"] == 0 else 0
        self.ctx.add(events_lost=lost, repeats=s["events"] - s["distinct"])
        if lost:
            self.ctx.problem(f"{lost} events did not arrive")
        self.many.stop()
        self.one.stop()

    def close(self):
        self.many.kill()
        self.one.kill()
        self.sink.__exit__()


def buckets(ctx):
    for number, _ in ctx.rounds():
        directory = os.path.join(ctx.directory, str(number))
        os.makedirs(directory)
        run = Buckets(ctx, directory)
        try:
            run.run()
        finally:
            run.close()


class Listeners:
    """A server whose events many listen to, and some of them do not read."""

    ALL, DEAF = 1000, 10

    def __init__(self, ctx, directory):
        self.ctx, self.full = ctx, ctx.seconds >= 30
        self.server = Server(os.path.join(directory, "data"), binary_path=ctx.binary)
        self.crowd, self.deaf = None, []

    def listen(self):
        s3 = self.server.s3
        self.crowd = Crowd(self.server.host, self.server.port)
        self.crowd.start()
        for i in range(self.ALL - self.DEAF):
            target = listen_target("heard", (CREATED,), prefix=f"k/{i % 256:02x}")
            self.crowd.join_in(f"{i % 256:02x}", s3.build("GET", target))
        for _ in range(self.DEAF):
            c = self.server.raw()
            c.send(s3.build("GET", listen_target("heard", (CREATED,))))
            self.deaf.append(c)
        wait_for(lambda: all(m.got.startswith(b"HTTP/1.1 200") for m in self.crowd.members), 30, "all to be listening")

    def run(self):
        self.server.start().s3.make_bucket("heard")
        load = instruments.Load(self.ctx, self.server, "heard")
        seconds, times = (4.0, 5) if self.full else (0.7, 3)
        load.run("put", 8, prefix="warm/", seconds=0.3, rate=400)

        def measure():
            return [load.run("put", 8, prefix="k/", keyspace=20_000, seconds=seconds, rate=300, size=1024) for _ in range(times)]
        base, before = measure(), instruments.memory(self.server)["RssAnon"]
        self.listen()
        there = measure()
        size = instruments.memory(self.server)["RssAnon"] - before
        compare(self.ctx, f"with {self.ALL} listeners, {self.DEAF} of them deaf", there, base, "p99", P99_SLOWER, P99_FLOOR_US)
        wait_for(lambda: sum(b"s3:ObjectCreated:Put" in m.got for m in self.crowd.members) > self.ALL / 2, 20,
                 "half of the listeners to have heard something")
        silent = sum(1 for m in self.crowd.members if m.ended is not None)
        if silent:
            self.ctx.problem(f"{silent} listeners were ended")
        self.ctx.note(f"they take {size / self.ALL / 1024:.1f} KiB each, the history included")
        began = time.monotonic()
        self.server.stop()
        self.ctx.note(f"SIGTERM with all of them there: ended after {time.monotonic() - began:.1f} s")

    def close(self):
        if self.crowd:
            self.crowd.stop()
        for c in self.deaf:
            c.close()
        self.server.kill()


def listeners(ctx):
    for number, _ in ctx.rounds():
        directory = os.path.join(ctx.directory, str(number))
        os.makedirs(directory)
        run = Listeners(ctx, directory)
        try:
            run.run()
        finally:
            run.close()


ROWS = [
    Row("buckets", "10,000 buckets, 1,000 rules", "with 10,000 buckets that have a rule each (400 when the row has less than 60 s): "
        "ready within 1 s, all listed within 1 s, all metrics within 3 s, at most 2 KiB of memory for each; a PUT takes what it "
        "takes in a server with a single bucket (median, within half as much again); so it does in a bucket with 1,000 rules",
        buckets, least=5, timed=True),
    Row("listeners", "1,000 listeners, 10 not reading", "the p99 of PUT stays within 2.5 times that of the same run without them; "
        "none is ended, and SIGTERM ends the server with all of them there", listeners, least=7, short=False, timed=True)]
