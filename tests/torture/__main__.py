#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real clients, a real server, real faults: what was acknowledged must be there, and so must its events.

    make torture [FOR=minutes] [SEED=n] [ROWS="name ..."] [MUTATE=all|name ...]

Each row of the table is one kind of fault, run in rounds until its share of the time is used. A round depends on SEED,
row and number alone. What was found is kept in build/torture/SEED: the same SEED goes on where it ended; --again NAME:N
makes one round again. MUTATE builds the program with one safeguard left out after the other, and runs the rows that are to notice
it for as long as they have in a run of FOR minutes over those rows that are to notice any; which were noticed, by what, is kept
beside the rows' state, and asked for again with the same SEED only the others are tried. It ends with a table of all.
Ends with 0 only when every row is well (with MUTATE: when every mutation was noticed).
"""
import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import random
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "integration")]

from torture import mutations, rows                        # noqa: E402 - the path is set above
from torture.row import Context, Outcome                   # noqa: E402


def all_rows():
    found = []
    for m in sorted(m.name for m in pkgutil.iter_modules(rows.__path__)):
        found += importlib.import_module(f"torture.rows.{m}").ROWS
    return found


@contextlib.contextmanager
def measuring(timed):
    """While it lasts, the file that $BELFRY_MEASURING names tells others that they would disturb."""
    path = os.environ.get("BELFRY_MEASURING") if timed else None
    if path:
        open(path, "w", encoding="ascii").close()
    try:
        yield
    finally:
        if path:
            os.remove(path)


class Run:
    """One run over some rows; its state is a folder."""

    def __init__(self, args, chosen):
        self.args, self.chosen = args, chosen
        self.folder = os.path.join(args.directory, str(args.seed))
        os.makedirs(self.folder, exist_ok=True)
        self.state_path = os.path.join(self.folder, "state.json")
        self.state = {}
        if os.path.exists(self.state_path):
            with open(self.state_path, encoding="utf-8") as f:
                self.state = json.load(f)

    def save(self, ctx, number):
        self.state[ctx.row.name] = dict(ctx.outcome.as_json(), rounds=number)
        with open(self.state_path + ".new", "w", encoding="utf-8") as f:
            json.dump(self.state, f, indent=1)
        os.replace(self.state_path + ".new", self.state_path)

    def seconds(self):
        """Row -> its seconds: what has a fixed course takes that, the others share the rest, each at least its least."""
        seconds = {r.name: float(r.once) for r in self.chosen if r.once}
        while len(seconds) < len(self.chosen):
            left = [r for r in self.chosen if r.name not in seconds]
            each = max(0.0, self.args.minutes * 60 - sum(seconds.values())) / (sum(r.share for r in left) or 1.0)
            # Who would get less than the least takes that from all others.
            least = {r.name: float(r.least) for r in left if r.least >= each * r.share}
            seconds.update(least or {r.name: each * r.share for r in left})
        return seconds

    def row(self, row, seconds, binary, again=None, mutant=None):
        """One row. again: one round of it; mutant: the safeguard that the binary lacks; neither is kept."""
        saved, outcome = self.state.get(row.name), Outcome()
        alone = again or mutant
        if alone:
            saved = None
        if saved:
            outcome.load(saved)
        directory = os.path.join(self.folder, f"{mutant}-{row.name}" if mutant else row.name)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        with open(directory + ".log", "a", encoding="utf-8") as log:
            def write(text):
                print(f"{time.strftime('%H:%M:%S')} {text}", file=log, flush=True)
            ctx = Context(row, self.args.seed, seconds, binary, directory, write,
                          again or (saved["rounds"] + 1 if saved else 1), outcome, None if alone else self.save, bool(mutant))
            try:
                with measuring(row.timed):
                    row.run(ctx)
            except Exception as e:                          # noqa: BLE001 - a fault of the harness is no success
                import traceback
                write(traceback.format_exc())
                if mutant and isinstance(e, (TypeError, NameError, AttributeError, LookupError, RuntimeError)):
                    raise                                   # and not what the mutation did
                ctx.problem(f"the row ended with {type(e).__name__}: {e}")
        if outcome.problems:
            if not alone:
                self.save(ctx, outcome.counts["runs"])
        else:
            shutil.rmtree(directory, ignore_errors=True)
        return outcome

    def table(self):
        """All rows one after the other, each line printed when it is known. True: all well."""
        print(f"seed {self.args.seed}, {self.args.minutes:g} min, logs in {os.path.relpath(self.folder)}", flush=True)
        head = ("fault", "runs", "acknowledged", "objects lost", "events lost", "disorder", "repeats", "recovery", "")
        line = "{:38.38} {:>6} {:>12} {:>12} {:>11} {:>8} {:>8} {:>8}  {}"
        print(line.format(*head), flush=True)
        bad, seconds = [], self.seconds()
        for row in self.chosen:
            o = self.row(row, seconds[row.name], self.args.binary)
            c = o.counts
            print(line.format(row.fault, c["runs"], c["acked"], c["objects_lost"], c["events_lost"], c["disorder"],
                              c["repeats"], f"{o.recovery_s:.2f} s", f"{len(o.problems)} PROBLEMS" if o.problems else "ok"),
                  flush=True)
            for text in o.notes:
                print(f"    {text}", flush=True)
            bad += [(row.name, p) for p in o.problems]
        for name, text in bad:
            print(f"PROBLEM {name}: {text[:2000]}")
        return not bad

    def mutate(self, names):
        """Each of these safeguards left out; what was noticed before is not tried again. True: all are noticed."""
        path, known = os.path.join(self.folder, "mutations.json"), {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                known = json.load(f)
        print(f"seed {self.args.seed}, {self.args.minutes:g} min, logs in {os.path.relpath(self.folder)}", flush=True)
        for name in names:
            if name not in known:
                print(f"without {mutations.MUTATIONS[name][0]}", flush=True)
                found = self.mutate_one(name)
                if found:
                    known[name] = found
                    with open(path, "w", encoding="utf-8") as f:
                        json.dump(known, f, indent=1)
        line = "{:24.24} {:10.10} {:12.12} {:>5} {:>8}  {}"
        print(line.format("left out", "", "row", "run", "", "noticed as"), flush=True)
        for name in names:
            f = known.get(name)
            print(line.format(name, "noticed" if f else "UNNOTICED", f["row"] if f else ",".join(mutations.MUTATIONS[name][1]),
                              f["run"] if f else "", f"{f['seconds']:.0f} s" if f else "", f["problem"][:160] if f else ""))
        return all(name in known for name in names)

    def mutate_one(self, name):
        """What noticed it, or None."""
        binary = mutations.build(os.path.join(self.args.directory, "mutants"), name)
        table, seconds = {r.name: r for r in self.chosen}, self.seconds()
        for watcher in [w for w in mutations.MUTATIONS[name][1] if w in table]:
            begin = time.monotonic()
            o = self.row(table[watcher], seconds[watcher], binary, mutant=name)
            if o.problems:
                return {"row": watcher, "run": o.counts["runs"], "seconds": time.monotonic() - begin,
                        "problem": " ".join(o.problems[0].split())}
        return None


def choose(args):
    found = [r for r in all_rows() if r.timed == (args.only == "timed") or not args.only]
    if args.mutate and not args.rows:
        watchers = {name for _, rows_of in mutations.MUTATIONS.values() for name in rows_of}
        return [r for r in found if r.name in watchers]
    if not args.rows:
        return [r for r in found if r.short or not args.short]
    names = {r.name: r for r in found}
    for name in args.rows:
        if name not in names:
            sys.exit(f"no row \"{name}\": {' '.join(names)}")
    return [names[n] for n in args.rows]


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--for", dest="minutes", type=float, default=30)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    p.add_argument("--rows", nargs="*", default=[])
    p.add_argument("--short", action="store_true", help="only the rows of the form inside make test")
    p.add_argument("--only", choices=("timed", "untimed"), help="rows that judge how long something takes, or the others")
    p.add_argument("--list", action="store_true", help="rows, and what is expected of each")
    p.add_argument("--again", metavar="NAME:N", help="one round of one row again")
    p.add_argument("--mutate", nargs="*", default=[], metavar="NAME", help="leave safeguards out; all: each of them")
    p.add_argument("--binary", default=os.environ.get("BELFRY_BIN", os.path.join(ROOT, "build", "belfry")))
    p.add_argument("--directory", default=os.path.join(ROOT, "build", "torture"))
    return p.parse_args()


def main():
    args = parse()
    args.binary = os.path.abspath(args.binary)
    chosen = choose(args)
    if args.list:
        for r in chosen:
            print(f"{r.name}: {r.fault}\n    {r.expected}")
        return 0
    run = Run(args, chosen)
    if args.again:
        name, _, number = args.again.partition(":")
        row = {r.name: r for r in chosen}[name]
        row.once = row.once or row.least
        problems = run.row(row, row.once, args.binary, int(number)).problems
        print("\n".join(problems) or "ok")
        return 1 if problems else 0
    if args.mutate:
        names = list(mutations.MUTATIONS) if args.mutate == ["all"] else args.mutate
        for name in names:
            if name not in mutations.MUTATIONS:
                sys.exit(f"no mutation \"{name}\": {' '.join(mutations.MUTATIONS)}")
        return 0 if run.mutate(names) else 1
    return 0 if run.table() else 1


if __name__ == "__main__":
    sys.exit(main())
