# SPDX-License-Identifier: Apache-2.0
"""What happens to the receiver and to the server in one round."""
import threading
import time

from support import receiver as rx
from support.server import run as run_program

UP, DOWN, FLAPPING, FAULTY = "up", "down", "flapping", "faulty"


class Weather(threading.Thread):
    """The receiver's mood for one round; ends with calm()."""

    def __init__(self, receiver, mood, random):
        super().__init__(daemon=True)
        self.receiver, self.mood, self.random = receiver, mood, random
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
        if lot < 0.90:
            return rx.OK
        return self.random.choice([rx.Answer(500), rx.Answer(503), rx.CLOSE_UNANSWERED, rx.CLOSE_MID_HEAD, rx.GARBAGE,
                                   rx.Answer(slow=0.1), rx.Answer(then="close")])

    def calm(self):
        """End the mood; the port is open again afterwards only if open_port() is called."""
        self.over.set()
        self.join()
        self.receiver.behave = lambda post: rx.OK
        return self.cuts


def open_port(receiver):
    if receiver._listener is None:
        receiver.start()


def crash_points(binary_path=None):
    """The named points of the program, or none when it does not know any."""
    done = run_program("--crash-points", binary_path=binary_path)
    return done.stdout.split() if done.returncode == 0 else []


# How often a point is passed in a second of this load differs by orders of magnitude.
RARE = {"janitor-before-unlink": 60, "janitor-unlinked": 60, "blob-created": 60, "blob-half": 60, "blob-before-sync": 60,
        "blob-synced": 60, "queue-dir-taken": 3, "janitor-parts": 30}


class Death:
    """How one round ends: at a named point, or at an instant."""

    def __init__(self, random, points):
        self.point = random.choice(points) if points and random.random() < 0.6 else None
        self.count = random.randrange(1, RARE.get(self.point, 400))
        self.after = random.uniform(0.2, 1.0)

    @property
    def env(self):
        return {"BELFRY_CRASH_AT": f"{self.point}:{self.count}"} if self.point else {}

    def __str__(self):
        return f"at {self.point}:{self.count}" if self.point else f"after {self.after:.2f} s"

    def wait(self, server):
        """Let it come; True when the server died at its point by itself."""
        end = time.monotonic() + (2.5 if self.point else self.after)
        while time.monotonic() < end:
            if server.process.poll() is not None:
                return True
            time.sleep(0.002)
        return False
