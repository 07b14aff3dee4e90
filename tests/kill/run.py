#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One run: rounds of load, each ended by a SIGKILL, and the verdict.

    tests/kill/run.py [--kills N] [--seed S] [--binary PATH] [--directory DIR]
"""
import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

if __name__ == "__main__":
    HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "integration")]

from support.admin import Admin                             # noqa: E402 - the path is set above
from support.receiver import OK, Answer, Receiver, webhook_env  # noqa: E402 - the path is set above
from support.s3raw import arn, rule                         # noqa: E402
from support.server import Server, run as run_program       # noqa: E402
from support.wait import SCALE, wait_for                    # noqa: E402

from kill import building, chaos, verify                    # noqa: E402
from kill.changes import Changes                            # noqa: E402
from kill.listening import Ear                              # noqa: E402
from kill.mirrors import Mirrors                             # noqa: E402
from kill.model import ACKED, LOST, Journal                 # noqa: E402
from kill.workers import BUCKET, REFUSED_KEYS, Owner, Reader, Refused, Sharer  # noqa: E402

OWNERS, SHARERS, READERS = 8, 3, 2
IN_FLIGHT = 3 * 32      # POSTs that the webhook target has out at a time, and what was confirmed but is not removed yet
SHORT_HISTORY = 3000    # events of the listeners' history, in some runs, so that it is cut
CLOCK_STEPS = (0, 0, -300, -600)        # seconds; within the skew that signatures allow


def behave(post):
    """What the receiver does in fair weather."""
    return Answer(400) if post.key.startswith(f"{BUCKET}/{REFUSED_KEYS}") else OK


class KillRun:
    """The state of a run. extra_env: for every start of the server; points: where each kill comes (see chaos.schedule)."""

    def __init__(self, directory, seed, kills, binary_path=None, extra_env=None, log=print, moods=None, points=None):
        self.random, self.kills, self.log = random.Random(seed), kills, log
        self.seed, self.directory = seed, directory
        self.moods = moods or [chaos.UP, chaos.DOWN, chaos.FLAPPING, chaos.FAULTY]
        self.journal, self.receiver = Journal(), Receiver(behave)
        self.queue_dir = os.path.join(directory, "queue")
        self.mirrors = Mirrors(directory)
        env = dict(webhook_env(self.receiver, queue_dir=self.queue_dir), **self.mirrors.env, **(extra_env or {}))
        known = chaos.crash_points(binary_path)
        self.points = chaos.some_points(self.random, known, kills) if points is None else points
        self.births = [p for p in chaos.BIRTH if p in known and self.random.random() < 0.5]
        self.history = SHORT_HISTORY if "history-cut" in self.points or self.random.random() < 0.3 else None
        if self.history:
            env["BELFRY_LISTEN_HISTORY"] = str(self.history)
        self.server = Server(os.path.join(directory, "data"), env=env, binary_path=binary_path)
        self.changes, self.ear = Changes(self), Ear(self)
        self.states, self.big = [{} for _ in range(OWNERS)], {}
        self.stop_workers = threading.Event()
        self.requests = self.restarts = self.cuts = 0
        self.taken, self.broken = set(), False
        self.hits, self.unreached = collections.Counter(), []   # points at which it died; that were not reached in time
        self.slowest_start = 0.0
        self.repeats = 0
        self._parsed = []
        self.stop_asked = False     # a SIGTERM is on its way: an end by itself is no surprise
        self.patience = 90          # seconds for all events to arrive in the end

    unjournaled = ()        # buckets whose changes are in no journal

    # -- parts --------------------------------------------------------------------
    def tolerates(self, reply):
        """Whether a reply of 5xx is one of the faults that this run makes."""
        return False

    def deliveries(self):
        """All posts in order of arrival, each taken apart once (unanswered ones again)."""
        posts = self.receiver.snapshot()
        for post in posts[len(self._parsed):]:
            self._parsed.append(verify.Delivery(post))
        for d in self._parsed:
            if not d.accepted:
                d.accepted = d.post.answered is not None and 200 <= d.post.answered < 300
        return self._parsed

    def owned(self):
        for index, state in enumerate(self.states):
            yield state, ([f"own/{index}/i{i}" for i in range(Owner.INLINE_KEYS)] +
                          [f"own/{index}/f{i}" for i in range(Owner.FILE_KEYS)])

    def workers(self, death):
        def seeded():
            return random.Random(self.random.random())
        return ([Owner(self, i, seeded()) for i in range(OWNERS)] + [Sharer(self, i, seeded()) for i in range(SHARERS)] +
                [Reader(self, i, seeded()) for i in range(READERS)] + [Refused(self, seeded())] +
                ([building.Builder(self, seeded())] if death.building else []) + self.changes.workers(seeded))

    def leave_queue_files(self):
        """Files as another server leaves them: taken in at the next start, whatever happens then."""
        directory = os.path.join(self.queue_dir, "minio-webhook-1")
        os.makedirs(directory, exist_ok=True)
        for _ in range(3):
            key = f"old-{len(self.taken)}"
            record = {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2025-01-02T03:04:05.678Z",
                      "eventName": "s3:ObjectCreated:Put", "userIdentity": {"principalId": "old"}, "requestParameters": None,
                      "responseElements": {}, "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config", "bucket": {
                          "name": "taken", "ownerIdentity": {"principalId": "old"}, "arn": "arn:aws:s3:::taken"},
                          "object": {"key": key, "size": 1, "sequencer": f"1797{len(self.taken):012X}"}},
                      "source": {"host": "", "port": "", "userAgent": "old"}}
            with open(os.path.join(directory, f"{uuid.uuid4()}.event"), "w", encoding="utf-8") as f:
                f.write(json.dumps(record, separators=(",", ":")))
            self.taken.add(key)

    def start(self, env=None, files=False):
        if files or self.restarts and self.random.random() < 0.3:
            self.leave_queue_files()
        step = {"BELFRY_TEST_CLOCK_OFFSET_S": str(self.random.choice(CLOCK_STEPS))}
        self.server.start(deadline=30, extra_env=dict(step, **(env or {})))
        self.restarts += 1
        self.slowest_start = max(self.slowest_start, self.server.ready_after)

    def start_through_crashes(self, death):
        """A named point may be passed during the start itself: then it died there, and is started again."""
        try:
            self.start(death.env, death.point in chaos.FILES)
            return True
        except AssertionError:
            if not death.point or self.server.process.poll() is None:
                raise
            self.note_hit(death)
            self.bury()
            return False

    def note_hit(self, death):
        """It has died at its point, when it has died of a SIGKILL that is not ours."""
        if death.point and self.server.process.poll() == -signal.SIGKILL:
            self.hits[death.point] += 1

    def kill(self):
        """Now, if it is not dead already; of anything but the SIGKILL of a named point it must not be."""
        code = self.server.process.poll() if self.server.process else None
        if code not in (None, -signal.SIGKILL) and not (code == 0 and self.stop_asked):
            self.journal.problem(f"the server ended by itself, with {code}: {self.server.log()[-1500:]}")
        self.server.kill()

    def bury(self):
        """The server is dead or dies now; wait until the receiver has seen the end of its connections too,
        so that nothing of the old process arrives after something of the new one."""
        self.kill()
        wait_for(lambda: not self.receiver._open, 20, "the receiver's old connections to end")
        self.mirrors.bury()
        self.changes.bury()
        self.ear.end_round()
        self.server.check_log()

    # -- the run --------------------------------------------------------------------
    def round(self, number):
        again = None if self.points[number - 1] or not self.unreached else self.unreached.pop()
        death = chaos.Death(self.random, self.points[number - 1] or again, bool(again))
        if not self.start_through_crashes(death):
            self.log(f"round {number}: died in the start {death}")
            return
        if not self.look_or_died(death):
            self.log(f"round {number}: died while it was looked at, {death}")
            return
        chaos.open_port(self.receiver)
        weather = chaos.Weather(self.receiver, self.random.choice(self.moods), random.Random(self.random.random()),
                                behave)
        weather.start()
        self.mirrors.begin_round(random.Random(self.random.random()))
        self.stop_workers.clear()
        workers = self.workers(death)
        before = self.requests
        for w in workers:
            w.start()
        self.stop_asked = death.stop_first
        by_itself = death.wait(self.server)
        self.note_hit(death)
        self.kill()
        self.stop_asked = False
        if death.point and not by_itself:
            self.unreached.append(death.point)
        self.stop_workers.set()
        for w in workers:
            w.join()
        self.cuts += weather.calm()
        self.mirrors.end_round()
        self.bury()
        self.log(f"round {number}: receiver {weather.mood}, killed {death}"
                 f"{'' if by_itself or not death.point else ' (not reached)'}, {self.requests - before} requests, {len(self.receiver.posts)} posts so far")

    def look(self):
        verify.resolve_and_check(self)
        building.resolve_and_check(self)
        self.changes.resolve()
        self.ear.begin_round()

    def look_or_died(self, death):
        """The look at the objects may itself pass the point at which the server is to die. False: it has."""
        try:
            self.look()
            return True
        except Exception as e:                          # noqa: BLE001 - whatever it was, it is a death or a fault
            try:
                wait_for(lambda: self.server.process.poll() is not None, 5, "a death that explains the failure")
                self.note_hit(death)
            except AssertionError:
                self.journal.problem(f"the look after restart {self.restarts} failed: {e!r}")
                self.broken = True
            self.bury()
            return False

    def be_born(self):
        """The first start, through deaths in the middle of it."""
        for point in self.births:
            self.server.spawn({"BELFRY_CRASH_AT": f"{point}:1"})
            if self.server.wait_exit(20) == -signal.SIGKILL:
                self.hits[point] += 1
        self.server.start()

    def run(self):
        """All rounds and the verdict: a list of problems, empty when all is well."""
        self.log(f"seed {self.seed}, {self.kills} kills, history {self.history or 'long'}")
        self.receiver.start()
        self.mirrors.start()
        self.be_born()
        self.server.s3.make_bucket(BUCKET)
        reply = self.server.s3.set_rules(BUCKET, rule(arn("1"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*"),
                                         rule(arn("1"), "s3:ObjectAccessed:*", prefix="shared/"), *self.mirrors.rules)
        assert reply.status == 200, reply
        self.changes.begin()
        self.ear.begin()
        self.server.stop()
        for number in range(1, self.kills + 1):
            self.round(number)
            if len(self.journal.problems) > 20:
                break
            if self.broken:
                return self.journal.problems
        self.finish()
        return self.journal.problems

    def finish(self):
        chaos.open_port(self.receiver)
        self.server.start(deadline=30)
        self.restarts += 1
        self.look()
        try:
            wait_for(self.all_arrived, self.patience, "every event to arrive")
        except AssertionError:
            lost = verify.missing_events(self)
            if lost:
                self.journal.problem(f"{len(lost)} events never arrived: {verify.tell_missing(self, lost)}", LOST, len(lost))
            elif self.all_taken():
                self.journal.problem(f"the queue does not become empty, or the dead letters are not {len(verify.refused(self))}: "
                                     f"{Admin(self.server).target('1')}", LOST)
            if not self.all_taken():
                self.journal.problem("an event of a queue file never arrived")
        in_redis, changing = self.mirrors.check(self), self.changes.check()
        self.ear.check()
        self.quiet_restart()
        self.mirrors.check_quiet(self, in_redis)
        if len(self.changes.receiver.posts) != changing:
            self.journal.problem("deliveries to the changing target again after a clean restart")
        self.repeats = repeats = verify.check_events(self)
        allowed = IN_FLIGHT * (self.kills + self.cuts + 1)
        if repeats > allowed:
            self.journal.problem(f"{repeats} repeats, more than the {allowed} that can have been in flight")
        self.server.stop()
        self.check_directory()
        self.stop_receivers()
        self.log(f"{self.requests} requests, {len(self.journal.ops)} changes, {len(self.receiver.posts)} posts, "
                 f"{repeats} repeats, {self.restarts} starts, {len(self.journal.problems)} problems")

    def clean(self):
        """All was well: nothing is kept."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop_receivers(self):
        self.receiver.stop()
        self.changes.receiver.stop()
        self.mirrors.stop()

    def all_arrived(self):
        """Every event is with the receiver or, refused, a dead letter; and nothing is queued."""
        if verify.missing_events(self) or not self.all_taken():
            return False
        target = Admin(self.server).target("1")
        return target["queueLength"] == 0 and target["deadLetters"] == len(verify.refused(self))

    def counts(self):
        """For the table."""
        books = self.journal, self.changes.book
        found = {"acked": sum(op.status == ACKED for b in books for op in b.ops.values()),
                 "repeats": self.repeats + self.mirrors.repeats + self.changes.repeats}
        for p in self.journal.problems:
            if p.kind:
                found[p.kind] = found.get(p.kind, 0) + p.n
        return found

    def all_taken(self):
        return self.taken <= {d.key for d in self.deliveries() if d.bucket == "taken" and d.accepted}

    def quiet_restart(self):
        """What was delivered is gone from the outbox: after a clean restart nothing more comes."""
        self.server.stop()
        posts = len(self.receiver.posts)
        self.server.start(deadline=30)
        end = time.monotonic() + 0.7 * SCALE
        wait_for(lambda: time.monotonic() > end, 5, "a moment")
        if len(self.receiver.posts) != posts:
            self.journal.problem(f"{len(self.receiver.posts) - posts} deliveries again after a clean restart")

    def check_directory(self):
        done = run_program("check", self.server.directory, timeout=120, binary_path=self.server.binary_path)
        if done.returncode != 0:
            self.journal.problem(f"belfry check ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("BELFRY_KILLS", "15")))
    parser.add_argument("--seed", default=os.environ.get("BELFRY_SEED") or str(random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--binary")
    parser.add_argument("--directory", help="kept afterwards; a temporary one is removed when all is well")
    args = parser.parse_args()
    directory = args.directory or tempfile.mkdtemp(prefix="belfry-kill-")
    os.makedirs(directory, exist_ok=True)
    run = KillRun(directory, args.seed, args.kills, args.binary)
    try:
        problems = run.run()
    except subprocess.SubprocessError as e:
        problems = [str(e)]
    finally:
        run.server.kill()
        run.stop_receivers()
    for p in problems:
        print("PROBLEM", p)
    if problems:
        print(f"seed {args.seed}; the directory is {directory}")
    elif not args.directory:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
