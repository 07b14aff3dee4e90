# SPDX-License-Identifier: Apache-2.0
"""What a row of the torture table is, and what it is given when it runs."""
import os
import random
import time

COUNTS = ("runs", "acked", "objects_lost", "events_lost", "disorder", "repeats")


class Row:
    """One kind of fault.

    name      as in ROWS=name; fault: a few words for the table
    expected  what must happen, written down before it is run: printed by --list, and part of docs/durability.md
    run       function(ctx): makes rounds until ctx.rounds() ends, and tells what it found
    share     of the time of the whole run, relative to the others; least: seconds it needs to show anything (a start
              of the server and one round); once: seconds a row needs that has a fixed course instead of rounds (then
              ctx.rounds() gives one round)
    short     whether the form inside `make test` has it
    timed     whether it judges how long something takes: scripts/test computes nothing else meanwhile
    """

    def __init__(self, name, fault, expected, run, share=1.0, least=5, once=None, short=True, timed=False):
        self.name, self.fault, self.expected, self.run = name, fault, expected, run
        self.share, self.least, self.once, self.short, self.timed = share, least, once, short, timed


class Outcome:
    """What a row found, added up over its rounds. repeats: deliveries of events that the receiver had accepted before;
    how many were allowed is the row's to judge. data: what
    the row itself keeps from one round to the next, as JSON. recovery_s: the longest time from a start to ready, or from the end of
    a fault to the next delivery. problems: what must not be, in words that name key, request and place."""

    def __init__(self, **counts):
        self.counts = dict.fromkeys(COUNTS, 0)
        self.recovery_s, self.problems, self.notes, self.data = 0.0, [], [], {}
        self.counts.update({k: counts[k] for k in COUNTS if k in counts})

    def as_json(self):
        return dict(self.counts, recovery_s=self.recovery_s, problems=self.problems, notes=self.notes,
                    data=self.data)

    def load(self, saved):
        self.counts = {k: saved[k] for k in COUNTS}
        self.recovery_s, self.problems, self.notes = saved["recovery_s"], saved["problems"], saved["notes"]
        self.data = saved.get("data", {})


class Context:
    """Handed to Row.run.

    binary     the program under test; build: the folder it was built in (shims and helpers lie beside it)
    directory  empty at first, this row's own; removed afterwards when the row is well
    seconds    how long the row may take in all; seed: of the whole run
    mutant     a safeguard is left out: the row ends with the first problem, and need not be patient
    """

    def __init__(self, row, seed, seconds, binary, directory, log=print, first=1, outcome=None, save=None,
                 mutant=False):
        self.row, self.seed, self.seconds = row, seed, seconds
        self.binary, self.build = binary, os.path.dirname(binary)
        self.directory, self.log = directory, log
        self.first, self.outcome, self._save = first, outcome or Outcome(), save or (lambda ctx, number: None)
        self.mutant, self.enough = mutant, 1 if mutant else 20
        self.end = time.monotonic() + seconds

    def rounds(self):
        """(number, Random) of each round, from the first that was not made yet until the time is up; at least one.
        A round depends on seed, row and number alone, so that it can be made again by itself."""
        number = self.first
        while True:
            self.round_began = time.monotonic()
            yield number, random.Random(f"{self.seed}/{self.row.name}/{number}")
            self.add(runs=1)
            self._save(self, number)
            took, number = time.monotonic() - self.round_began, number + 1
            if self.row.once or time.monotonic() + took / 2 > self.end or len(self.outcome.problems) >= self.enough:
                return

    def left(self):
        """Seconds until the row's time is up; never negative."""
        return max(0.0, self.end - time.monotonic())

    def add(self, **counts):
        for name, n in counts.items():
            self.outcome.counts[name] += n

    def recovery(self, seconds):
        self.outcome.recovery_s = max(self.outcome.recovery_s, seconds)

    def problem(self, text):
        self.log(f"PROBLEM {text}")
        self.outcome.problems.append(text)

    def note(self, text):
        """Said under the table: figures and what is worth knowing."""
        self.outcome.notes.append(text)
