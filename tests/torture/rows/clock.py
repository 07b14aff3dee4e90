# SPDX-License-Identifier: Apache-2.0
"""Clocks that are set, and two servers that want the same directory or port."""
import hashlib
import os
import struct
import subprocess
import threading
import time

from support.receiver import Receiver, webhook_env
from support.s3raw import arn, key_path, rule
from support.server import ROOT, Server, run as run_program
from support.wait import wait_for
from torture.row import Row

HOUR, YEAR = 3600, 365 * 86400
STEPS = (0, -HOUR, 0, YEAR, YEAR - HOUR, 0, -HOUR, 0)
KEYS = 4


def shim(ctx):
    """The module that shifts the wall clock; a mutant's own build has none."""
    for build in (ctx.build, os.path.join(ROOT, "build")):
        path = os.path.join(build, "tests", "torture", "native", "torture_clock.so")
        if os.path.exists(path):
            return path
    raise AssertionError("torture_clock.so is not built")


class Clock:
    def __init__(self, path):
        self.path, self.shift = path, 0
        self.set(0)

    def set(self, seconds):
        self.shift = seconds
        mode = "r+b" if os.path.exists(self.path) else "wb"
        with open(self.path, mode) as f:                # in place: the server has it mapped
            f.write(struct.pack("=q", seconds))

    def now(self):
        return time.time() + self.shift


class Writer(threading.Thread):
    """One key, one change after the other; its clock goes with the server's."""

    def __init__(self, run, key):
        super().__init__(daemon=True)
        self.run_, self.key, self.acked = run, key, []      # numbers of acknowledged changes
        self.refused = 0

    def run(self):
        n = 0
        while not self.run_.over.is_set():
            n += 1
            method, body = ("DELETE", b"") if n % 5 == 0 else ("PUT", f"{self.key} {n}".encode())
            try:
                reply = self.run_.request(method, key_path("clock", self.key), [("User-Agent", f"op-{n}")], body)
            except Exception:                               # noqa: BLE001 - the server is being restarted
                self.run_.over.wait(0.01)
                continue
            if reply.status in (200, 204):
                self.acked.append(n)
            elif reply.code == "RequestTimeTooSkewed":
                self.refused += 1                           # the clock was set between signing and arriving
            elif reply.code != "SlowDown":
                self.run_.ctx.problem(f"{method} {self.key}: {reply}")

    def missing(self, posts):
        """Numbers of acknowledged changes whose events did not come."""
        came = {p.record["source"]["userAgent"] for p in posts if p.json["Key"] == f"clock/{self.key}"}
        return [n for n in self.acked if f"op-{n}" not in came]


class ClockRun:
    def __init__(self, ctx, random, directory):
        self.ctx, self.random = ctx, random
        os.makedirs(directory)
        self.clock = Clock(f"{directory}/clock")
        self.receiver = Receiver()
        env = dict(webhook_env(self.receiver), LD_PRELOAD=shim(ctx), TORTURE_CLOCK=self.clock.path)
        self.server = Server(f"{directory}/data", env=env, binary_path=ctx.binary)
        self.over = threading.Event()

    def request(self, method, target, headers=(), body=b"", when=None):
        return self.server.s3.request(method, target, headers, body, when=when or self.clock.now())

    def begin(self):
        self.receiver.start()
        self.server.start()
        assert self.request("PUT", "/clock").status == 200
        rules = f'<NotificationConfiguration>{rule(arn("1"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*")}' \
                '</NotificationConfiguration>'
        assert self.request("PUT", "/clock?notification", body=rules.encode()).status == 200
        created = self.request("POST", "/clock/live?uploads=")
        self.upload = created.body.split(b"<UploadId>")[1].split(b"<")[0].decode()
        assert self.part(1).status == 200

    def part(self, number):
        return self.request("PUT", f"/clock/live?partNumber={number}&uploadId={self.upload}", body=b"p" * 50_000)

    def skew(self):
        """A client whose clock is not the server's is refused, one within 15 minutes is not."""
        for off, wanted in ((-HOUR, 403), (HOUR, 403), (600, 200), (-600, 200)):
            reply = self.request("PUT", "/clock/skew", body=b"x", when=self.clock.now() + off)
            if reply.status != wanted or wanted == 403 and reply.code != "RequestTimeTooSkewed":
                self.ctx.problem(f"a clock {off} s off is answered {reply}")

    def presigned(self):
        """A link is valid from its time on for as long as it says, by the server's clock."""
        for off, wanted, words in ((0, 200, b""), (-60, 200, b""), (-400, 403, b"Request has expired"),
                                   (-YEAR, 403, b"Request has expired"), (HOUR, 403, b"Request is not valid yet"),
                                   (YEAR, 403, b"Request is not valid yet")):
            target = self.server.s3.signer.presign("GET", key_path("clock", "skew"), self.server.s3.host, expires=300,
                                                   when=self.clock.now() + off)
            reply = self.server.s3.request("GET", target, sign=False)
            if reply.status != wanted or words not in reply.body:
                self.ctx.problem(f"a link made {off:+d} s from the server's clock is answered {reply}")

    def outage(self):
        """The receiver is away while the clock is set: back-off goes by the steady clock."""
        self.receiver.stop()
        before = len(self.receiver.posts)
        wait_for(lambda: "offline" in self.server.log() or self.over.is_set(), 10, "the outage to be seen")
        self.clock.set(self.clock.shift - HOUR)
        began = time.monotonic()
        self.receiver.start()
        wait_for(lambda: len(self.receiver.posts) > before, 40, "deliveries to go on after the clock was set back")
        self.ctx.recovery(time.monotonic() - began)
        self.clock.set(self.clock.shift + HOUR)

    def step(self, seconds, restart):
        if restart:
            self.server.kill()
        self.clock.set(seconds)
        if restart:
            self.server.start()
        self.skew()
        self.presigned()
        reply = self.request("GET", f"/clock/live?uploadId={self.upload}")
        if reply.status != 200:
            self.ctx.problem(f"an upload that is a minute old is gone with the clock at {seconds:+d} s: {reply}")

    def run(self):
        self.begin()
        writers = [Writer(self, f"k{i}") for i in range(KEYS)]
        for w in writers:
            w.start()
        for seconds in STEPS:
            self.step(seconds, seconds == YEAR or self.random.random() < 0.5)
            done = len(writers[0].acked) + 5
            wait_for(lambda wanted=done: len(writers[0].acked) >= wanted, 20, "changes under the new time")
        self.outage()
        self.over.set()
        for w in writers:
            w.join()
        self.verify(writers)

    def verify(self, writers):
        self.ctx.add(acked=sum(len(w.acked) for w in writers))
        lost = []

        def all_here():
            lost[:] = [(w.key, n) for w in writers for n in w.missing(self.receiver.delivered())]
            return not lost
        try:
            wait_for(all_here, 40, "every event")
        except AssertionError:
            self.ctx.add(events_lost=len(lost))
            self.ctx.problem(f"{len(lost)} events never came: {lost[:5]}")
        self.verify_order()
        reply = self.request("POST", f"/clock/live?uploadId={self.upload}",
                             body=b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" +
                             hashlib.md5(b"p" * 50_000).hexdigest().encode() + b"</ETag></Part></CompleteMultipartUpload>")
        if reply.status != 200:
            self.ctx.problem(f"the upload cannot be completed: {reply}")

    def verify_order(self):
        """First deliveries of a key in the order in which its writer worked, sequencers with them."""
        last = {}
        for post in self.receiver.delivered():
            key, agent = post.json["Key"], post.record["source"]["userAgent"]
            if not agent.startswith("op-"):
                continue
            place = int(agent[3:]), post.sequencer
            before = last.setdefault(key, [])
            if place in before:
                continue                                    # a repeat after a kill
            if before and (place[0] < before[-1][0] or place[1] <= before[-1][1]):
                self.ctx.add(disorder=1)
                self.ctx.problem(f"{key}: {place} after {before[-1]}")
            before.append(place)

    def stop(self):
        self.over.set()
        self.server.kill()
        self.receiver.stop()


def clocks(ctx):
    for number, random in ctx.rounds():
        run = ClockRun(ctx, random, f"{ctx.directory}/{number}")
        try:
            run.run()
        finally:
            run.stop()


# -- two servers --------------------------------------------------------------------------------------

def refused(ctx, what, server, code, *words):
    """A second server must end, with that code and those words."""
    server.spawn()
    try:
        got = server.wait_exit(20)
    except subprocess.TimeoutExpired:
        ctx.problem(f"{what}: the second server runs")
        server.kill()
        return
    log = server.log()
    if got != code or not all(w in log for w in words):
        ctx.problem(f"{what}: ended with {got} instead of {code}, said {log[-500:]}")


def load(server, over, acked, ctx):
    n = 0
    while not over.is_set():
        n += 1
        body = os.urandom(100_000 if n % 3 else 500)
        reply = server.s3.put("two", f"k{n}", body)
        if reply.status != 200:
            ctx.problem(f"the first server answers {reply}")
            return
        acked[f"k{n}"] = body


def both_at_once(ctx, directory):
    """On a folder that neither has seen, or one of both has made: one of them serves."""
    servers = [Server(f"{directory}/both", binary_path=ctx.binary, log=f"{directory}/both-{i}.log") for i in range(2)]
    for s in servers:
        s.spawn()
    try:
        wait_for(lambda: any(s.process.poll() is not None for s in servers), 20, "one of two servers to end")
        ended = [s for s in servers if s.process.poll() is not None]
        if len(ended) != 1 or ended[0].process.returncode != 4 or "in use" not in ended[0].log():
            ctx.problem(f"of two servers started at once ended: {[(s.process.returncode, s.log()[-300:]) for s in ended]}")
            return
        other = next(s for s in servers if s is not ended[0])
        wait_for(other._ready, 20, "the other to be ready")
        other.s3.make_bucket("both")
    finally:
        for s in servers:
            s.kill()


def two_round(ctx, directory):
    first = Server(f"{directory}/data", binary_path=ctx.binary).start()
    over, acked = threading.Event(), {}
    link, bound = f"{directory}/link", f"{directory}/bound"
    os.symlink(first.directory, link)
    first.s3.make_bucket("two")
    worker = threading.Thread(target=load, args=(first, over, acked, ctx), daemon=True)
    worker.start()
    try:
        for what, path in (("the same directory", first.directory), ("a link to it", link)):
            second = Server(path, binary_path=ctx.binary, log=f"{directory}/second.log")
            refused(ctx, what, second, 4, str(first.process.pid), "lock")
        os.mkdir(bound)
        if subprocess.run(["mount", "--bind", first.directory, bound], capture_output=True, check=False).returncode == 0:
            try:
                refused(ctx, "a bind mount of it", Server(bound, binary_path=ctx.binary, log=f"{directory}/second.log"), 4, "lock")
            finally:
                subprocess.run(["umount", "-l", bound], check=False)
        for flags in ((), ("--salvage",)):
            done = run_program("check", *flags, first.directory, binary_path=ctx.binary)
            if done.returncode != 4 or str(first.process.pid) not in done.stderr:
                ctx.problem(f"check {flags} of a directory in use: {done}")
        other = Server(f"{directory}/other", port=first.port, binary_path=ctx.binary, log=f"{directory}/third.log")
        refused(ctx, "the same port", other, 3, str(first.port))
        if os.path.exists(f"{directory}/other/kv"):
            ctx.problem("the server that found the port taken made a store")
    finally:
        over.set()
        worker.join()
    first.kill()                                            # the file "lock" stays, the lock does not
    first.start()
    ctx.recovery(first.ready_after)
    ctx.add(acked=len(acked))
    for key, body in acked.items():
        if first.s3.get("two", key).body != body:
            ctx.add(objects_lost=1)
            ctx.problem(f"{key} is not what was put")
    first.stop()
    done = run_program("check", first.directory, binary_path=ctx.binary)
    if done.returncode:
        ctx.problem(f"belfry check: {done}")


def two_servers(ctx):
    for number, _ in ctx.rounds():
        directory = f"{ctx.directory}/{number}"
        os.makedirs(directory)
        two_round(ctx, directory)
        both_at_once(ctx, directory)


ROWS = [Row("clock", "the clock set an hour back, a year forward", "no event lost, sequencers rise, requests with another "
            "clock are refused, no live upload is removed, retries go by the steady clock", clocks, least=10),
        Row("two-servers", "two servers on a directory or port", "the second ends and says why, the first is unharmed; "
            "after a SIGKILL nothing blocks the next start", two_servers, share=0.2, least=4)]
