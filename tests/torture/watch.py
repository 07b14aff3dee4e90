# SPDX-License-Identifier: Apache-2.0
"""Mirrors looked at again and again while everything happens to their brokers. What is in the end as the objects are may have been
older on the way: nobody who reads a mirror is to see a key go back."""
import bisect
import collections
import contextlib
import threading

ABSENT = None


def place(record):
    return record["s3"]["object"]["sequencer"], int(record["source"]["userAgent"].removeprefix("op-"))


class Watch:
    """Of one kind of a run. Each look is a state of the whole mirror, one after the other. seen: key -> [(life, table, place)],
    a line for each change; looks: how many there were."""

    def __init__(self, run, kind):
        self.run, self.kind = run, kind
        self.seen, self.looks, self.misses = collections.defaultdict(list), 0, 0
        self.lock, self.over = threading.Lock(), threading.Event()
        self.thread = threading.Thread(target=run.guarded, args=(self._loop,), daemon=True)
        self.thread.start()

    @contextlib.contextmanager
    def closed(self):
        """Not looked at meanwhile, as it is exchanged for another one."""
        with self.lock:
            yield

    def end(self):
        self.over.set()
        self.thread.join()

    def _loop(self):
        while not self.over.wait(self.kind.look_s):
            with self.lock:
                life = self.kind.lives(self.run.kills)
                try:
                    found = self.kind.look()
                except Exception:                       # noqa: BLE001 - its broker is away, frozen, or has no such table
                    self.misses += 1
                    continue
                if life == self.kind.lives(self.run.kills):
                    self._note(life, self.kind.losses, {k: place(r) for k, r in found.items()})

    def _note(self, life, table, found):
        self.looks += 1
        for key in found.keys() | self.seen.keys():
            line, now = self.seen[key], (life, table, found.get(key, ABSENT))
            if not line or line[-1] != now:
                line.append(now)

    def judge(self, removals, allowed):
        """removals: key -> places of events that remove it; allowed: how many keys may go back because of kills, as what was
        delivered and not removed from the queue comes once more. Returns what is wrong, in words."""
        wrong, back = [], 0
        for key, line in self.seen.items():
            steps, problems = walk(line, sorted(removals.get(key, [])))
            back += steps
            wrong += [f"{key}: {p}" for p in problems]
        if back > allowed:
            wrong.append(f"{back} keys go back after kills, more than the {allowed} that can have been under way")
        self.back = back
        return wrong


def walk(line, removals):
    """How often the key goes back as it may, and what else it does. It may once in a life that a kill began (none did the life
    of zeros), from what the life before has left there."""
    back, problems, last, spent = 0, [], None, 0
    for i, (life, table, p) in enumerate(line):
        before = line[i - 1] if i else None
        if before and life != before[0]:
            spent = 0                                   # 1: it has gone back in this life; 2: or onwards
        if p is ABSENT:
            if before is None or before[1] != table or before[2] is ABSENT:
                continue                                # never there, or not yet in this table: tells nothing
            at = bisect.bisect_right(removals, last)
            if at and any(life) and not spent:
                continue                                # after a kill an earlier removal may have come again: which, nobody knows
            if at < len(removals):
                p = removals[at]                        # the first that can have removed it
            else:                                       # one before what was seen comes once more, or there is none
                p = removals[-1] if removals else None
        if p is None:
            problems.append(f"it is gone after {last}, and was never removed (life {life}, table {table})")
        elif last is not None and p < last:
            if not any(life) or spent:
                problems.append(f"{p} was there after {last} (life {life}, table {table})")
            else:
                back += 1
            spent, last = 1, p
        else:
            spent = max(spent, 2 if last is not None and p > last and before and before[0] == life else 0)
            last = p
    return back, problems
