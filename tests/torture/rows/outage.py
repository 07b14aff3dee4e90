# SPDX-License-Identifier: Apache-2.0
"""All ten kinds of targets at once on one server: some that misbehave beside the others, and all of their brokers away together
while Belfry itself is killed."""
import threading
import time

from support.wait import wait_for
from torture.kinds import KINDS
from torture.row import Row
from torture.rows.brokers import missing, siege
from torture.siege import Siege

TEN = ("amqp", "elasticsearch", "kafka", "mqtt", "mysql", "nats-jetstream", "nsq", "postgresql", "redis", "webhook")
QUICK = ("mqtt", "nats-jetstream", "nsq", "redis")
BEHIND = 10             # seconds that the oldest event of a target may have waited while others misbehave
BESIDE = 14             # seconds for which they do: longer, or none could wait too long for that reason
CALM = 2                # seconds that the oldest may have waited before: what waits longer, others are not the reason


def together(run, functions):
    threads = [threading.Thread(target=run.guarded, args=(f,)) for f in functions]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def beside(run):
    """One refuses, one hangs, one is slow; nobody else is late."""
    def calm():
        numbers = run.numbers()
        return all(max(run.of(k, "oldest_event_age_seconds", numbers)) < CALM for k in run.kinds)
    wait_for(calm, 60, "targets that have caught up")
    refusing, hanging, slow, *others = run.random.sample(run.kinds, len(run.kinds))
    refusing.wire.refuse()
    hanging.wire.mode, slow.wire.mode = "hold-requests", "drip"
    began, worst, before = time.monotonic(), {}, run.numbers()
    while time.monotonic() - began < BESIDE:
        numbers = run.numbers()
        for k in others:
            age = max(run.of(k, "oldest_event_age_seconds", numbers))
            worst[k.name] = max(age, worst.get(k.name, 0))
        run.pause(0.2)
    for k in others:
        if worst[k.name] > BEHIND:
            run.problem(f"{k.name}: an event has waited for {worst[k.name]:.1f} s beside {refusing.name}, which refuses, "
                        f"{hanging.name}, which hangs, and {slow.name}, which is slow")
        if any(a <= b for a, b in zip(run.of(k, "delivered_total"), run.of(k, "delivered_total", before))):
            run.problem(f"{k.name}: nothing is delivered beside {refusing.name}, {hanging.name} and {slow.name}")
    refusing.wire.start()
    for k in (hanging, slow):
        k.wire.mode = "pass"
        k.wire.cut()
    late = max(worst, key=worst.get)
    run.log(f"{refusing.name} refused, {hanging.name} hung, {slow.name} was slow; most behind of the others: {late}, {worst[late]:.2f} s")
    for k in (refusing, hanging, slow):
        run.recovered(k, f"misbehaved beside the others: {k.name}")


def outage(run):
    """All away at once; Belfry is killed; they come back one after the other."""
    together(run, [k.kill for k in run.kinds])
    run.pause(3)
    run.kill()
    run.revive()
    run.pause(2)
    for k in run.random.sample(run.kinds, len(run.kinds)):
        k.start()
        took = run.recovered(k, f"all away: {k.name}", None)
        run.log(f"{k.name} delivers {took:.2f} s after it is back")


def work(run):
    run.begin()
    run.load()
    for k in run.kinds:
        run.recovered(k, "the first events")
    beside(run)
    outage(run)


def skip(ctx, names):
    """Says why, when some of the brokers cannot be had."""
    why = list(filter(None, map(missing, names)))
    if why:
        ctx.note(f"skipped: {'; '.join(why)}")
    return bool(why)


def quick(ctx):
    """Some that start at once: cut, killed together with Belfry, and all is judged."""
    def cut_and_killed(run):
        run.begin()
        run.load()
        run.pause(0.5)
        for k in run.kinds:
            k.wire.mode = "cut-answer"
        run.pause(0.5)
        for k in run.kinds:
            k.wire.mode = "pass"
        for k in run.kinds:
            run.recovered(k, f"cut: {k.name}")
        if run.enough():
            return
        together(run, [k.kill for k in run.kinds])
        run.kill()
        run.revive()
        together(run, [k.start for k in run.kinds])
        for k in run.kinds:
            if not run.enough():
                run.recovered(k, f"killed: {k.name}")

    if not skip(ctx, QUICK):
        for number, random in ctx.rounds():
            siege(Siege(ctx, str(number), str(random.random()), [KINDS[name] for name in QUICK]), ctx, cut_and_killed)


def outage_all(ctx):
    if skip(ctx, TEN):
        return
    data = ctx.outcome.data
    for number, random in ctx.rounds():
        run = Siege(ctx, str(number), str(random.random()), [KINDS[name] for name in TEN], pause=0.1)
        siege(run, ctx, work)
        data["events"] = data.get("events", 0) + run.figures["events"]
        worst = data.setdefault("worst", {})
        for key, seconds in run.recoveries.items():
            worst[key] = max(seconds, worst.get(key, 0))
        slow = sorted(worst.items(), key=lambda x: -x[1])[:3]
        ctx.outcome.notes[:] = [f"{data['events']} events over {len(TEN)} kinds; slowest: " +
                                ", ".join(f"{key} {seconds:.1f} s" for key, seconds in slow)]


ROWS = [Row("outage-all", "all ten kinds of brokers away at once",
            "one that refuses, one that hangs and one that is slow hold up none of the other seven; then all brokers are killed under "
            "load, Belfry is killed meanwhile, the brokers come back one after the other: each gets its events with its next try (30 s at most), whoever is "
            "still away; in the end every acknowledged change has come to each, in order of the commits per key, its last event last, "
            "mirrors are as the objects, repeats only of what was in flight", outage_all, share=0.5, least=100, short=False),
        Row("brokers-quick", "four brokers cut and killed with Belfry", "every acknowledged change comes to each, in order of the "
            "commits per key, its last event last, the mirror is as the objects, repeats only of what was in flight", quick, once=12)]
