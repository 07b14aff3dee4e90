# SPDX-License-Identifier: Apache-2.0
"""A start with a great deal queued and stored."""
import os
import re
import subprocess
import time

from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.server import Server, run as run_program
from support.wait import SCALE, wait_for
from torture import instruments
from torture.row import Row

READY_S = 1.0           # of a start, also one that has a log to replay
SLOWER = 12             # or so many times as long as the start of an empty store, where the machine is busy
FIRST_S = 0.5           # from ready to the first delivery
PAGE_S = 0.25           # first page of a listing
BUCKET = "restart"
CLIENTS = 16
REPEATS = 3 * 16        # what is out, what was confirmed meanwhile, and the removal that is being written
ALL, FEW = 1_000_000, 20_000


class Restart:
    """One store: filled, started, ended in several ways, and emptied of its events in the end. The receiver is there all the
    time, so that it knows which events came."""

    def __init__(self, ctx, directory, count):
        self.ctx, self.count = ctx, count
        self.sink = instruments.sink(ctx)
        self.server = Server(os.path.join(directory, "data"), binary_path=ctx.binary,
                             env=dict(webhook_env(f"http://127.0.0.1:{self.sink.port}/"), MINIO_PROMETHEUS_AUTH_TYPE="public"))
        self.acked = self.unanswered = 0
        self.bound = READY_S
        self.load = instruments.Load(ctx, self.server, BUCKET)

    def make(self):
        """The bucket, the target and the rule, then all the objects with their events."""
        self.server.start()
        self.bound = max(READY_S, SLOWER * self.server.ready_after)
        self.server.s3.make_bucket(BUCKET)
        assert self.server.s3.set_rules(BUCKET, rule(arn("1"), "s3:ObjectCreated:*")).status == 200
        self.server.stop()
        began = time.monotonic()
        self.fill(self.count)
        self.ctx.log(f"{self.count} objects and events made in {time.monotonic() - began:.1f} s")

    def fill(self, count, *leave):
        """More objects and events; leave: as if killed."""
        done = subprocess.run([instruments.tool(self.ctx, "tests/torture/native/fill"), self.server.directory, BUCKET,
                               "webhook", "1", str(self.acked), str(count), *leave], capture_output=True, text=True,
                              timeout=600 * SCALE, check=False)
        assert done.returncode == 0, done.stderr[-1000:]
        self.acked += count

    # -- one start ---------------------------------------------------------------
    def start(self, after):
        """after: the end that went before. Ready in time, and the first event soon after it."""
        log, before = instruments.disk(self.server.directory)["log"], self.sink.stats()["events"]
        self.server.start(deadline=60)
        ready_ns, took = time.time_ns(), self.server.ready_after
        self.ctx.recovery(took)
        if took > self.bound * SCALE:
            self.ctx.problem(f"after {after} ready only after {took:.2f} s, with a log of {log >> 20} MiB")
        wait_for(lambda: self.sink.stats()["events"] > before, 60, f"a delivery after {after}")
        now = self.sink.stats()["first_ns"] if before == 0 else time.time_ns()
        first = max(0.0, (now - ready_ns) / 1e9)
        if first > FIRST_S * SCALE:
            self.ctx.problem(f"after {after} the first delivery came {first:.2f} s after ready")
        self.ctx.note(f"after {after} (log {log >> 20} MiB): ready {took:.2f} s, first delivery {first:.3f} s later")

    def list_page(self):
        """While the queue is drained."""
        times = []
        for _ in range(5):
            began = time.monotonic()
            reply = self.server.s3.request("GET", f"/{BUCKET}?list-type=2&max-keys=1000")
            times.append(time.monotonic() - began)
            if reply.status != 200 or reply.body.count(b"<Key>") != min(1000, self.count):
                self.ctx.problem(f"listing answered {reply.status} with {reply.body.count(b'<Key>')} keys")
        self.ctx.note(f"first page of a listing: {times[0] * 1e3:.0f} ms, then {instruments.median(times) * 1e3:.0f} ms")
        if instruments.median(times) > PAGE_S * SCALE:
            self.ctx.problem(f"the first page of a listing takes {instruments.median(times):.2f} s")

    def kill_under_load(self, seconds):
        with instruments.running(self.load.start("put", CLIENTS, prefix="after/", seconds=60)) as process:
            instruments.until(seconds, process)
            self.server.kill()
            done = self.load.result(process)
        self.acked += done["ok"]
        self.unanswered += CLIENTS
        self.ctx.add(acked=done["ok"])

    # -- the end -----------------------------------------------------------------
    def drain(self):
        began, left = time.monotonic(), instruments.queued(self.server)
        try:
            wait_for(lambda: instruments.queued(self.server) == 0, 60 + self.acked / 2000, "an empty queue")
        except AssertionError as e:
            self.ctx.problem(str(e))
        took = time.monotonic() - began
        self.ctx.note(f"{left:.0f} events left were drained in {took:.1f} s ({left / max(took, 0.01):.0f}/s)")
        s = self.sink.stats()
        lost, more = max(0, self.acked - s["distinct"]), s["distinct"] - self.acked
        self.ctx.add(events_lost=lost, repeats=s["events"] - s["distinct"])
        if lost:
            self.ctx.problem(f"{lost} of {self.acked} events did not arrive")
        if s["events"] - s["distinct"] > REPEATS:
            self.ctx.problem(f"{s['events'] - s['distinct']} repeats after one SIGKILL, more than the {REPEATS} in flight")
        if more > self.unanswered:
            self.ctx.problem(f"{more} events more than objects, of at most {self.unanswered} unanswered requests")

    def count_objects(self):
        reply = self.server.s3.request("GET", "/minio/v2/metrics/bucket", sign=False)
        found = re.findall(r'^minio_bucket_usage_object_total\{.*bucket="restart".*\} (\S+)$', reply.body.decode(), re.M)
        there = int(float(found[0])) if found else 0
        lost = max(0, self.acked - there)
        self.ctx.add(objects_lost=lost)
        if not self.acked <= there <= self.acked + self.unanswered:
            self.ctx.problem(f"{there} objects, {self.acked} were acknowledged and {self.unanswered} not answered")

    def check(self):
        """belfry check finds nothing, and says on the way how far it is."""
        began = time.monotonic()
        done = run_program("check", self.server.directory, timeout=900, binary_path=self.ctx.binary)
        took, told = time.monotonic() - began, done.stderr.count("checked ")
        self.ctx.note(f"belfry check: {took:.1f} s, {told} lines of progress")
        if done.returncode != 0:
            self.ctx.problem(f"belfry check ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
        if told < int(took / 5):
            self.ctx.problem(f"belfry check took {took:.1f} s and told its progress {told} times")

    def run(self):
        self.make()
        self.start("a clean stop")
        self.list_page()
        self.server.stop()
        self.fill(self.count // 10, "leave")
        self.start("an unclean end")
        self.kill_under_load(1.0)
        self.start("SIGKILL under load")
        self.drain()
        self.count_objects()
        self.server.stop()
        self.check()

    def close(self):
        self.server.kill()
        self.sink.__exit__()


def restart(ctx):
    for number, _ in ctx.rounds():
        r = Restart(ctx, os.path.join(ctx.directory, str(number)), ALL if ctx.seconds >= 90 else FEW)
        try:
            r.run()
        finally:
            r.close()


ROWS = [Row("restart", "restart with a full queue", "with 1,000,000 objects and as many events queued (20,000 when the row has "
            "less than 90 s): ready within 1 s after a clean stop, after an end that leaves a log to replay and after SIGKILL "
            "under load; the first delivery within 0.5 s of ready; nothing lost; a page of a listing within 0.25 s meanwhile; "
            "belfry check finds nothing and tells its progress", restart, share=2, least=4, timed=True)]
