# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random instants and at named points of the code, under a mixed load."""
from kill.run import KillRun
from torture.row import Row


def kills(ctx):
    """A round is one run of ten kills."""
    for number, random in ctx.rounds():
        run = KillRun(f"{ctx.directory}/{number}", str(random.random()), 10, ctx.binary, log=ctx.log)
        try:
            for text in run.run():
                ctx.problem(text)
        finally:
            run.server.kill()
            run.stop_receivers()


ROWS = [Row("kills", "SIGKILL", "every acknowledged change is there, and so is its event, in order; repeats only of what "
            "was in flight", kills, share=4, least=30)]
