# SPDX-License-Identifier: Apache-2.0
"""Calls of the server that fail, by native/fault.c; and the kill run's load and verdict around them."""
import mmap
import os
import random
import signal
import struct
import subprocess
import time

from kill import chaos
from kill.run import IN_FLIGHT, KillRun, behave
from support.rawhttp import ConnectionEnded
from support.wait import SCALE, wait_for

SYNC, WRITE, READ, OPEN, ACCEPT, SOCKET, ALLOC, CREATE, PATH = 1, 2, 4, 8, 16, 32, 64, 128, 256
SHORT, HANG, EVER = 0, 4096, 0xFFFFFFFF
PROBE = b"probe " * 10_000                              # of an object that is never changed: a file
RULE, RULES, HEAD = struct.Struct("<IiIIII104s"), 8, 128


def library(build, name="fault.so"):
    """A shim: beside the program, or (of a build without tests) in the ordinary build folder."""
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    for folder in (build, os.path.join(root, "build")):
        path = os.path.join(folder, "tests", "torture", "native", name)
        if os.path.exists(path):
            return path
    raise FileNotFoundError(f"{name} is not built: ninja -C build")


class Fault:
    """The rules of one server; env is for its start."""

    def __init__(self, path, build):
        self.path = path
        with open(path, "wb") as f:
            f.write(bytes(HEAD + RULES * RULE.size))
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)
        self.env = {"LD_PRELOAD": library(build), "BELFRY_FAULT": path}
        self.n = self.ops = 0

    def arm(self, op, pattern, error, skip=0, times=1):
        """Of the calls that match, skip pass, then so many fail. The number of the rule."""
        number, self.n = self.n, self.n + 1
        at = HEAD + number * RULE.size
        self.map[at:at + RULE.size] = RULE.pack(0, error, skip, times, 0, 0, pattern.encode())
        struct.pack_into("<I", self.map, at, op)
        self.ops |= op
        struct.pack_into("<I", self.map, 0, self.ops)
        return number

    def clear(self):
        """Nothing fails any more."""
        struct.pack_into("<I", self.map, 0, 0)
        for i in range(RULES):
            struct.pack_into("<I", self.map, HEAD + i * RULE.size, 0)
        self.n = self.ops = 0

    def seen(self, number):
        return struct.unpack_from("<I", self.map, HEAD + number * RULE.size + 16)[0]

    def hits(self, number):
        return struct.unpack_from("<I", self.map, HEAD + number * RULE.size + 20)[0]


class Kind:
    """One kind of fault. rules: (op, pattern, error, times) to be armed together; statuses: what clients may be answered
    that they are never answered otherwise; check: what must be while the server runs with it, function(run, random);
    filler: the load flushes memtables too; must: it has to strike; dies: how the program may end by itself; skip: the
    most calls that pass before."""

    def __init__(self, name, rules, statuses=(), check=None, filler=False, must=True, dies=(), skip=20):
        self.name, self.rules, self.statuses, self.check = name, rules, statuses, check
        self.filler, self.must, self.dies, self.skip = filler, must, dies, skip


class FaultRun(KillRun):
    """The kill run with a fault in each round; the next start is without it."""

    def __init__(self, ctx, number, seed, kinds):
        self.fault = Fault(f"{ctx.directory}/{number}.rules", ctx.build)
        super().__init__(f"{ctx.directory}/{number}", seed, len(kinds), ctx.binary,
                         extra_env=dict(self.fault.env, MINIO_PROMETHEUS_AUTH_TYPE="public"), log=ctx.log,
                         moods=[chaos.UP, chaos.UP, chaos.DOWN, chaos.FAULTY], points=[None] * len(kinds))
        self.ctx, self.kinds, self.kind = ctx, kinds, None
        self.births, self.building = [], False      # as a Death that builds nothing
        self.repeatable, self.struck = 0, {}

    unjournaled = ("filler",)

    # -- what clients may see ----------------------------------------------------------
    def tolerates(self, reply):
        return self.kind is not None and reply.status in self.kind.statuses

    def kill(self):
        code = self.server.process.poll() if self.server.process else None
        if code is not None and self.kind and code in self.kind.dies:
            self.ctx.log(f"ended with {code}: {self.log_since()[-300:]!r}")
            if not self.last_words():
                self.journal.problem(f"the server ended with {code} and without a word: {self.log_since()[-600:]!r}")
            self.server.kill()
        else:
            super().kill()

    def has_died(self):
        try:
            return wait_for(lambda: not self.server.alive(), 5, "a death that explains the failure")
        except AssertionError:
            return False

    def last_words(self):
        text = self.log_since()
        return any(w in text for w in ("out of memory", "std::bad_alloc", "BUG at", "ot enough memory", "allocat"))

    # -- a round -----------------------------------------------------------------------
    def log_since(self):
        return self.server.log()[self.log_from:]

    def round(self, number):
        self.kind = None
        self.fault.clear()
        self.start()
        self.look()
        if number == 1:
            self.server.s3.make_bucket("filler")
            assert self.server.s3.put("filler", "probe", PROBE).status == 200
        self.kind = self.kinds[number - 1]
        self.log_from = len(self.server.log())
        chaos.open_port(self.receiver)
        seeded = random.Random(self.random.random())
        weather = chaos.Weather(self.receiver, self.random.choice(self.moods), random.Random(self.random.random()), behave)
        weather.start()
        self.mirrors.begin_round(random.Random(self.random.random()))
        self.stop_workers.clear()
        self.workers_now = workers = self.workers(self)
        before, posts = self.requests, len(self.receiver.posts)
        for w in workers:
            w.start()
        armed = None
        try:
            wait_for(lambda: self.requests > before + 100 or not self.server.alive(), 20, "some requests")
            armed = [self.fault.arm(op, pattern, error, seeded.randrange(self.kind.skip) if times != EVER else 0, times)
                     for op, pattern, error, times in self.kind.rules]
            hit = self.strike(armed)
            if self.kind.check and self.server.alive():
                self.kind.check(self, seeded)
        except (AssertionError, ConnectionEnded, OSError) as e:
            hit = self.kind.dies and self.has_died()
            if not hit:
                self.journal.problem(f"{self.kind.name}: {e!r}: {self.log_since()[-1500:]}")
        if not self.kind.dies:
            self.fault.clear()
        gently = self.server.alive() and seeded.random() < 0.5
        if gently:
            self.end_gently()
        self.kill()
        self.stop_workers.set()
        for w in workers:
            w.join()
        self.fault.clear()
        self.cuts += weather.calm()
        self.mirrors.end_round()
        if "refuses every change" in self.log_since():
            # Nothing could be forgotten any more: what was delivered since may come again.
            self.repeatable += len(self.receiver.posts) - posts + len(self.changes.receiver.posts)
        self.bury()
        self.log(f"round {number}: {self.kind.name} struck {hit}, receiver {weather.mood}, {'SIGTERM' if gently else 'killed'}, "
                 f"{self.requests - before} requests")

    def strike(self, armed):
        """Until it has struck, and a moment longer."""
        def happened():
            return any(self.fault.hits(i) for i in armed) or not self.server.alive()
        try:
            if self.kind.filler:
                self.fill(happened)
            wait_for(happened, 8 if self.kind.must else 1, f"{self.kind.name} to strike")
        except AssertionError:
            if self.kind.must:
                raise
            return False
        self.struck[self.kind.name] = self.struck.get(self.kind.name, 0) + 1
        until = time.monotonic() + 0.3
        wait_for(lambda: time.monotonic() > until, 5, "a moment")
        return True

    def fill(self, enough):
        """Small objects until memtables are written out."""
        with self.server.raw(timeout=60) as conn:
            for i in range(4000):
                if enough():
                    return
                reply = self.server.s3.put("filler", f"{i % 50}", os.urandom(32_000), conn=conn)
                if reply.status != 200:
                    assert self.tolerates(reply), f"a PUT was answered {reply}"
                    return

    def end_gently(self):
        """A stop like any other, also of a store that has failed."""
        process = self.server.process
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout=15 * SCALE)
        except subprocess.TimeoutExpired:
            self.journal.problem(f"{self.kind.name}: SIGTERM does not end the server: {self.log_since()[-1500:]}")
            return
        if code not in (0, *self.kind.dies):
            self.journal.problem(f"{self.kind.name}: SIGTERM ends with {code}: {self.log_since()[-1500:]}")
        self.server.process = None

    # -- the whole ---------------------------------------------------------------------
    def finish(self):
        self.kind = None
        self.fault.clear()
        self.kills += (self.repeatable + IN_FLIGHT - 1) // IN_FLIGHT
        super().finish()


def fault_row(kinds, per_run):
    """A row's run: rounds of these kinds, in turn, per_run of them under one verdict."""
    def run(ctx):
        for number, seeded in ctx.rounds():
            first = (number - 1) * per_run
            these = [kinds[(first + i) % len(kinds)] for i in range(per_run)]
            r = FaultRun(ctx, number, str(seeded.random()), these)
            try:
                found = r.run()
            finally:
                r.server.kill()
                r.stop_receivers()
            for text in found:
                ctx.problem(f"{', '.join(k.name for k in these)}: {text}")
            if not found:
                r.clean()
            ctx.add(**r.counts())
            ctx.recovery(r.slowest_start)
            struck = ctx.outcome.data.setdefault("struck", {})
            for name, n in r.struck.items():
                struck[name] = struck.get(name, 0) + n
            ctx.outcome.notes[:] = [f"struck: {', '.join(f'{name} {n}' for name, n in sorted(struck.items()))}"]
    return run
