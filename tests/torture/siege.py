# SPDX-License-Identifier: Apache-2.0
"""A server with a target of some kinds under a mixed load, what is done to them, and the verdict: the same as of the kills."""
import collections
import contextlib
import os
import random
import re
import shutil
import signal
import tempfile
import threading
import time

from kill import verify
from kill.model import ACKED, DISORDER, HAPPENED, LOST, OBJECTS, Journal
from kill.workers import BUCKET, Owner, Sharer
from support.s3raw import arn, rule
from support.server import Server, run as run_program
from support.wait import wait_for
from torture.watch import Watch, place

OWNERS, SHARERS = 3, 2
LOADED = 10             # seconds for which a backlog has to go under the whole load, before that rests
SEND_MS = 2000          # after which an event without an answer counts as failed
NUMBER = re.compile(r'^belfry_notify_target_(\w+)\{[^}]*target_id="([^"]*)",target_name="([^"]*)"[^}]*\} (\S+)$', re.M)


def calm(worker, pause):
    """The same with a rest after each request."""
    class Calm(worker):
        def step(self):
            super().step()
            self.stop.wait(self.random.uniform(0, 2 * pause * self.run_of.rest_by))
    return Calm


class Siege:
    """kinds: names of classes of torture.kinds; more: variables of the server beside theirs. pause: mean rest of a worker
    between two requests, in seconds."""

    def __init__(self, ctx, name, seed, kinds, more=None, pause=0.015, owners=OWNERS, sharers=SHARERS):
        self.ctx, self.log, self.random = ctx, ctx.log, random.Random(seed)
        self.directory = os.path.join(ctx.directory, name)
        # Of the brokers: short, for a socket lies in it, and to be reached by ordinary users.
        self.brokers = tempfile.mkdtemp(prefix="belfry-t", dir="/tmp")
        os.chmod(self.brokers, 0o755)
        self.kinds = [k(self.brokers) for k in kinds]
        self.more, self.pause_s, self.n_owners, self.n_sharers = more or {}, pause, owners, sharers
        self.journal, self.stop_workers = Journal(), threading.Event()
        self.states, self.workers = [{} for _ in range(owners)], []
        self.requests = self.restarts = self.kills = 0
        self.stop_asked, self.taken, self.rest_by = False, set(), 1
        self.patience = 20 if ctx.mutant else 120
        self.repeats, self.figures, self.recoveries, self.watches = 0, collections.Counter(), {}, {}

    # -- what the workers and verify ask a run for --------------------------------------
    def tolerates(self, reply):
        return False

    def owned(self):
        for index, state in enumerate(self.states):
            yield state, ([f"own/{index}/i{i}" for i in range(Owner.INLINE_KEYS)] +
                          [f"own/{index}/f{i}" for i in range(Owner.FILE_KEYS)])

    # -- life -----------------------------------------------------------------------------
    def open(self):
        """Everything but the load; the brokers are there, Belfry is not yet."""
        os.makedirs(self.directory, exist_ok=True)
        starts = [threading.Thread(target=self.guarded, args=(k.start,)) for k in self.kinds]
        for t in starts:
            t.start()
        for t in starts:
            t.join()
        env = dict({"BELFRY_TEST_SEND_MS": str(SEND_MS), "MINIO_PROMETHEUS_AUTH_TYPE": "public"}, **self.more)
        for k in self.kinds:
            assert k.up, f"{k.name} does not start"
            k.prepare()
            for name, value in k.env().items():
                assert name not in env, f"two targets have {name}"
                env[name] = value
        self.server = Server(f"{self.directory}/data", env=env, binary_path=self.ctx.binary)

    def guarded(self, function):
        try:
            function()
        except Exception as e:                          # noqa: BLE001 - a thread's end must not go unseen
            self.problem(f"{function}: {type(e).__name__}: {e}")

    def begin(self):
        self.server.start(deadline=30)
        self.restarts += 1
        self.server.s3.make_bucket(BUCKET)
        rules = [rule(arn(i, k.target), "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for k in self.kinds for i in k.ids]
        reply = self.server.s3.set_rules(BUCKET, *rules)
        assert reply.status == 200, reply
        self.watches = {k: Watch(self, k) for k in self.kinds if k.mirrors}

    def unwatched(self, kind):
        return self.watches[kind].closed() if kind in self.watches else contextlib.nullcontext()

    def close(self):
        self.stop_workers.set()
        for w in self.watches.values():
            w.end()
        if hasattr(self, "server"):
            with contextlib.suppress(OSError, AttributeError):
                self.server.signal(signal.SIGCONT)
            self.server.kill()
        for k in self.kinds:
            try:
                k.close()
            except Exception as e:                      # noqa: BLE001 - the others have to be ended, too
                self.log(f"{k.name} is not ended well: {e!r}")
        shutil.rmtree(self.brokers, ignore_errors=True)

    def enough(self):
        """A safeguard is left out, and that is noticed."""
        return self.ctx.mutant and bool(self.journal.problems)

    def problem(self, text, kind=None, n=1):
        self.journal.problem(text, kind, n)

    # -- load -----------------------------------------------------------------------------
    def load(self):
        """Begins to write."""
        self.stop_workers.clear()

        def seeded():
            return random.Random(self.random.random())
        self.workers = ([calm(Owner, self.pause_s)(self, i, seeded()) for i in range(self.n_owners)] +
                        [calm(Sharer, self.pause_s)(self, i, seeded()) for i in range(self.n_sharers)])
        for w in self.workers:
            w.start()

    def rest(self):
        """Nobody writes any more."""
        self.stop_workers.set()
        for w in self.workers:
            w.join()

    def pause(self, seconds):
        """Lets time pass under load."""
        end = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() >= end or not self.server.alive(), seconds + 20, "a moment")
        assert self.server.alive(), f"the server has ended by itself: {self.server.log()[-1500:]}"

    # -- Belfry itself ----------------------------------------------------------------------
    def kill(self):
        """SIGKILL, with all that is under way."""
        assert self.server.alive(), f"the server has ended by itself: {self.server.log()[-1500:]}"
        self.server.kill()
        self.kills += 1
        self.bury()

    def bury(self):
        """Nothing of the dead process comes after something of the next."""
        self.rest()
        for k in self.kinds:
            k.wire.settle()

    def revive(self, point=None, count=1):
        """Starts it again; with a point, it dies there first."""
        if point:
            self.server.spawn({"BELFRY_CRASH_AT": f"{point}:{count}"})
            try:
                self.server.wait_exit(10)
                self.kills += 1
            except Exception:                           # noqa: BLE001 - the point was not reached: nothing was to be sent
                self.log(f"{point}:{count} was not reached")
                self.server.kill()
                self.kills += 1
            self.bury()
        self.server.start(deadline=30)
        self.restarts += 1
        self.ctx.recovery(self.server.ready_after)
        verify.resolve_and_check(self)
        self.load()

    @contextlib.contextmanager
    def still(self, kind):
        """Belfry is stopped, and all that it has sent has come. When it goes on, it may be too late for the answers."""
        kind.held += 1
        self.server.signal(signal.SIGSTOP)
        try:
            kind.quiet()
            yield
        finally:
            self.server.signal(signal.SIGCONT)

    # -- what the server says -----------------------------------------------------------------
    def numbers(self):
        """(kind, id) -> {name: value}"""
        reply = self.server.s3.request("GET", "/minio/v2/metrics/cluster", sign=False)
        found = collections.defaultdict(dict)
        for name, target, kind, value in NUMBER.findall(reply.body.decode()):
            found[kind, target][name] = float(value)
        return found

    def of(self, kind, name, numbers=None):
        numbers = numbers or self.numbers()
        return [numbers[kind.target, i][name] for i in kind.ids]

    def delivers(self, kind, since, what, seconds=60):
        """Waits until each target of the kind has delivered something more than `since`; how long that took."""
        began = time.monotonic()
        try:
            wait_for(lambda: all(a > b for a, b in zip(self.of(kind, "delivered_total"), since)), seconds, "deliveries")
        except AssertionError:
            self.problem(f"{kind.name}, {what}: nothing is delivered {seconds} s after its end: {self.said()}")
        return time.monotonic() - began

    def recovered(self, kind, what, patience=120):
        """A fault has ended: it delivers again; and the backlog is gone after `patience` seconds at most (None: some time)."""
        took = self.delivers(kind, self.of(kind, "delivered_total"), what)
        self.recoveries[what] = max(took, self.recoveries.get(what, 0))
        self.ctx.recovery(took)
        if patience is None:
            return took
        try:
            self.drained(lambda: max(self.of(kind, "queue_length")) < 300, min(patience, self.patience))
        except AssertionError:
            self.problem(f"{kind.name}, {what}: its queue stays long: {self.of(kind, 'queue_length')}; {self.said()}")
        return took

    def drained(self, short, seconds):
        """The load must be less than what the broker takes, which on a busy machine may be little: after a while it rests more,
        and what is judged is whether the backlog goes."""
        try:
            wait_for(short, min(LOADED, seconds), "a short queue")
        except AssertionError:
            if seconds <= LOADED:
                raise
            self.rest_by = 10
            wait_for(short, seconds - LOADED, "a short queue")
        finally:
            self.rest_by = 1

    def said(self):
        return self.server.log()[-1200:]

    # -- the verdict ----------------------------------------------------------------------------
    def verdict(self):
        """After the load: all has to come, and then everything is looked at."""
        self.rest()
        verify.resolve_and_check(self)
        try:
            wait_for(lambda: not any(n["queue_length"] for n in self.numbers().values()), self.patience, "empty queues")
        except AssertionError:
            self.problem(f"queues do not become empty: {self.numbers()}; {self.said()}", LOST)
        for (kind, name), n in self.numbers().items():
            for what in ("dead_letters", "dropped_total", "lost_total"):
                if n[what]:
                    self.problem(f"{kind} {name}: {what} {n[what]}", LOST, int(n[what]))
        for k in self.kinds:
            self.judge(k)
        self.quiet_restart()
        self.server.stop()
        done = run_program("check", self.server.directory, timeout=120, binary_path=self.ctx.binary)
        if done.returncode != 0:
            self.problem(f"belfry check ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")

    def quiet_restart(self):
        """What was delivered is delivered no more."""
        before = {k: k.count() for k in self.kinds}
        self.server.restart(deadline=30)
        try:
            wait_for(lambda: not any(n["queue_length"] for n in self.numbers().values()), 30, "nothing to send")
        except AssertionError:
            self.problem(f"after a clean restart queues do not become empty: {self.numbers()}")
        self.pause(0.7)
        for k, n in before.items():
            if k.count() > n:
                self.problem(f"{k.name}: {k.count() - n} events again after a clean restart")

    def missing(self, entries):
        got = {e.identity for e in entries}
        return [op for op in self.journal.ops.values() if op.status in (ACKED, HAPPENED) and op.identity not in got]

    def judge(self, kind):
        entries, lost = [], []

        def all_there():
            entries[:] = kind.entries()
            lost[:] = self.missing(entries)
            return not lost
        try:
            wait_for(all_there, 10, "every event")
        except AssertionError:
            self.problem(f"{kind.name}: {len(lost)} events never came: {lost[:10]}", LOST, len(lost))
        by_key = {}
        for e in entries:
            verify.check_one(self, e)
            by_key.setdefault((e.bucket, e.key), []).append(e)
        for (_, key), es in by_key.items():
            if kind.ordered:
                verify.check_order(self, f"{kind.name}: {key}", es)
        verify.check_owned_history(self, by_key)
        verify.check_shared_state(self, by_key)
        repeats = len(entries) - len({e.identity for e in entries})
        allowed = kind.repeatable(self.kills)
        if repeats > allowed:
            self.problem(f"{kind.name}: {repeats} repeats, more than the {allowed} that can have been in flight")
        self.repeats += repeats
        self.figures["events"] += len(entries)
        self.log(f"{kind.name}: {len(entries)} events, {repeats} repeats ({allowed} allowed), {kind.kills} crashes of its own")
        if kind.mirrors:
            self.judge_watch(kind, by_key)
            self.judge_mirror(kind, {f"{b}/{key}": max(e.place for e in es) for (b, key), es in by_key.items()})

    def judge_watch(self, kind, by_key):
        """What was to be seen of it meanwhile."""
        watch = self.watches[kind]
        watch.end()
        removals = {f"{b}/{key}": [e.place for e in es if e.event.startswith("s3:ObjectRemoved:")] for (b, key), es in by_key.items()}
        allowed = kind.at_kill * (0 if kind.once == "always" else self.kills) + kind.window * (kind.kills if kind.early else 0)
        wrong = watch.judge(removals, allowed)
        self.log(f"{kind.name}: its mirror was looked at {watch.looks} times, {watch.misses} times in vain; {watch.back} keys went "
                 f"back after kills ({allowed} allowed)")
        if not watch.looks:
            self.problem(f"{kind.name}: nobody has seen its mirror meanwhile")
        if wrong:
            self.problem(f"{kind.name}: the mirror goes back {len(wrong)} times: {'; '.join(wrong[:5])}", DISORDER, len(wrong))

    def judge_mirror(self, kind, last):
        """It holds the objects as they are, each as its last event says. What was removed with the first table and not
        changed since is in that one still."""
        pages = self.server.boto().get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        objects = {f"{BUCKET}/{o['Key']}": o["ETag"].strip('"') for o in pages.search("Contents[]") if o}

        def mirror():
            now, before = kind.mirror(), kind.old_mirror
            return dict({k: r for k, r in before.items() if place(r) == last.get(k)}, **now)
        found = mirror()
        wrong = sorted(k for k in set(found) | set(objects)
                       if k not in found or found[k]["s3"]["object"].get("eTag") != objects.get(k))
        if wrong:
            self.problem(f"{kind.name}: the mirror differs from the objects in {len(wrong)} keys: {wrong[:10]}", OBJECTS, len(wrong))
        behind = [k for k, r in found.items() if place(r) != last.get(k)]
        if behind:
            self.problem(f"{kind.name}: the mirror has another event than the last of {len(behind)} keys: {behind[:10]}",
                         DISORDER, len(behind))

    def counts(self):
        found = {"acked": sum(op.status == ACKED for op in self.journal.ops.values()), "repeats": self.repeats}
        for p in self.journal.problems:
            if p.kind:
                found[p.kind] = found.get(p.kind, 0) + p.n
        return found
