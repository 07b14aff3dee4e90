# SPDX-License-Identifier: Apache-2.0
"""Power cut: a workload is recorded under a real server, and states that the disk may be left in are opened."""
import collections
import multiprocessing
import os
import random as random_module
import re
import shutil
import subprocess
import tempfile
import time

from support.receiver import Receiver, webhook_env
from support.server import Server, run as run_program
from support.wait import wait_for

from torture import disk
from torture.power_load import KINDS, NEVER, Load
from torture.row import Row

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
PROCESSES, STATES_OF_CUT, LOOK_EVERY = 3, 6, 8
CUTS_OF_WALK = 10           # over the whole recording
STEPS = 80                  # of each worker in a whole recording
SHORT_SECONDS = 60          # a row with less time makes one small recording


def native(ctx, name):
    """Beside the program, or in the ordinary build: mutants are built without them."""
    for build in (ctx.build, os.path.join(ROOT, "build")):
        path = os.path.join(build, "tests", "torture", "native", name)
        if os.path.exists(path):
            return path
    raise AssertionError(f"{name} is not built: meson setup with -Dtests=true")


def compare(folder, path):
    """Differences between the model and a real folder: the instrument itself is wrong when there are any."""
    there = set(os.listdir(path))
    out = [f"{path}/{n}: only in the recording" for n in folder.names if n not in there]
    out += [f"{path}/{n}: not in the recording" for n in there if n not in folder.names]
    for name in there & set(folder.names):
        node, at = folder.names[name], os.path.join(path, name)
        if isinstance(node, disk.Folder):
            out += compare(node, at)
        else:
            with open(at, "rb") as f:
                if f.read() != node.image():
                    out.append(f"{at}: other bytes than in the recording")
    return out


class Maker:
    """Makes a folder what a state says, one state after the other in the same place: most of the 256 folders of bodies stay as
    they are. Whole files that do not change often are linked from a pool."""

    def __init__(self, directory):
        self.path, self.pooled_files = os.path.join(directory, "state"), {}
        self.pool = os.path.join(directory, "pool")
        os.makedirs(self.pool, exist_ok=True)

    def pooled(self, file):
        """(path, inode) of a file with these bytes."""
        key = file.number, file.version
        if key not in self.pooled_files:
            if len(self.pooled_files) > 3000:
                self.forget()
            path = os.path.join(self.pool, f"{file.number}-{file.version}")
            with open(path, "wb") as f:
                f.write(file.image())
                self.pooled_files[key] = path, os.fstat(f.fileno()).st_ino
        return self.pooled_files[key]

    def forget(self):
        for path, _ in self.pooled_files.values():
            os.unlink(path)
        self.pooled_files = {}

    def fit(self, tree, path, there):
        """Only a body's file may stay: nobody writes to one that is there, and it is the very one that it should be."""
        for name, (entry, folder) in there.items():
            if folder and not isinstance(tree.get(name), dict):
                shutil.rmtree(entry)
            elif not folder and not self.stays(tree.get(name), path, os.lstat(entry).st_ino):
                os.unlink(entry)
        for name, node in tree.items():
            at = f"{path}/{name}"
            if isinstance(node, dict):
                if not (name in there and there[name][1]):
                    os.mkdir(at)
                    self.fit(node, at, {})
                else:
                    self.fit(node, at, look(at))
            elif node[1] is None and (self.is_body(path) or name.endswith((".sst", ".blob"))):
                if not os.path.lexists(at):
                    os.link(self.pooled(node[0])[0], at)
            else:
                with open(at, "wb") as f:
                    f.write(node[0].image() if node[1] is None else node[1])

    def is_body(self, path):
        return path.startswith(f"{self.path}/data/blobs")

    def stays(self, node, path, ino):
        return isinstance(node, tuple) and node[1] is None and self.is_body(path) and self.pooled(node[0])[1] == ino

    def make(self, tree):
        os.makedirs(self.path, exist_ok=True)
        self.fit(tree, self.path, look(self.path))
        return self.path


def look(path):
    """What is in a folder: name -> (path, is it a folder)."""
    with os.scandir(path) as entries:
        return {e.name: (e.path, e.is_dir(follow_symlinks=False)) for e in entries}


class Checker:
    def __init__(self, program, journal, errors):
        self.process = subprocess.Popen([program, journal], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                        text=True, errors="replace", env=dict(os.environ, LD_BIND_NOW="1"))  # once, not in each of its processes

    def check(self, path, owed, may, look):
        self.process.stdin.write(f"{path} {owed} {may} {int(look)}\n")
        self.process.stdin.flush()
        found = []
        while (line := self.process.stdout.readline()) != ".\n":
            if not line:
                raise AssertionError("powercheck ended by itself")
            found.append(line[2:].strip())
        return found

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def few(entries, starts):
    """Places of the few cuts at which a lost sync shows, in order: at the birth of the store, at the first files of bodies after
    each start, whose numbers are recorded just before the first is made, and behind the removal of segments."""
    bodies = [i for s in starts
              for i in [i for i, e in enumerate(entries) if i > s and e.op == "c" and "/blobs/" in e.path][:1]]
    removed = [i for i, e in enumerate(entries) if e.op == "u" and e.path.startswith("queue/belfry-")]
    birth = [i for i, e in enumerate(entries) if "data/format" in e.path][:1]
    return sorted({min(len(entries), i + k) for of, reach in ((birth, 16), (bodies, 5), (removed, 3)) for i in of
                   for k in range(1, reach)})


def cuts_of(entries, random, n):
    """Places of cuts, in order, each with how often it came before: anywhere; right before a sync, where most is unsynced; behind
    what happens in a queue_dir; in the birth of the store, its other starts and ends; right behind an end, where what a clean
    stop syncs was written last; where there are few."""
    syncs = [i for i, e in enumerate(entries) if e.op in "sd"]
    starts = [i for i, e in enumerate(entries) if e.op == "S"]
    ends = [i for i in starts if i] + [len(entries)]
    queue = [i for i, e in enumerate(entries) if e.path.startswith("queue/")] or [0]
    first = few(entries, starts)

    def cut():
        kind = random.random()
        if kind < 0.37:
            return random.choice(syncs)
        if kind < 0.45:
            return min(len(entries), random.choice(queue) + random.randrange(1, 6))
        if kind < 0.6:
            return min(len(entries), max(1, random.choice(starts) + random.randrange(-30, 60)))
        if kind < 0.68:
            return random.randrange(1, min(len(entries), 320))
        if kind < 0.72:
            return min(len(entries), random.choice(ends) + random.randrange(0, 8))
        if kind < 0.77:
            return random.choice(first or [len(entries)])
        return random.randrange(1, len(entries) + 1)
    drawn, times = sorted(cut() for _ in range(n)), collections.Counter()
    out = []
    for at in drawn:        # a place of few is drawn often: each time is other states of it
        out.append((at, times[at] + 1))
        times[at] += 1
    return out


def states_of_cut(entries, at):
    """When the power went at the latest that is told of (what was acknowledged before is owed), and at the earliest."""
    owed = entries[at].begin if at < len(entries) else NEVER - 1
    return owed, entries[at - 1].end


def check_share(part):
    """One process' share of the cuts: [(cut, state, words, problems)], how many states."""
    found, made = [], 0
    maker = Maker(part["directory"])
    with open(os.path.join(part["directory"], "errors"), "w", encoding="utf-8") as errors:
        checker = Checker(part["program"], part["journal"], errors)
        entries = disk.read_log(part["log"])
        for model, cut, time_of in walks(entries, part):
            for k in range(time_of * STATES_OF_CUT, (time_of + 1) * STATES_OF_CUT):
                if time.monotonic() > part["end"] or os.path.exists(part["enough_found"]):
                    checker.close()
                    return found, made
                told = []
                random = random_module.Random(f"{part['seed']}/{cut}/{k}")
                path = maker.make(model.state(random, told))
                bad = checker.check(f"{path}/data", *states_of_cut(entries, cut), random.random() < 1 / LOOK_EVERY)
                made += 1
                if bad:
                    found.append((cut, k, told, bad))
                    if len(found) >= part["enough"]:
                        open(part["enough_found"], "w").close()
                    keep(part["keep"], cut, k, model, random_module.Random(f"{part['seed']}/{cut}/{k}"), maker)
        checker.close()
    return found, made


def walks(entries, part):
    """The disk at each cut, those of which there are few first. Every walk goes over the whole recording, so that its end is not
    left out when time is short."""
    n = max(1, len(part["cuts"]) // CUTS_OF_WALK)
    for cuts in [part["first"]] + [part["cuts"][walk::n] for walk in range(n)]:
        model, at = disk.Disk(part["base"]), 0
        for cut, time_of in cuts:
            for e in entries[at:cut]:
                model.step(e)
            at = cut
            yield model, cut, time_of


def keep(to, cut, k, model, random, maker):
    """The first bad states are kept, as they were before anybody opened them."""
    os.makedirs(to, exist_ok=True)
    if len(os.listdir(to)) < 4 and not os.path.exists(os.path.join(to, f"{cut}-{k}")):
        shutil.copytree(maker.make(model.state(random, [])), os.path.join(to, f"{cut}-{k}"))


# What a whole recording has beside the requests of power_load.KINDS: op, and a pattern of the path.
FILES = {"a body's file made": ("c", r"data/blobs/.*"), "a body's file removed": ("u", r"data/blobs/.*"),
         "a flush": ("c", r"data/kv/.*\.sst"), "a compaction": ("u", r"data/kv/.*\.sst"),
         "a segment made": ("c", r"queue/belfry-.*"), "a segment removed": ("u", r"queue/belfry-.*"),
         "bodies written out of the log": ("c", r"data/kv/.*\.blob"),
         "an event file taken in": ("u", r"queue/minio-.*")}


def lacking(entries, journal):
    return [k for k in KINDS if not journal.kinds[k]] + [
        what for what, (op, pattern) in FILES.items()
        if not any(e.op == op and re.fullmatch(pattern, e.path) for e in entries)]


def record(ctx, number, random, directory, steps):
    load = Load(directory, random, ctx.binary, native(ctx, "record.so"), steps)
    base = os.path.join(directory, "base")
    shutil.copytree(load.root, base)
    journal = load.run()
    for text in journal.problems:
        ctx.problem(f"workload: {text}")
    ctx.recovery(max(load.starts))
    entries = disk.read_log(load.log)
    for e in entries:
        if e.op == "M":
            ctx.problem(f"the recorder cannot follow: {e}")
    if steps >= STEPS and lacking(entries, journal):
        ctx.problem(f"the workload lacks {', '.join(lacking(entries, journal))}")
    model = disk.Disk(base)
    for e in entries:
        model.step(e)
    for text in compare(model.root, load.root):
        ctx.problem(f"the recording is not what happened: {text}")
    os.rename(load.root, load.root + "-at-the-end")
    path = os.path.join(directory, "journal")
    journal.write(path, load.receiver.snapshot())
    ctx.add(acked=journal.acked())
    ctx.log(f"round {number}: {len(entries)} entries, {journal.acked()} acknowledged changes, "
            f"{len(load.receiver.posts)} deliveries")
    return entries, base, path, load


# -- to the end, with the real server ---------------------------------------------

def refused(key):
    return "/refused" in key


class Live:
    """One state under the real server, with receivers that take everything: what is owed arrives, in order. It lies where
    the recorded server's folder was: rows name files of queue_dir by their whole path."""

    def __init__(self, ctx, load, made, owed, may):
        self.ctx, self.load, self.path, self.owed, self.may = ctx, load, load.root, owed, may
        path = load.root
        os.rename(made, path)
        self.receivers = {"1": Receiver(), "2": Receiver()}
        env = webhook_env(self.receivers["1"], queue_dir=os.path.join(path, "queue"))
        env.update(webhook_env(self.receivers["2"], "2", queue_dir=os.path.join(path, "queue")))
        self.server = Server(os.path.join(path, "data"), env=env, binary_path=ctx.binary, log=path + ".log")
        self.places = {(c.number, key): i for (_, key), cs in load.journal.keys.items() for i, c in enumerate(cs)}
        self.wanted = {(c.number, key): c for (_, key), cs in load.journal.keys.items() for c in cs if c.acked <= owed}

    def got(self, target):
        return [(int(p.record["source"]["userAgent"][3:]), p.key.partition("/")[2]) for p in self.receivers[target].snapshot()
                if re.fullmatch(r"op-[1-9][0-9]*", p.record["source"]["userAgent"])]

    def missing(self):
        before = {(int(p.record["source"]["userAgent"][3:]), p.key.partition("/")[2]) for p in self.load.receiver.snapshot()
                  if p.answered == 200 and p.time * 1e9 <= self.may and p.record["source"]["userAgent"].startswith("op-")}
        first = {i for i in self.wanted if not refused(i[1])} - set(self.got("1")) - before
        return first | (set(self.wanted) - set(self.got("2")))

    def run(self):
        for r in self.receivers.values():
            r.start()
        try:
            self.server.start(deadline=30)
            self.ctx.recovery(self.server.ready_after)
            try:
                wait_for(lambda: not self.missing(), 30, "every event that is owed")
            except AssertionError:
                lost = sorted(self.missing())
                self.ctx.add(events_lost=len(lost))
                self.ctx.problem(f"{self.path}: {len(lost)} events never arrive: {lost[:10]}")
            self.server.stop()
        finally:
            self.server.kill()
            for r in self.receivers.values():
                r.stop()
        self.judge()

    def judge(self):
        for target in self.receivers:
            last, seen = {}, set()
            for identity in self.got(target):
                number, key = identity
                place = self.places.get(identity)
                if place is None or self.load.journal.keys[("power", key)][place].sent > self.may:
                    self.ctx.problem(f"{self.path}: an event of something that did not happen: {identity}")
                elif identity not in seen and place < last.get(key, -1):
                    self.ctx.add(disorder=1)
                    self.ctx.problem(f"{self.path}: the first delivery of {identity} comes after a later event's")
                else:
                    last[key] = max(place, last.get(key, -1))
                seen.add(identity)
        done = run_program("check", self.server.directory, timeout=60, binary_path=self.server.binary_path)
        if done.returncode != 0:
            self.ctx.problem(f"{self.path}: belfry check: {(done.stdout + done.stderr)[-1000:]}")


def to_the_end(ctx, random, entries, base, load, directory, count):
    """A few states, each from a place of its own in the recording."""
    maker, model, at = Maker(os.path.join(directory, "live")), disk.Disk(base), 0
    for cut in sorted(random.randrange(len(entries) // 3, len(entries)) for _ in range(count)):
        for e in entries[at:cut]:
            model.step(e)
        at = cut
        Live(ctx, load, maker.make(model.state(random, [])), *states_of_cut(entries, cut)).run()
        shutil.rmtree(load.root)


def twice(ctx, number, random, entries, base, load, directory, journal, count):
    """The power goes again while a state is recovered: the start of the real server is recorded, too. How many states."""
    maker, model, at, made = Maker(os.path.join(directory, "twice")), disk.Disk(base), 0, 0
    with open(os.path.join(directory, "errors"), "w", encoding="utf-8") as errors:
        checker = Checker(native(ctx, "powercheck"), journal, errors)
        for cut, _ in cuts_of(entries, random, count):
            for e in entries[at:cut]:
                model.step(e)
            at = cut
            told, owed, may = [], *states_of_cut(entries, cut)
            first = maker.make(model.state(random, told))
            again, second = recover(ctx, load, first)
            afresh, done = Maker(first + "-again"), 0   # its files have numbers of their own
            for k, _ in cuts_of(second, random, 8):
                for e in second[done:k]:
                    again.step(e)
                done = k
                words = []
                path = afresh.make(again.state(random, words))
                bad = checker.check(f"{path}/data", owed, may, False)
                made += 1
                if bad:
                    tell(ctx, number, cut, f"and again, cut {k} behind {second[k - 1]}", told + ["then"] + words, bad, entries)
            shutil.rmtree(first + "-again")
        checker.close()
    return made


def recover(ctx, load, path):
    """Starts and stops the server on a copy of a state, with targets that are not there; the disk before, and the recording."""
    copy, recording = load.root, path + ".recording"
    if os.path.exists(recording):
        os.unlink(recording)
    shutil.copytree(path, copy)
    before = disk.Disk(copy)
    env = dict(load.env, BELFRY_RECORD_LOG=recording)
    env.update(webhook_env("http://127.0.0.1:9/", queue_dir=os.path.join(copy, "queue")))
    server = Server(os.path.join(copy, "data"), env=env, binary_path=ctx.binary, log=path + ".log")
    server.spawn()
    try:
        wait_for(server._ready, 30, "the server to be ready again")
        server.stop()
    finally:
        server.kill()
    shutil.rmtree(copy)
    return before, disk.read_log(recording)


def power(ctx):
    """A round: one recording, and states of it until its share of the time is used."""
    scratch = tempfile.mkdtemp(prefix="belfry-power-", dir="/dev/shm")
    states = 0
    try:
        for number, random in ctx.rounds():
            states += one_round(ctx, number, random, os.path.join(scratch, str(number)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    ctx.note(f"{states} crash states opened")


def one_round(ctx, number, random, directory):
    os.makedirs(directory)
    short = ctx.seconds < SHORT_SECONDS
    entries, base, journal, load = record(ctx, number, random, directory, 20 if short else STEPS)
    end = time.monotonic() + (max(5.0, ctx.left()) if short else min(ctx.left(), 150))
    cuts = cuts_of(entries, random, 4000)
    first = [(at, 0) for at in few(entries, [i for i, e in enumerate(entries) if e.op == "S"])]
    seed = random.random()
    parts = []
    for p in range(PROCESSES):
        folder = os.path.join(directory, f"share{p}")
        os.makedirs(folder)
        parts.append(dict(base=base, log=load.log, directory=folder, journal=journal, program=native(ctx, "powercheck"),
                          first=first[p::PROCESSES], cuts=cuts[p::PROCESSES], seed=seed, end=end, enough=ctx.enough,
                          enough_found=os.path.join(directory, "enough"),
                          keep=os.path.join(ctx.directory, f"bad-{number}")))
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        results = pool.map(check_share, parts)
    told = 0
    for found, _ in results:
        for cut, k, words, bad in found:
            told += 1
            tell(ctx, number, cut, k, words, bad, entries)
    made = sum(n for _, n in results)
    if told >= ctx.enough:
        return made
    to_the_end(ctx, random, entries, base, load, directory, 1 if short else 4)
    made += twice(ctx, number, random, entries, base, load, directory, journal, 2 if short else 20)
    shutil.rmtree(directory)
    ctx.log(f"round {number}: {made} states, {told} bad")
    return made


def tell(ctx, number, cut, k, words, bad, entries):
    last = entries[cut - 1]
    ctx.problem(f"round {number}, cut {cut} (behind {last}), state {k}, {'; '.join(words)[:600]}: {' | '.join(bad)[:900]}")
    ctx.add(objects_lost=sum("should be as after" in b for b in bad), events_lost=sum("event is lost" in b for b in bad),
            disorder=sum("not in order" in b for b in bad))


ROWS = [Row("power-cut", "power cut (states of the disk)",
            "every state opens by itself; what was acknowledged is whole, its event is in the outbox or was delivered; of "
            "what was not, object and event are there or neither is; nothing is leaked and belfry check finds nothing",
            power, share=8, least=20)]
