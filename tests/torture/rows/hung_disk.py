# SPDX-License-Identifier: Apache-2.0
"""The disk under a queue_dir hangs, as a network disk does whose server is gone: calls do not fail, they do not return."""
import os
import shutil
import signal
import time

from support.admin import Admin
from support.certs import Authority
from support.receiver import Receiver, webhook_env
from support.wait import wait_for
from torture.fault import CREATE, EVER, HANG, OPEN, PATH, READ, SYNC, WRITE, Fault
from torture.row import Row
from torture.rows.segments import LIST, Backlog

ALL = OPEN | CREATE | READ | WRITE | SYNC | PATH
WHEN = {"moving": ALL, "draining": ALL, "cleaning": PATH}


class Hung(Backlog):
    """The Redis, whose settings are stored, has a queue_dir on that disk; the webhook has none."""

    def __init__(self, ctx, number):
        super().__init__(ctx, number, "20:0:50")
        os.makedirs(self.directory)
        self.receiver = Receiver().start()
        self.fault = Fault(os.path.join(self.directory, "faults"), ctx.build)
        self.settings = f"notify_redis:1 address={self.redis.address} key={LIST} format=access queue_dir="
        self.server.env = {**webhook_env(self.receiver, "1"), **self.fault.env, "BELFRY_TEST_SEGMENTS": "20:0:50"}
        self.certs = os.path.join(self.directory, "certs")
        os.makedirs(os.path.join(self.certs, "CAs"))
        self.server.args += ["--certs-dir", self.certs]
        self.authorities = 0

    def begin(self):
        self.server.start()
        configure(self, self.settings + self.queue)
        self.server.stop()
        return super().begin()

    def trust_another(self):
        """Makes every sender anew."""
        self.authorities += 1
        other = Authority(f"{self.directory}/ca{self.authorities}", f"CA {self.authorities}")
        shutil.copy(other.cert, f"{self.certs}/CAs/{self.authorities}.crt")
        self.server.signal(signal.SIGHUP)


def timed(ctx, what, most, do):
    began = time.monotonic()
    try:
        result = do()
    except Exception as e:                              # noqa: BLE001 - it may take for ever
        ctx.problem(f"{what}: {type(e).__name__}: {e}")
        return None
    took = time.monotonic() - began
    if took > most:
        ctx.problem(f"{what} took {took:.1f} s")
    return result


def configure(b, text, refused=None):
    reply = Admin(b.server).sealed("PUT", "set-config-kv", text)
    if refused:
        assert reply.status == 400 and refused in reply.body.decode(), reply
    else:
        assert reply.status == 200, reply


def others_go_on(ctx, b, random, when, leave):
    """Requests, the other target, changes of settings, a reload: all is as ever, but for the one target. leave: it gets
    settings without that disk."""
    n = b.total()
    for t in b.write(100, random, size=10):
        t.join(20)
    if b.total() < n + 100:
        ctx.problem(f"{when}: only {b.total() - n} of 100 deletes were answered")
    try:
        wait_for(lambda: len(b.receiver.delivered()) >= b.total(), 10, "the other target")
    except AssertionError:
        ctx.problem(f"{when}: the other target got {len(b.receiver.delivered())} of {b.total()}")
    timed(ctx, f"{when}: a change of another target", 15, lambda: configure(b, f"notify_webhook:2 endpoint={b.receiver.url}"))
    b.trust_another()
    if leave:
        timed(ctx, f"{when}: a change of this target", 15, lambda: configure(b, b.settings))
    timed(ctx, f"{when}: a change that names that disk", 15,
          lambda: configure(b, b.settings + b.queue + " comment=x", "does not answer"))
    timed(ctx, f"{when}: removal of another target", 15, lambda: configure(b, "notify_webhook:2 enable=off"))
    ctx.log(f"{when}: info says: {timed(ctx, f'{when}: info', 2, b.target)}")


def hang(ctx):
    for number, random in ctx.rounds():
        when = list(WHEN)[(number + ctx.seed) % len(WHEN)]
        b = Hung(ctx, number).begin()
        try:
            if when == "moving":
                rule = b.fault.arm(WHEN[when], f"{b.queue}*", HANG, times=EVER)
            for t in b.write(800, random, size=20):
                t.join()
            if when != "moving":
                wait_for(lambda: b.in_files() >= 700, 20, "the backlog to be moved")
                rule = b.fault.arm(WHEN[when], f"{b.queue}*", HANG, times=EVER)
                b.redis.start()
            wait_for(lambda: b.fault.hits(rule), 20, f"the disk to hang while {when}")
            others_go_on(ctx, b, random, when, number % 2 == 0)
            code = timed(ctx, f"{when}: SIGTERM", 11, lambda: end(b))
            if code != 0:
                ctx.problem(f"{when}: SIGTERM led to exit code {code}")
            b.server.kill()
            b.server.start(deadline=15)
            others_go_on(ctx, b, random, f"{when}, started anew", True)
            b.fault.clear()
            began = time.monotonic()
            if when == "moving":
                b.redis.start()
            wait_for(b.drained, 60, "the queue to be empty")
            ctx.recovery(time.monotonic() - began)
            b.judge(crashes=3)
            b.nothing_left()
        finally:
            b.fault.clear()
            b.end()


def end(b):
    b.server.signal(signal.SIGTERM)
    return b.server.wait_exit(30)


ROWS = [
    Row("queue-dir-hangs", "a queue_dir's disk that hangs", "only its own target waits: S3 requests, other targets, changes of settings "
        "(of it too), SIGHUP, stop (within its 10 s, status 0) and start go on; when it answers again, all is delivered in order",
        hang, share=1, least=100, short=False),          # three kinds, half a minute each
]
