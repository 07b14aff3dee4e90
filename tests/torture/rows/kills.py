# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random instants and at named points of the code, under a mixed load."""
from kill import chaos
from kill.run import KillRun
from support.wait import SANITIZED
from torture.row import Row

KILLS = 4 if SANITIZED else 10      # of a round, which is one run with its verdict
ENOUGH = 300            # after so many kills every named point must have been hit


def kills(ctx):
    data = ctx.outcome.data
    points = [p for p in chaos.crash_points(ctx.binary) if not p.startswith("segment-")]    # their row is segments-kills
    if not points:
        ctx.problem("the program knows no crash points")
    hits = data.setdefault("hits", {})
    for name in points:
        hits.setdefault(name, 0)
    for number, random in ctx.rounds():
        run = KillRun(f"{ctx.directory}/{number}", str(random.random()), KILLS, ctx.binary, log=ctx.log,
                      points=chaos.schedule(ctx.seed, number, points, KILLS))
        if ctx.mutant:
            run.patience = 15
        try:
            found = run.run()
        finally:
            run.server.kill()
            run.stop_receivers()
        for text in found:
            ctx.problem(f"round {number}: {text}")
        ctx.add(**run.counts())
        ctx.recovery(run.slowest_start)
        data["kills"] = data.get("kills", 0) + KILLS + len(run.births)
        for name, n in run.hits.items():
            hits[name] += n
        say(ctx, data)
        if not found:
            run.clean()
    unhit = [name for name, n in hits.items() if not n]
    if unhit and data["kills"] >= ENOUGH and not ctx.mutant:
        ctx.problem(f"{data['kills']} kills and none at {', '.join(unhit)}")


def say(ctx, data):
    hits = data["hits"]
    told = ", ".join(f"{name} {n}" for name, n in sorted(hits.items(), key=lambda x: x[1]) if n)
    unhit = [name for name, n in hits.items() if not n]
    ctx.outcome.notes[:] = [f"{data['kills']} kills, {sum(hits.values())} of them at {len(hits) - len(unhit)} of {len(hits)} named "
                            f"points: {told}"] + ([f"not hit yet: {', '.join(unhit)}"] if unhit else [])


ROWS = [Row("kills", "SIGKILL", "every acknowledged change is there and whole, and so is its event, at each target, in the order of "
            "the commits; a request without an answer happened with its event or not at all; nothing is delivered that never "
            "happened; repeats only of what was in flight; no file is left that no row names", kills, share=4, least=30)]
