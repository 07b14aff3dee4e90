# SPDX-License-Identifier: Apache-2.0
"""Receivers that misbehave: one kind of it in each round, on a webhook or a Redis, beside a receiver that behaves."""
import collections
import os
import shutil
import time

from support.wait import wait_for
from torture.receivers import FAULTS, HANGING, Stage
from torture.row import Row

IN_FLIGHT = {"webhook": 32, "redis": 256}


def first_seen(events):
    seen, order = set(), collections.defaultdict(list)
    for key, seq in events:
        if (key, seq) not in seen:
            seen.add((key, seq))
            order[key].append(seq)
    return order


def judge(ctx, stage, fault, who, receiver, wanted, dead):
    """Order, counts and repeats of one target, once all is there."""
    events = stage.came(receiver)
    order, where = first_seen(events), f"{fault.kind}, {fault.name}, {who}"
    repeats = len(events) - len(set(events))
    last = {}
    for key, seq in events:
        last[key] = seq
    for key, seqs in order.items():
        if seqs != sorted(seqs) or last[key] != max(seqs):
            ctx.add(disorder=1)
            ctx.problem(f"{where}: {key} out of order")
        if len(seqs) > wanted[key]:
            ctx.problem(f"{where}: {len(seqs)} events of {key}, {wanted[key]} happened")
    if receiver is not None and receiver.overlaps():
        ctx.add(disorder=len(receiver.overlaps()))
        ctx.problem(f"{where}: two events of a key under way at once: {sorted(set(receiver.overlaps()))}")
    most = fault.repeats * IN_FLIGHT[fault.kind] if who == "bad" else 0
    if repeats > most:
        ctx.problem(f"{where}: {repeats} repeats, at most {most} were expected")
    ctx.add(repeats=repeats)


def one(ctx, number, fault, hold):
    stage = Stage(ctx, f"{ctx.directory}/{number}", fault)
    try:
        stage.start()
        wait_for(lambda: sum(stage.acked().values()) >= 30, 20, "some writes")
        if not stage.wait_all(stage.bad, stage.acked(), 20, "before the fault"):
            return
        fault.begin(stage)
        began = time.monotonic()
        dead = fault.dead if isinstance(fault.dead, list) else []
        while time.monotonic() - began < hold:
            stage.stop.wait(0.02)
        soon = stage.acked()
        stage.wait_all(stage.good, soon, 10, "the other target while the fault lasts")
        if fault.own_way:
            others = {k: n for k, n in soon.items() if k != HANGING}
            stage.wait_all(stage.bad, others, 10, "other keys of the same target while the fault lasts")
        fault.end(stage)
        ended = time.monotonic()
        stage.stop.set()
        for w in stage.writers:
            w.join(30)
            for text in w.problems:
                ctx.problem(f"{fault.kind}, {fault.name}: {text}")
            if w.slowest > 5:
                ctx.problem(f"{fault.kind}, {fault.name}: a PUT took {w.slowest:.1f} s")
        wanted = stage.acked()
        ctx.add(acked=sum(wanted.values()))
        if isinstance(fault.dead, int):
            wait_dead(ctx, stage, fault, wanted)
        elif not stage.wait_all(stage.bad, wanted, fault.wait, "after the fault", dead):
            ctx.add(events_lost=sum(stage.missing(stage.bad, wanted, dead).values()))
            return
        ctx.recovery(time.monotonic() - ended)
        stage.wait_all(stage.good, wanted, 10, "the other target in the end")
        wrong = fault.check(stage) if fault.check else None
        if wrong:
            ctx.problem(f"{fault.kind}, {fault.name}: {wrong}")
        judge(ctx, stage, fault, "bad", stage.bad, wanted, dead)
        judge(ctx, stage, fault, "good", stage.good, wanted, [])
    finally:
        stage.close()
        shutil.rmtree(f"{stage.directory}/store", ignore_errors=True)


def wait_dead(ctx, stage, fault, wanted):
    """Everything is delivered or a dead letter, and few are that."""
    total = sum(wanted.values())
    try:
        wait_for(lambda: len(set(stage.came(stage.bad))) + stage.dead_letters() >= total, fault.wait, "delivered or dead letters")
    except AssertionError:
        ctx.add(events_lost=total - len(set(stage.came(stage.bad))) - stage.dead_letters())
        ctx.problem(f"{fault.name}: {len(set(stage.came(stage.bad)))} delivered, {stage.dead_letters()} dead letters of {total}")
    if stage.dead_letters() > fault.dead:
        ctx.problem(f"{fault.name}: {stage.dead_letters()} dead letters, at most {fault.dead} were expected")


def receivers(ctx):
    """A round is one fault; the order depends on the seed, and all are had before one comes again."""
    import random
    faults = [f for f in FAULTS if not f.slow or ctx.seconds > 600]
    random.Random(f"{ctx.seed}/receivers").shuffle(faults)
    for number, rng in ctx.rounds():
        fault = faults[(number - 1) % len(faults)]
        named = os.environ.get("BELFRY_FAULT")
        if named:
            fault = next(f for f in FAULTS if f"{f.kind}, {f.name}" == named)
        ctx.log(f"{number}: {fault.kind}, {fault.name}")
        one(ctx, number, fault, fault.hold or (rng.uniform(0.3, 0.6) if ctx.seconds <= 120 else rng.uniform(0.5, 3)))
        ctx.log(f"{number}: took {time.monotonic() - ctx.round_began:.1f} s")


ROWS = [
    Row("receivers", "receivers that misbehave", "; ".join(f"{f.kind} {f.name}: {f.expected}" for f in FAULTS), receivers,
        share=2, least=20),
]
