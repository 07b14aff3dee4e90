# SPDX-License-Identifier: Apache-2.0
"""A client that listens on everything across all kills, and goes on each time where it was told that it is, or was some
time ago. What it has behind that position it throws away, to be told the same again: so it must hear of every change once
and in order."""
import random

from support.listener import Listener
from support.wait import wait_for

from .model import ACKED, DISORDER, HAPPENED, LOST, NOT, REFUSED
from .verify import check_kind
from .workers import BUCKET

EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:BucketCreated:*", "s3:BucketRemoved:*", "s3:ObjectAccessed:*")


class Heard:
    """One event, as verify looks at deliveries."""

    def __init__(self, record):
        thing = record["s3"]["object"]
        self.event, self.bucket = record["eventName"], record["s3"]["bucket"]["name"]
        # keys of the main bucket are noted without it, those of others with it
        self.key = thing["key"] if self.bucket == BUCKET else self.bucket + ("/" + thing["key"] if thing["key"] else "")
        agent = record["source"]["userAgent"]
        self.number = int(agent[3:]) if agent.startswith("op-") else None
        self.sequencer, self.etag = thing["sequencer"], thing.get("eTag")
        self.request = record["responseElements"]["x-amz-request-id"]

    @property
    def identity(self):
        return self.number, self.key

    @property
    def read(self):
        return self.event.startswith("s3:ObjectAccessed:")

    def __repr__(self):
        return f"{self.event} {self.key} op {self.number} {self.sequencer}"


class Ear:
    """That client."""

    def __init__(self, run):
        self.run, self.listener, self.random = run, None, random.Random(f"ear {run.seed}")
        self.places = []                        # each position it was told, and how much it had heard there
        self.heard, self.again = [], []         # what is behind it for good; changes that it was told and threw away
        self.reads = self.rounds = self.thrown = 0
        self.missed = 0                         # how much it was told to have missed, where the history is short

    def begin(self):
        """Before the first change: a place to come back to."""
        with Listener(self.run.server, events=EVENTS) as listener:
            self.places.append((wait_for(lambda: listener.position), 0))

    def begin_round(self):
        if self.random.random() < 0.4:
            self.go_back(self.random.randrange(len(self.places)) if self.random.random() < 0.3 else max(0, len(self.places) - 10))
        self.listener = Listener(self.run.server, events=EVENTS, resume=self.places[-1][0])
        self.rounds += 1

    def go_back(self, index):
        del self.places[index + 1:]
        count = self.places[-1][1]
        self.again = [h.request for h in self.heard[count:]] + self.again
        self.thrown += len(self.heard) - count
        del self.heard[count:]

    def end_round(self):
        """The server is dead: what came until then."""
        if self.listener is not None:
            self.listener.close()
            self.take(self.listener.lines)
        self.listener = None

    def take(self, lines):
        open_ones, told, missed = [], [], 0
        for line in lines:
            if line["Records"] and line["Records"][0]["s3"]["bucket"]["name"] in self.run.unjournaled:
                continue
            if line["Records"]:
                open_ones.append(Heard(line["Records"][0]))
                told.append(open_ones[-1])
            elif "Position" in line:
                self.heard += [h for h in open_ones if not h.read]
                self.places.append((line["Position"], len(self.heard)))
                self.reads += sum(h.read for h in open_ones)
                open_ones = []
            missed += line.get("Missed", 0)
        if missed and not self.run.history:
            self.run.journal.problem(f"a listener missed {missed} events", LOST, missed)
        if missed:                              # then it cannot be told the same again
            self.again = []
        self.missed += missed
        told = [h.request for h in told if not h.read]
        if any(a != b for a, b in zip(told, self.again)):
            self.run.journal.problem("a listener was told other events than before behind the same position")
        # It may have been told less than before, or nothing: then it still waits for the rest.
        rest = [h.request for h in open_ones if not h.read]
        committed = len(told) - len(rest)
        self.again = max(rest, self.again[committed:], key=len)
        self.thrown += len(rest)                # told again behind the same position, as is what go_back took

    def missing(self):
        got = {h.identity for h in self.heard} | {Heard(r).identity for r in self.listener.records}
        return [op for ops in (self.run.journal.ops, self.run.changes.book.ops) for op in ops.values()
                if op.status in (ACKED, HAPPENED) and op.identity not in got]

    def complete(self):
        """Nothing is missing but what it was told that it missed."""
        return len(self.missing()) <= self.missed + self.listener.missed

    def check(self):
        """While the server runs, after the last round."""
        problem = self.run.journal.problem
        try:
            wait_for(self.complete, self.run.patience, "the listener to hear of everything")
            wait_for(lambda: "Position" in self.listener.lines[-1], self.run.patience, "the listener's last position")
        except AssertionError:
            lost = self.missing()
            problem(f"a listener never heard of {len(lost)} changes, missed {self.missed}: {lost[:10]}", LOST, len(lost))
        self.end_round()
        requests, last, known = set(), {}, dict(self.run.journal.ops)
        known.update(self.run.changes.book.ops)
        for h in self.heard:
            if (h.request, h.key) in requests:
                problem(f"a listener was told twice: {h}")
            requests.add((h.request, h.key))
            place = h.sequencer, h.number or 0
            if place <= last.get(h.key, ("", 0)):
                problem(f"a listener was told {h} after {last[h.key]}", DISORDER)
            last[h.key] = place
            op = known.get(h.identity)
            if op is None or op.status in (NOT, REFUSED):
                problem(f"a listener was told what did not happen: {h}, {op}")
            else:
                check_kind(self.run, op, h)
        self.run.log(f"listener: {len(self.heard)} changes and {self.reads} reads heard in {self.rounds} connections, "
                     f"{self.thrown} told again behind a position, {self.missed} missed")
