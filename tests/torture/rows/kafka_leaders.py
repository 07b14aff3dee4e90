# SPDX-License-Identifier: Apache-2.0
"""What a Kafka of one broker cannot do: leaders that change, brokers of several that go, under a mixed load."""
import functools

from torture.instruments import tool
from torture.kinds import KafkaMock
from torture.row import Row
from torture.rows.brokers import siege
from torture.siege import Siege

# The mock takes whatever comes: unlike a real leader it does not look at the numbers of an idempotent producer. So no request may fail
# while a later one, under way already, is taken: the library would rightly conclude that the first had arrived, too. Therefore a
# leader comes back only after its successors, and brokers go with their connections; single errors are the unit test's.


def changing(run, kind):
    """Each partition's leader goes round, twice."""
    first = run.random.randrange(kind.brokers)
    for step in range(2 * kind.brokers):
        for p in range(kind.partitions):
            kind.tell("leader", p, 1 + (first + p + step) % kind.brokers)
        run.pause(0.5)


def nobody_there(run, kind):
    """Some are led by a broker that is away, until it is back."""
    gone = run.random.randrange(1, kind.brokers + 1)
    kind.tell("down", gone)
    kind.wire.in_flight += kind.window
    for p in run.random.sample(range(kind.partitions), kind.partitions // 2):
        kind.tell("leader", p, gone)
    run.pause(1.5)
    kind.tell("up", gone)


def failing_over(run, kind):
    """A broker goes; the others take over its partitions; it comes back."""
    gone = run.random.randrange(1, kind.brokers + 1)
    kind.tell("down", gone)
    kind.wire.in_flight += kind.window
    run.pause(0.5)
    others = [b for b in range(1, kind.brokers + 1) if b != gone]
    for p in range(kind.partitions):
        kind.tell("leader", p, run.random.choice(others))
    run.pause(1)
    kind.tell("up", gone)


def all_away(run, kind):
    for b in range(1, kind.brokers + 1):
        kind.tell("down", b)
        kind.wire.in_flight += kind.window
    run.pause(2)
    for b in range(1, kind.brokers + 1):
        kind.tell("up", b)


def killed(run, kind):
    changing(run, kind)
    run.kill()
    run.revive()


STEPS = [changing, nobody_there, failing_over, all_away, killed]


def leaders(ctx):
    make = functools.partial(KafkaMock, program=tool(ctx, "tests/torture/native/kafka_mock"))
    for number, random in ctx.rounds():
        run = Siege(ctx, str(number), str(random.random()), [make], {"BELFRY_TEST_SEND_MS": "5000"})

        def work(run):
            (kind,) = run.kinds
            run.begin()
            run.load()
            run.pause(1)
            for step in run.random.sample(STEPS, len(STEPS)):
                step(run, kind)
                took = run.recovered(kind, step.__name__)
                run.log(f"{step.__name__}: deliveries {took:.2f} s after its end")
        siege(run, ctx, work)
        ctx.outcome.data["events"] = ctx.outcome.data.get("events", 0) + run.figures["events"]
        ctx.outcome.notes[:] = [f"{ctx.outcome.data['events']} events"]


ROWS = [Row("brokers-kafka-leaders", "kafka: leaders change", "every acknowledged change comes, first deliveries of a key in the order "
            "of the commits, its last delivery its last event, nothing that never happened. A change of leaders: the same message goes "
            "to the next; a leader that is away, or all of the brokers: events wait; a broker that goes "
            "may have taken what it has not answered, so that this comes again, no more than was in flight",
            leaders, share=0.3, least=40, short=False)]
