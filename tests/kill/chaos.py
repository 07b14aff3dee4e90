# SPDX-License-Identifier: Apache-2.0
"""What happens to the receiver and to the server in one round."""
import math
import random
import signal
import subprocess
import threading

from support import receiver as rx
from support.server import run as run_program
from support.wait import SCALE

UP, DOWN, FLAPPING, FAULTY = "up", "down", "flapping", "faulty"


class Weather(threading.Thread):
    """The receiver's mood for one round; ends with calm()."""

    def __init__(self, receiver, mood, random, usual=None):
        super().__init__(daemon=True)
        self.receiver, self.mood, self.random = receiver, mood, random
        self.usual = usual or (lambda post: rx.OK)
        self.over = threading.Event()
        self.cuts = 0

    def run(self):
        if self.mood == DOWN:
            self.receiver.stop()
            self.cuts += 1
            self.over.wait()
        elif self.mood == FAULTY:
            self.receiver.behave = self.fault
            self.over.wait()
        elif self.mood == FLAPPING:
            while not self.over.wait(self.random.uniform(0.05, 0.2)):
                self.receiver.stop()
                self.cuts += 1
                if self.over.wait(self.random.uniform(0.02, 0.15)):
                    break
                self.receiver.start()

    def fault(self, post):
        lot = self.random.random()
        if lot < 0.90 or self.usual(post) is not rx.OK:
            return self.usual(post)
        return self.random.choice([rx.Answer(500), rx.Answer(503), rx.CLOSE_UNANSWERED, rx.CLOSE_MID_HEAD, rx.GARBAGE,
                                   rx.Answer(slow=0.1), rx.Answer(then="close")])

    def calm(self):
        """End the mood; the port is open again afterwards only if open_port() is called."""
        self.over.set()
        self.join()
        self.receiver.behave = self.usual
        return self.cuts


def open_port(receiver):
    if receiver._listener is None:
        receiver.start()


def crash_points(binary_path=None):
    """The named points of the program, or none when it does not know any."""
    done = run_program("--crash-points", binary_path=binary_path)
    return done.stdout.split() if done.returncode == 0 else []


# Points of a store's first start, which come before any load.
BIRTH = ("format-written", "store-born", "target-numbered")
START = ("janitor-swept",)                          # passed in every start, once
FILES = ("queue-dir-taken", "queue-dir-unlinked")   # where files were left before a start, once
BUILDING = ("extents-written", "janitor-extents")   # need the builder
STOP = "stopping"                                   # needs a SIGTERM
# How often a point is passed in a second of this load differs by orders of magnitude.
OFTEN = {"janitor-before-unlink": 60, "janitor-unlinked": 60, "blob-created": 60, "blob-half": 60, "blob-before-sync": 60,
         "blob-synced": 60, "janitor-parts": 30, "bucket-made": 5, "bucket-removed": 5, "janitor-bucket": 8, "rules-written": 20,
         "upload-completed": 20, "upload-aborted": 4, "config-written": 4, "targets-switched": 3, "targets-stopped": 3,
         "dead-letter": 3, "history-cut": 3, "t-rows-written": 2, **dict.fromkeys(START + FILES + BUILDING + BIRTH + (STOP,), 1)}


def schedule(seed, number, points, kills, at_points=0.7):
    """How the kills of a round of a long run end: a list of points, None for an instant. Over the rounds each point has its
    turn equally often; a round depends on seed and number alone."""
    names = [p for p in points if p not in BIRTH]
    n = round(kills * at_points) if names else 0
    turn, out = (number - 1) * n, []
    for i in range(turn, turn + n):
        order = random.Random(f"{seed}/points/{i // len(names)}").sample(names, len(names))
        out.append(order[i % len(names)])
    out += [None] * (kills - n)
    random.Random(f"{seed}/schedule/{number}").shuffle(out)
    return out


def some_points(lot, points, kills):
    """The same for a single run."""
    names = [p for p in points if p not in BIRTH]
    return [lot.choice(names) if names and lot.random() < 0.6 else None for _ in range(kills)]


class Death:
    """How one round ends: at a named point, or at an instant, sometimes in the middle of an orderly stop. count: which passing
    of the point it is, mostly one of the first."""

    def __init__(self, lot, point=None, first=False):
        self.point = point
        limit = 1 if first else OFTEN.get(point, 400)
        self.count = int(math.exp(lot.uniform(0, math.log(limit + 1))))
        self.after = lot.uniform(0.1, 0.7) * SCALE
        self.stop_first = point == STOP or point is None and lot.random() < 0.1
        self.in_stop = lot.uniform(0, 0.1)
        self.building = point in BUILDING or lot.random() < 0.05

    @property
    def env(self):
        return {"BELFRY_CRASH_AT": f"{self.point}:{self.count}"} if self.point else {}

    def __str__(self):
        return f"at {self.point}:{self.count}" if self.point else f"after {self.after:.2f} s" + (
            f" and {self.in_stop:.3f} s of a stop" if self.stop_first else "")

    def wait(self, server):
        """Let it come; True when the server died at its point by itself."""
        if self.stop_first:
            if self.died_within(server, self.after):
                return True
            server.signal(signal.SIGTERM)
            return self.died_within(server, 10 * SCALE if self.point else self.in_stop)
        return self.died_within(server, (4.0 if self.building else 2.5) * SCALE if self.point else self.after)

    @staticmethod
    def died_within(server, seconds):
        try:
            server.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True
