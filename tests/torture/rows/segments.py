# SPDX-License-Identifier: Apache-2.0
"""A long outage: the backlog moves into files of the queue_dir and comes back. And what a MinIO left in a queue_dir."""
import base64
import glob
import hashlib
import json
import os
import random as random_module
import re
import signal
import threading
import time
import uuid

from support.admin import Admin
from support.rawhttp import ConnectionEnded
from support.receiver import Receiver, webhook_env
from support.redis import Redis, redis_env
from support.s3raw import arn, rule
from support.server import Server, run as run_program
from support.wait import wait_for
from torture.row import Row

BUCKET, LIST = "backlog", "journal"
IDENTITY = re.compile(rb'"key":"([^"]+)".*?"userAgent":"op-(\d+)"')
IN_FLIGHT = {"redis": 2 * 256, "webhook": 3 * 32}       # what is out, was confirmed meanwhile, is being removed
MOVING = ["segment-named", "segment-half", "segment-before-sync", "segment-synced", "segment-moved", "batch-before-write"]
DRAINING = ["segment-opened", "segment-before-unlink", "segment-unlinked", "event-before-send", "event-sent", "event-removed"]
# How often a point is passed within a second of such a life.
OFTEN = {"segment-before-unlink": 2, "segment-unlinked": 2, "segment-opened": 8, "batch-before-write": 100}


class Backlog:
    """A server with Redis (and, when asked, a webhook) as targets, which share one queue_dir; what it acknowledged, and
    what came of it."""

    def __init__(self, ctx, number, limits=None, webhook=False):
        self.ctx = ctx
        self.directory = os.path.abspath(os.path.join(ctx.directory, str(number)))
        self.queue = os.path.join(self.directory, "queue")
        self.redis = Redis(os.path.join(self.directory, "redis"))
        self.receiver = Receiver() if webhook else None
        env = redis_env(self.redis, "1", key=LIST, format="access", queue_dir=self.queue)
        if webhook:
            env.update(webhook_env(self.receiver, "1", queue_dir=self.queue))
        if limits:
            env["BELFRY_TEST_SEGMENTS"] = limits
        self.server = Server(os.path.join(self.directory, "store"), env=env, binary_path=ctx.binary)
        self.acked, self.maybe, self.next = {}, {}, 1
        self.lock = threading.Lock()

    def begin(self):
        os.makedirs(self.directory, exist_ok=True)
        self.server.start()
        self.server.s3.make_bucket(BUCKET)
        rules = [rule(arn(1, "redis"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*")]
        if self.receiver:
            rules.append(rule(arn(1), "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
        assert self.server.s3.set_rules(BUCKET, *rules).status == 200
        return self

    def end(self):
        self.server.kill()
        self.redis.kill()
        if self.receiver:
            self.receiver.stop()

    # -- events: a delete of many keys makes one for each, in one request ---------------
    def delete(self, keys, conn):
        with self.lock:
            number, self.next = self.next, self.next + 1
        self.maybe[number] = keys
        body = b"<Delete><Quiet>true</Quiet>" + b"".join(b"<Object><Key>%s</Key></Object>" % k.encode() for k in keys) + b"</Delete>"
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        data = self.server.s3.build("POST", f"/{BUCKET}?delete", [("User-Agent", f"op-{number}"), ("Content-MD5", md5)], body)
        try:
            conn.send(data)
            reply = conn.reply("POST")
        except (OSError, ConnectionEnded):
            return False
        if reply.status != 200:
            self.ctx.problem(f"request {number} was answered {reply}")
        elif b"<Error>" in reply.body:
            self.ctx.problem(f"request {number}: {reply.body[:500]}")
        else:
            self.acked[number] = self.maybe.pop(number)
        return True

    def write(self, events, random, writers=2, size=1000, over=None):
        """Until so many were acknowledged, or `over` is set, or the server is gone. Each writer has keys of its own."""
        share, seeds = events // writers, [random.random() for _ in range(writers)]

        def work(w):
            lot, done = random_module.Random(seeds[w]), 0
            pool = [f"w{w}/{i}" for i in range(size * 3 // 2)]
            try:
                with self.server.raw(timeout=60) as conn:
                    while done < share and not (over and over.is_set()):
                        keys = lot.sample(pool, min(size, share - done))
                        if not self.delete(keys, conn):
                            return
                        done += len(keys)
            except OSError:
                return
        threads = [threading.Thread(target=work, args=(w,)) for w in range(writers)]
        for t in threads:
            t.start()
        return threads

    def total(self):
        return sum(len(k) for k in self.acked.values())

    # -- looking ---------------------------------------------------------------------------
    def target(self, kind="redis"):
        return Admin(self.server).target("1", kind)

    def in_files(self, kind="redis"):
        return self.target(kind).get("queuedInFiles", 0)

    def files(self, kind="redis"):
        return sorted(glob.glob(f"{self.queue}/belfry-{kind}-1/*.jsonl"))

    def store_bytes(self):
        return sum(os.path.getsize(p) for p in glob.glob(f"{self.server.directory}/kv/*"))

    def delivered(self):
        """kind -> (request, key) of everything that came, in order; repeats included."""
        out, n = {"redis": []}, self.redis("LLEN", LIST)
        for at in range(0, n, 10000):
            out["redis"] += self.redis("LRANGE", LIST, at, at + 9999)
        out["redis"] = [identity(item) for item in out["redis"]]
        if self.receiver:
            out["webhook"] = [identity(p.body.encode() if isinstance(p.body, str) else p.body) for p in self.receiver.delivered()]
        return out

    def drained(self):
        return all(self.target(k)["queueLength"] == 0 for k in (["redis", "webhook"] if self.receiver else ["redis"]))

    # -- the verdict ------------------------------------------------------------------------
    def judge(self, crashes=0, lost=None):
        """lost: events of the Redis that may be missing, by the files that were harmed (set of identities)."""
        ctx = self.ctx
        ctx.add(acked=self.total())
        for kind, came in self.delivered().items():
            want = {(n, k) for n, keys in self.acked.items() for k in keys}
            can = want | {(n, k) for n, keys in self.maybe.items() for k in keys}
            got = set(came)
            missing = want - got - (lost or set())
            repeats, allowed = len(came) - len(got), crashes * IN_FLIGHT[kind]
            ctx.add(repeats=repeats, events_lost=len(missing))
            if missing:
                ctx.problem(f"{kind}: {len(missing)} events never came: {sorted(missing)[:5]}")
            if lost and got & lost:
                ctx.problem(f"{kind}: {len(got & lost)} events came out of nothing: {sorted(got & lost)[:5]}")
            if got - can:
                ctx.problem(f"{kind}: {len(got - can)} events that never happened: {sorted(got - can)[:5]}")
            if repeats > allowed:
                ctx.problem(f"{kind}: {repeats} repeats, at most {allowed} were in flight")
            self.order(kind, came)

    def order(self, kind, came):
        first, last, disorder = {}, {}, 0
        for number, key in came:
            if number > first.get(key, 0):
                first[key] = number
            elif key in first and (number, key) not in last.setdefault("seen", set()):
                disorder += 1
            last.setdefault("seen", set()).add((number, key))
            last[key] = number
        disorder += sum(last[k] != n for k, n in first.items())
        self.ctx.add(disorder=disorder)
        if disorder:
            self.ctx.problem(f"{kind}: {disorder} events out of order")

    def nothing_left(self):
        """After a clean end there is neither a file nor a finding."""
        self.server.stop()
        done = run_program("check", self.server.directory, timeout=300, binary_path=self.server.binary_path)
        if done.returncode != 0:
            self.ctx.problem(f"belfry check: {(done.stdout + done.stderr)[-1500:]}")
        for kind in IN_FLIGHT:
            if self.files(kind):
                self.ctx.problem(f"{len(self.files(kind))} files are left in {self.queue}/belfry-{kind}-1")


def identity(data):
    key, number = IDENTITY.search(data).groups()
    return int(number), key.decode().replace("%2F", "/")


# -- an outage -------------------------------------------------------------------------------------------------------

class Pulse(threading.Thread):
    """Small writes at a steady pace, whose times tell whether somebody is in the way. They have no events."""

    def __init__(self, server, every=0.01):
        super().__init__(daemon=True)
        self.server, self.every, self.over, self.times = server, every, threading.Event(), []

    def run(self):
        with self.server.raw(timeout=60) as conn:
            while not self.over.wait(self.every):
                began = time.monotonic()
                reply = self.server.s3.put("quiet", "pulse", b"x" * 200, conn=conn)
                assert reply.status == 200, reply
                self.times.append(time.monotonic() - began)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()

    def p99(self):
        times = sorted(self.times)
        return times[len(times) * 99 // 100] * 1000 if times else 0.0


def outage(ctx):
    for number, random in ctx.rounds():
        long = ctx.seconds >= 120
        events, limits = (500_000, None) if long else (12_000, "2000:300:1000")
        keep = 10_000 if long else 2000
        b = Backlog(ctx, number, limits).begin()
        try:
            b.server.s3.make_bucket("quiet")
            for t in b.write(events, random):
                t.join()
            before = b.store_bytes()
            with Pulse(b.server) as moving:
                wait_for(lambda: b.total() - b.in_files() < keep + 1000, 300, "the backlog to be moved")
            t = b.target()
            if t["queueLength"] != b.total():
                ctx.problem(f"queueLength says {t['queueLength']} of {b.total()}")
            if len(b.files()) * 1000 != b.in_files():
                ctx.problem(f"{len(b.files())} files for {b.in_files()} events")
            if long:
                wait_for(lambda: b.store_bytes() < before / 2, 60, "the store's space to come back")
            with Pulse(b.server) as still:
                wait_for(lambda: len(still.times) >= min(len(moving.times), 1000), 60, "as many writes without it")
            ctx.note(f"{t['queuedInFiles']} of {b.total()} events in {len(b.files())} files; the store's rows went from "
                     f"{before >> 20} to {b.store_bytes() >> 20} MiB; a put meanwhile took "
                     f"{moving.p99():.1f} ms (99 %), afterwards {still.p99():.1f}")
            drain(ctx, b)
            b.judge()
            b.nothing_left()
        finally:
            b.end()


def drain(ctx, b, deadline=600):
    """Until the Redis has all; tells the pace."""
    b.redis.start()
    wait_for(lambda: b.redis("LLEN", LIST) > 0, 60, "the first event")
    began = time.monotonic()
    wait_for(b.drained, deadline, "the queue to be empty")
    took = time.monotonic() - began
    ctx.note(f"{b.total()} events delivered in {took:.1f} s, {b.total() / max(took, 0.01):.0f}/s")
    return took


def pace(ctx):
    """The same backlog out of segments and out of rows."""
    for number, random in ctx.rounds():
        took = {}
        events = 500_000 if ctx.seconds >= 120 else 20_000
        for name, limits in (("rows", f"{events * 2}:0:1000"), ("segments", "0:0:1000")):
            b = Backlog(ctx, f"{number}-{name}", limits).begin()
            try:
                for t in b.write(events, random):
                    t.join()
                if name == "segments":
                    wait_for(lambda: b.target()["queueLength"] - b.in_files() < 2000, 300, "the backlog to be moved")
                b.redis.durable = False
                took[name] = drain(ctx, b)
                b.judge()
                b.nothing_left()
            finally:
                b.end()
        if took["segments"] > 2 * took["rows"] + 1:
            ctx.problem(f"out of segments it takes {took['segments']:.1f} s, out of rows {took['rows']:.1f} s")


# -- kills -----------------------------------------------------------------------------------------------------------

def kills(ctx):
    hits = ctx.outcome.data.setdefault("hits", dict.fromkeys(MOVING + DRAINING, 0))
    for number, random in ctx.rounds():
        b = Backlog(ctx, number, "200:0:100", webhook=True).begin()
        b.server.stop()
        try:
            for turn in range(4):                       # the targets are away, and it dies while it moves
                one_life(ctx, b, random, True, turn_of(MOVING, number * 3 + turn, turn == 3), hits)
            b.redis.start()
            b.receiver.start()
            for turn in range(4):                       # they are back, and it dies while it drains
                one_life(ctx, b, random, False, turn_of(DRAINING, number * 3 + turn, turn == 3), hits)
            ctx.recovery(b.server.start(deadline=30).ready_after)
            wait_for(b.drained, 20 if ctx.mutant else 120, "the queues to be empty")
            b.judge(5)                                  # kills while something was sent
            b.nothing_left()
        except AssertionError as e:
            ctx.problem(f"round {number}: {e}")
        finally:
            b.end()
        ctx.outcome.notes[:] = ["kills at " + ", ".join(f"{p} {n}" for p, n in hits.items())]
    unhit = [p for p, n in hits.items() if not n]
    if unhit and ctx.outcome.counts["runs"] >= 12 and not ctx.mutant:
        ctx.problem(f"no kill at {', '.join(unhit)}")


def turn_of(points, number, instant):
    """Each in turn, and each in each of the lives: not all of them can be had right after the first start."""
    return None if instant else points[(number + number // 6) % len(points)]


def one_life(ctx, b, random, writing, point, hits):
    """A start, some load, and a SIGKILL at a named point or at an instant."""
    env = {"BELFRY_CRASH_AT": f"{point}:{random.randint(1, OFTEN.get(point, 12))}"} if point else {}
    try:
        ctx.recovery(b.server.start(deadline=30, extra_env=env).ready_after)
    except AssertionError:
        if not point or b.server.process is None or b.server.process.poll() != -signal.SIGKILL:
            raise
        hits[point] += 1
        b.server.kill()
        return
    threads = b.write(3000, random, size=100) if writing else []
    until, process = time.monotonic() + random.uniform(0.2, 0.9), b.server.process
    while time.monotonic() < until and process.poll() is None:
        time.sleep(0.005)
    if process.poll() not in (None, -signal.SIGKILL):
        ctx.problem(f"the server ended with {process.poll()}: {b.server.log()[-1500:]}")
    if point and process.poll() is not None:
        hits[point] += 1
    b.server.kill()
    for t in threads:
        t.join()
    if b.receiver:                                      # nothing of the dead arrives after something of the living
        wait_for(lambda: not b.receiver._open, 20, "the connections to end")
    if b.redis.process:
        wait_for(lambda: b"name=Belfry" not in b.redis("CLIENT", "LIST"), 20, "the connections to Redis to end")


# -- damage ----------------------------------------------------------------------------------------------------------

def lines_of(path):
    with open(path, "rb") as f:
        return f.read().split(b"\n")


def harm(path, how, random):
    """Damages a file by hand; the identities of the events that are lost with it."""
    lines = lines_of(path)
    events = {identity(line) for line in lines[1:] if line}
    if how == "removed":
        os.remove(path)
        return events
    if how == "cut":
        at = random.randrange(2, len(lines) - 1)
        with open(path, "r+b") as f:
            f.truncate(sum(len(line) + 1 for line in lines[:at]) + len(lines[at]) // 2)
        return {identity(line) for line in lines[at:] if line}
    at = random.randrange(0, len(lines) - 1)
    place = sum(len(line) + 1 for line in lines[:at]) + random.randrange(len(lines[at]))
    with open(path, "r+b") as f:
        f.seek(place)
        byte = f.read(1)[0]
        f.seek(place)
        f.write(bytes([byte ^ (1 << random.choice([0, 1, 2, 3, 4, 6]))]))
    return {identity(lines[at])} if at else set()


def damage(ctx):
    for number, random in ctx.rounds():
        b = Backlog(ctx, number, "100:0:100").begin()
        try:
            for t in b.write(3000, random, size=100):
                t.join()
            wait_for(lambda: b.total() - b.in_files() < 200, 60, "the backlog to be moved")
            b.server.stop()
            harmed = random.sample(b.files(), 6)
            lost = set()
            for how, path in zip(["removed", "cut", "flipped"] * 2, harmed):
                lost |= harm(path, how, random)
            found = run_program("check", b.server.directory, timeout=60, binary_path=b.server.binary_path)
            missed = [p for p in harmed if os.path.basename(p) not in found.stdout]
            if missed:
                ctx.problem(f"belfry check says nothing of {missed}: {found.stdout[-1500:]}")
            b.server.start()
            b.redis.start()
            wait_for(b.drained, 60, "the rest to be delivered")
            t = b.target()
            if t.get("lostEvents", 0) != len(lost) or t["status"] != "online":
                ctx.problem(f"{len(lost)} events are lost, the target says {t}")
            if lost and "queued events are lost" not in b.server.log():
                ctx.problem("the log says nothing of lost events")
            b.judge(lost=lost)
            b.nothing_left()
        finally:
            b.end()


# -- what a MinIO left -------------------------------------------------------------------------------------------------

def old_event(number):
    record = {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2025-01-02T03:04:05.678Z",
              "eventName": "s3:ObjectCreated:Put", "userIdentity": {"principalId": "old"}, "requestParameters": None,
              "responseElements": {}, "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config", "bucket": {
                  "name": BUCKET, "ownerIdentity": {"principalId": "old"}, "arn": f"arn:aws:s3:::{BUCKET}"},
                  "object": {"key": f"old{number % 7}", "size": 1, "sequencer": f"1797{number:012X}"}},
              "source": {"host": "", "port": "", "userAgent": f"op-{number}"}}
    return json.dumps(record, separators=(",", ":"))


def queue_files(ctx):
    """Each is delivered once, whenever the server dies, and goes before what is queued afterwards; also into segments."""
    for number, random in ctx.rounds():
        b = Backlog(ctx, number, "100:0:100").begin()
        b.server.stop()
        folder = os.path.join(b.queue, "minio-redis-1")
        os.makedirs(folder, exist_ok=True)
        try:
            for n in range(1, 601):
                path = os.path.join(folder, f"{uuid.UUID(int=random.getrandbits(128))}.event")
                with open(path, "w", encoding="ascii") as f:
                    f.write(old_event(n))
                os.utime(path, ns=(1_700_000_000_000_000_000 + n,) * 2)
                b.acked[n] = [f"old{n % 7}"]
            b.next = 1000
            for _ in range(random.randrange(1, 4)):
                env = {"BELFRY_CRASH_AT": f"{random.choice(['queue-dir-taken', 'batch-written', 'batch-before-write'])}"
                                          f":{random.randrange(1, 10)}"}
                b.server.spawn(env)
                until = time.monotonic() + random.uniform(0.05, 0.6)
                while time.monotonic() < until and b.server.process.poll() is None:
                    time.sleep(0.005)
                b.server.kill()
            b.server.start(deadline=30)
            if glob.glob(f"{folder}/*.event"):
                ctx.problem(f"{len(glob.glob(f'{folder}/*.event'))} files were not taken in")
            if b.target()["queueLength"] != 600:
                ctx.problem(f"{b.target()['queueLength']} events are queued out of 600 files")
            for t in b.write(500, random, size=100):
                t.join()
            wait_for(lambda: b.in_files() >= 800, 60, "the backlog to be moved")
            b.redis.start()
            wait_for(b.drained, 60, "the queue to be empty")
            b.judge()
            b.nothing_left()
        finally:
            b.end()


ROWS = [
    Row("segments-outage", "outage, backlog into queue_dir", "the backlog but its newest part is in files; queue length, order "
        "and delivery as if it were not, nothing twice; the store's space comes back; no file is left behind", outage,
        share=2, least=12),
    Row("segments-pace", "drain: segments against rows", "out of files a backlog drains about as fast as out of rows", pace,
        share=1.5, least=12, short=False, timed=True),
    Row("segments-kills", "SIGKILL while moving and draining", "nothing lost, order kept, repeats only of what was in flight, no "
        "file left behind, belfry check finds nothing", kills, share=2, least=8),
    Row("segments-damage", "segments removed, cut, flipped", "exactly the events of those lines are lost; log, status and belfry "
        "check name them; all others are delivered in order", damage, share=1, least=4),
    Row("queue-files", "MinIO's *.event files, with kills", "each is taken in once, in order of time, before what is queued "
        "afterwards", queue_files, share=1, least=4),
]
