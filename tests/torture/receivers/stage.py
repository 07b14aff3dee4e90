# SPDX-License-Identifier: Apache-2.0
"""What a misbehaving receiver plays before: a fault is what it does, a stage the server, its targets and its clients."""
import collections
import os
import threading
import time

from support.admin import Admin
from support.receiver import webhook_env
from support.redis import Redis, redis_env
from support.s3raw import arn, rule
from support.server import Server
from support.wait import wait_for
from torture.misbehave import BadReceiver, Wire

BUCKET, KEYS, WORKERS = "events", 4, 3


class Fault:
    """One kind of misbehaviour.

    kind       webhook or redis; name, expected: written before it is run
    begin, end functions of the Stage; what end leaves must let everything through
    own_way    the good and the other keys of this very target go on while the fault lasts
    dead       whether events may end as dead letters: none, or of which keys
    repeats    how many accepted events may come once more, as a multiple of what is in flight
    wait       seconds after the end until everything has to be there; slow: only in the long form
    check      function of the Stage, in the end: what else must be, as a text when it is not; pause: seconds between two
               writes of a client; hold: seconds that it lasts, where that matters
    """

    def __init__(self, kind, name, expected, begin, end, own_way=False, dead=None, repeats=2, wait=30, slow=False, setup=None,
                 check=None, pause=0.008, hold=None):
        self.kind, self.name, self.expected, self.begin, self.end = kind, name, expected, begin, end
        self.own_way, self.dead, self.repeats, self.wait, self.slow = own_way, dead, repeats, wait, slow
        self.setup, self.check, self.pause, self.hold = setup, check, pause, hold


class Putter(threading.Thread):
    """Overwrites its own few keys, one request after the other; every one has to be answered 200."""

    def __init__(self, stage, index):
        super().__init__(daemon=True)
        self.stage, self.keys = stage, [f"w{index}k{i}" for i in range(KEYS)]
        self.acked, self.problems, self.slowest = collections.Counter(), [], 0.0

    def run(self):
        n, s3 = 0, self.stage.server.s3
        with self.stage.server.raw(timeout=30) as conn:
            while not self.stage.stop.wait(self.stage.fault.pause):
                key, n, begin = self.keys[n % KEYS], n + 1, time.monotonic()
                try:
                    reply = s3.put(BUCKET, key, b"x" * 100, conn=conn)
                except Exception as e:                  # noqa: BLE001 - the server is up all the time
                    self.problems.append(f"PUT of {key}: {type(e).__name__}: {e}")
                    return
                self.slowest = max(self.slowest, time.monotonic() - begin)
                if reply.status != 200:
                    self.problems.append(f"PUT of {key}: {reply}")
                self.acked[key] += 1


class Stage:
    """A server with two targets, 'bad' and 'good', writers, and what the receivers got."""

    def __init__(self, ctx, directory, fault):
        self.ctx, self.fault, self.directory = ctx, fault, directory
        os.makedirs(directory, exist_ok=True)
        self.stop = threading.Event()
        self.good = BadReceiver().start()
        self.bad = self.redis = self.wire = self.authority = None
        self.stored = None                              # settings of 'bad' that are stored, not in the environment
        self.env, self.args = webhook_env(self.good, "good"), []
        self.host, self.moved = "127.0.0.1", None       # of 'bad', for the server; where it may move
        if fault.kind == "webhook":
            self.bad = BadReceiver()
            self.wire = Wire(self.bad.port).start()
        else:
            self.redis = Redis(f"{directory}/redis", "--lua-time-limit", "50", durable=False).start()
            self.wire = Wire(self.redis.port).start()
        if fault.setup:
            fault.setup(self)
        if self.bad:
            self.bad.start()
        if self.stored is None and self.bad:
            self.env.update(webhook_env(f"{'https' if self.bad.tls else 'http'}://{self.host}:{self.wire.port}/hook", "bad"))
        elif self.stored is None:
            self.env.update(redis_env(f"{self.host}:{self.wire.port}", "bad", format="access"))
        self.server = Server(f"{directory}/store", env=self.env, args=self.args, binary_path=ctx.binary)
        self.writers = []

    def start(self):
        self.server.start()
        self.server.s3.make_bucket(BUCKET)
        if self.stored is not None:
            self.set_config(self.stored)
        reply = self.server.s3.set_rules(BUCKET, rule(arn("bad", self.fault.kind), "s3:ObjectCreated:*"),
                                         rule(arn("good"), "s3:ObjectCreated:*"))
        assert reply.status == 200, reply
        self.writers = [Putter(self, i) for i in range(WORKERS)]
        for w in self.writers:
            w.start()

    def close(self):
        self.stop.set()
        for w in self.writers:
            w.join(10)
        self.server.kill()
        for r in (self.bad, self.good):
            if r is not None:
                r.behave_well()
                r.stop()
        for wire in filter(None, (self.wire, self.moved)):
            wire.stop()
        if self.redis is not None:
            self.redis.kill()

    # -- what was acknowledged, what came ------------------------------------------
    def acked(self):
        total = collections.Counter()
        for w in self.writers:
            total.update(w.acked)
        return total

    def came(self, receiver):
        """(key, sequencer) in the order in which they were accepted."""
        if receiver is None:
            return [(i.key.partition("/")[2], i.sequencer) for i in self.redis.list()]
        return [(p.key.partition("/")[2], p.sequencer) for p in receiver.delivered()]

    def missing(self, receiver, wanted, dead=()):
        """Key -> how many of its events are not there."""
        have = collections.Counter(k for k, _ in set(self.came(receiver)))
        return {k: n - have[k] for k, n in wanted.items() if k not in dead and have[k] < n}

    def wait_all(self, receiver, wanted, seconds, what, dead=()):
        try:
            wait_for(lambda: not self.missing(receiver, wanted, dead), seconds, what)
            return True
        except AssertionError:
            self.ctx.problem(f"{self.fault.kind}, {self.fault.name}: {what}: missing {self.missing(receiver, wanted, dead)}; "
                             f"{self.target('bad').get('error') or self.server.log()[-600:]}")
            return False

    def target(self, name):
        try:
            return Admin(self.server).target(name, self.fault.kind if name == "bad" else "webhook") or {}
        except Exception as e:                          # noqa: BLE001 - only for the text of a problem
            return {"error": str(e)}

    def set_config(self, text):
        reply = Admin(self.server).sealed("PUT", "set-config-kv", text)
        assert reply.status == 200, reply

    def dead_letters(self):
        return sum(1 for line in self.server.log().splitlines() if "becomes a dead letter" in line)
