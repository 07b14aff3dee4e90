# SPDX-License-Identifier: Apache-2.0
"""Receivers that misbehave, and time: how fast everybody else is meanwhile, and what takes a minute."""
import itertools
import json
import os
import statistics
import subprocess
import threading
import time
from email.utils import formatdate

from support.receiver import Answer
from support.wait import wait_for
from torture.receivers import FAULTS, HANGING, Stage
from torture.receivers.hooks import after, only, repeated, softly
from torture.receivers.stage import BUCKET, Fault
from torture.receivers.stores import BUSY, saying
from torture.receivers.wires import by_name, has_moved, move_and_hang, nothing
from torture.row import Row
from torture.rows.receivers import one

ROWS = []

# --- how fast everybody else is meanwhile ----------------------------------------------------

RATE, WINDOW, PAIRS = 500, 4, 3                         # PUT/s offered; seconds; windows with and without each fault
TIMED = [("webhook", n) for n in ("refuses", "hangs after it read", "hangs over one key", "reads nothing",
                                  "drips its answer for ever", "answers garbage", "fails", "rejects one key",
                                  "closes after each answer")] + \
        [("redis", n) for n in ("refuses", "hangs", "reads nothing", "hangs after it read", "drips its answers",
                                "answers garbage", "loads its data", "says that it is busy")]  # a script of its own would take a processor


class Window:
    """PUTs at the offered rate for a while; what the load generator measured, and how late the good target got them."""

    def __init__(self, ctx, stage, number):
        begin = len(stage.good.posts)
        command = [os.path.join(ctx.build, "bench", "belfry-load"), "--endpoint", stage.server.endpoint, "--bucket", BUCKET,
                   "--op", "put", "--rate", str(RATE), "--seconds", str(WINDOW), "--connections", "16", "--size", "1024",
                   "--prefix", "w0k", "--start", str(number * 1_000_000), "--access-key", stage.server.user,
                   "--secret-key", stage.server.password]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        found = json.loads(done.stdout)
        self.p99, self.p50, self.ok = found["latency_us"]["p99"], found["latency_us"]["p50"], found["ok"]
        self.failed = done.returncode != 0 or found["ok"] < RATE * WINDOW * 0.9
        began = time.monotonic()
        try:
            wait_for(lambda: len(stage.good.posts) >= begin + self.ok, 20, "the good target")
        except AssertionError:
            self.failed = True
        self.behind = time.monotonic() - began          # after the last PUT


def speed(ctx):
    """For each fault: pairs of windows, without and with it; their medians are compared."""
    for _ in ctx.rounds():
        named = os.environ.get("BELFRY_FAULT")
        for fault in (f for f in FAULTS if f"{f.kind}, {f.name}" == named or (not named and (f.kind, f.name) in TIMED)):
            stage = Stage(ctx, f"{ctx.directory}/{fault.kind}-{fault.name.replace(' ', '-')}", fault)
            stage.good.work = False
            try:
                compare(ctx, stage, fault)
            finally:
                stage.close()


def compare(ctx, stage, fault):
    stage.start()
    stage.stop.set()                                    # only the load generator writes
    Window(ctx, stage, 0)                               # warms up
    calm, rough = [], []
    for i in range(PAIRS):
        calm.append(Window(ctx, stage, 1 + 2 * i))
        fault.begin(stage)
        rough.append(Window(ctx, stage, 2 + 2 * i))
        fault.end(stage)
    ctx.add(acked=sum(w.ok for w in calm + rough))
    without, during = (statistics.median(w.p99 for w in v) for v in (calm, rough))
    late = [statistics.median(w.behind for w in v) for v in (calm, rough)]
    ctx.note(f"{fault.kind}, {fault.name}: PUT p99 {during / 1000:.2f} ms, {without / 1000:.2f} ms without; the other target has all "
             f"{late[1] * 1000:.0f} ms after the last PUT, {late[0] * 1000:.0f} ms without")
    if any(w.failed for w in calm + rough):
        ctx.problem(f"{fault.kind}, {fault.name}: of {RATE} PUT/s only {[w.ok / WINDOW for w in calm + rough]} were answered 200 and delivered")
    if during > 2 * without + 1000:                     # 1 ms: below that it is the machine's scheduler
        ctx.problem(f"{fault.kind}, {fault.name}: PUT's p99 is {during / 1000:.2f} ms, {without / 1000:.2f} ms without it")


# --- what takes a minute ----------------------------------------------------------------------

def try_later():
    """503 and 429, with a number of seconds, a date, and without: each in turn."""
    told = itertools.count()

    def make(post):
        n = next(told) % 3
        when = [("Retry-After", "5")] if n == 0 else [("Retry-After", formatdate(time.time() + 6, usegmt=True))] if n == 1 else []
        return Answer(429 if n == 1 else 503, when)
    return make


MINUTE = 60


def patient(s):
    """It was not asked more often than it said."""
    asked = [p for p in s.bad.snapshot() if p.answered in (429, 503)]
    waves = sum(1 for a, b in zip(asked, asked[1:]) if b.time - a.time > 1) + 1
    return None if waves <= MINUTE / 5 + 2 else f"it was asked {waves} times in {MINUTE} s, told to wait 5 s each time"


def hook(name, expected, fault, **kw):
    return Fault("webhook", name, expected, *fault, pause=0.1, **kw)


LONG = [
    hook("says try later for a minute", "asked again after what it names each time; all there in the end, nothing repeated",
         softly(try_later()), hold=MINUTE, repeats=0, wait=60, check=patient),
    hook("says try later for one key for a minute", "only that key waits; nothing repeated, no dead letters",
         softly(only(HANGING, Answer(503, [("Retry-After", "5")]))), hold=MINUTE, own_way=True, repeats=0, wait=60),
    hook("answers after 59 s", "waited for, each event once", softly(after(59)), hold=2, repeats=0, wait=130),
    hook("answers after 61 s", "sent again after 60 s; repeats of what was in flight, once", softly(after(61)), hold=2, repeats=1,
         wait=130, check=repeated),
    hook("moves, its old address hangs for ever", "found at the new one after 60 s", (move_and_hang, nothing), hold=2, wait=130,
         setup=by_name, check=has_moved),
    Fault("redis", "loads its data for a minute", "tried again each few seconds, then all there, nothing repeated",
          *saying(b"-LOADING Redis is loading the dataset in memory\r\n"), hold=MINUTE, repeats=0, wait=60, pause=0.1),
    Fault("redis", "is busy for a minute", "tried again each few seconds, then all there, nothing repeated",
          *saying(BUSY), hold=MINUTE, repeats=0, wait=60, pause=0.1),
    Fault("redis", "moves, its old address hangs for ever", "found at the new one after 60 s", move_and_hang, nothing, hold=2,
          wait=130, setup=by_name, check=has_moved, pause=0.1),
]


def minute(ctx):
    """All of them at once: each waits nearly all of its time."""
    for _ in ctx.rounds():
        shared = Shared(ctx)
        named = os.environ.get("BELFRY_FAULT")
        threads = [threading.Thread(target=guarded, args=(shared, i, f)) for i, f in enumerate(LONG)
                   if not named or f"{f.kind}, {f.name}" == named]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


def guarded(ctx, number, fault):
    began = time.monotonic()
    try:
        one(ctx, number, fault, fault.hold)
    except Exception as e:                              # noqa: BLE001 - a thread's end must not go unseen
        ctx.problem(f"{fault.kind}, {fault.name}: {type(e).__name__}: {e}")
    ctx.log(f"{fault.kind}, {fault.name}: took {time.monotonic() - began:.1f} s")


class Shared:
    """A context that several threads may tell what they found."""

    def __init__(self, ctx):
        self._ctx, self._lock = ctx, threading.Lock()

    def __getattr__(self, name):
        what = getattr(self._ctx, name)
        if not callable(what):
            return what

        def locked(*args, **kw):
            with self._lock:
                return what(*args, **kw)
        return locked


ROWS.append(Row("receivers-minute", "receivers that take a minute", "; ".join(f"{f.kind} {f.name}: {f.expected}" for f in LONG),
                minute, once=200, short=False))
ROWS.append(Row("receivers-speed", "PUT at 500/s beside them", "PUT's p99 stays within 2x of its value without the fault, and "
                "the other target is not later", speed, once=len(TIMED) * (2 * PAIRS + 1) * (WINDOW + 2), short=False, timed=True))
