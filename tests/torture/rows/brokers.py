# SPDX-License-Identifier: Apache-2.0
"""Each kind of target with its real broker under a mixed load, through everything that can happen to a broker, to the way there,
and to Belfry meanwhile. A round is one server with one verdict over all faults, in an order of its own."""
import glob
import os
import time

from torture.kinds import KINDS
from torture.row import Row
from torture.siege import SEND_MS, Siege

# Where each broker's program is, once it is installed; what does not begin with / is in the folder of install-brokers.
PROGRAMS = {"rabbitmq": "/usr/lib/rabbitmq/bin/rabbitmq-server", "mqtt": "/usr/sbin/mosquitto", "postgres": "/usr/lib/postgresql/*/bin",
            "mariadb": "/usr/sbin/mariadbd", "kafka": "kafka/lib", "elasticsearch": "elasticsearch/bin", "nsq": "bin/nsqd",
            "nats": "bin/nats-server", "stan": "bin/nats-streaming-server"}
FOLDERS = (os.environ.get("BELFRY_BROKERS"), "/var/cache/belfry-brokers",
           os.path.join(os.environ.get("BELFRY_CACHE") or os.path.expanduser("~/.cache/belfry"), "brokers"))
LATE = SEND_MS / 1000 + 1           # by then an event without an answer has failed
POINTS = ("event-before-send", "event-sent", "event-removed")


class Fault:
    """do: function(run, kind), which returns when the fault is over; expected: written before it is run; needs: the method of
    the kind without which it has no such fault."""

    def __init__(self, name, expected, do, needs=None):
        self.name, self.expected, self.do, self.needs = name, expected, do, needs


def refused(run, kind):
    kind.wire.refuse()
    run.pause(1.5)
    kind.wire.start()


def wired(mode, seconds):
    def do(run, kind):
        kind.wire.mode = mode
        run.pause(seconds)
        kind.wire.mode = "pass"
        kind.wire.cut()
    return do


def frozen(run, kind):
    kind.freeze()
    try:
        run.pause(LATE)
    finally:
        kind.thaw()


def crashed(run, kind):
    kind.kill()
    run.pause(1)
    kind.start()


def lost(run, kind):
    with run.unwatched(kind):
        kind.lose(run)


def later(run, kind):
    kind.later()
    try:
        run.pause(2)
    finally:
        kind.later_over()


def nacked(run, kind):
    kind.nack()
    try:
        run.pause(1)
    finally:
        kind.nack_over()


def killed(run, kind):
    """While answers do not come, so that all is in flight."""
    kind.wire.mode = "hold-answers"
    run.pause(0.5)
    run.kill()
    kind.wire.mode = "pass"
    run.revive()


def killed_at_once(run, kind):
    """While a backlog flows."""
    backlog(run, kind)
    before = run.of(kind, "delivered_total")
    run.delivers(kind, before, "a backlog")
    run.kill()
    run.revive()


def killed_at(point):
    def do(run, kind):
        backlog(run, kind, flow=False)
        run.kill()
        kind.wire.mode = "pass"
        run.revive(point)
    return do


def backlog(run, kind, flow=True):
    kind.wire.mode = "hold-requests"
    run.pause(1.5)
    if flow:
        kind.wire.mode = "pass"
        kind.wire.cut()


WAITS = "its events wait, and come in order once it is over"
FAULTS = [
    Fault("refuses", WAITS, refused),
    Fault("closes in mid-frame of its answers", WAITS, wired("cut-answer", 1.5)),
    Fault("closes in mid-frame of requests", WAITS, wired("cut-request", 1.5)),
    Fault("hangs before the request", WAITS, wired("hold-requests", LATE)),
    Fault("hangs after the request", "what it had comes again, no more than was in flight", wired("hold-answers", LATE)),
    Fault("answers byte by byte", "waited for, or sent again after the deadline", wired("drip", 2)),
    Fault("answers garbage", "counts as no answer", wired("garbage", 1.5)),
    Fault("swallows everything", WAITS, wired("drop", LATE)),
    Fault("is frozen and thawed", "what it had comes again, no more than was in flight", frozen),
    Fault("is killed and restarted with its data", WAITS, crashed),
    Fault("loses its table, topic, exchange or index", "it is made anew, and what had not been confirmed in time comes there", lost, "lose"),
    Fault("says 'try later'", WAITS + ", none becomes a dead letter", later, "later"),
    Fault("refuses each event (nack)", "each is tried again, none becomes a dead letter", nacked, "nack"),
    Fault("Belfry is killed with all in flight", "what was in flight comes again, nothing else", killed),
    Fault("Belfry is killed while a backlog flows", "what was in flight comes again, nothing else", killed_at_once),
    *[Fault(f"Belfry is killed at {p}", "what was in flight comes again, nothing else", killed_at(p)) for p in POINTS],
]


def missing(name):
    """Why a kind's broker cannot be had, or None. Nothing is installed here: that takes minutes and a network."""
    program = PROGRAMS.get(KINDS[name].broker_name, "/")
    if any(glob.glob(os.path.join(f, program)) for f in FOLDERS if f):
        return None
    return f"{KINDS[name].broker_name} is not installed (scripts/install-brokers)"


def siege(run, ctx, work):
    """Opens, lets work(run) happen, and closes; tells ctx what was found, also when it cannot go on."""
    try:
        run.open()
        work(run)
        if not run.enough():
            run.verdict()
    finally:
        ctx.log(f"{run.requests} requests, {len(run.journal.ops)} changes, {run.kills} kills, {len(run.journal.problems)} problems")
        for text in run.journal.problems:
            ctx.problem(text)
        ctx.add(**run.counts())
        run.close()


def brokers(name):
    def work(run):
        (kind,) = run.kinds
        kind.stop()
        kind.wire.refuse()
        run.begin()
        run.load()
        run.pause(1)
        kind.start()
        run.recovered(kind, "away at the start")
        named = os.environ.get("BELFRY_FAULT")
        faults = [f for f in FAULTS if (f.needs is None or getattr(kind, f.needs)) and named in (None, f.name)]
        for fault in run.random.sample(faults, len(faults)):
            began = time.monotonic()
            fault.do(run, kind)
            took = run.recovered(kind, fault.name)
            run.log(f"{name} {fault.name}: {time.monotonic() - began:.1f} s in all, deliveries {took:.2f} s after its end")
            if run.enough():
                return

    def go(ctx):
        why = missing(name)
        if why:
            ctx.note(f"skipped: {why}")
            return
        data = ctx.outcome.data
        for number, random in ctx.rounds():
            run = Siege(ctx, str(number), str(random.random()), [KINDS[name]], pause=KINDS[name].pause_s)
            siege(run, ctx, work)
            for key, n in run.figures.items():
                data[key] = data.get(key, 0) + n
            worst = data.setdefault("worst", {})
            for key, seconds in run.recoveries.items():
                worst[key] = max(seconds, worst.get(key, 0))
            slow = sorted(worst.items(), key=lambda x: -x[1])[:3]
            ctx.outcome.notes[:] = [f"{data.get('events', 0)} events; slowest: " +
                                    ", ".join(f"{key} {seconds:.1f} s" for key, seconds in slow)]
    return go


def expected(kind):
    return ("every acknowledged change comes, first deliveries of a key in the order of the commits, its last delivery its last "
            "event" + (", a key of the mirror never goes back, and is in the end as the "
                                                                  "object is" if kind.mirrors else "") + ", nothing that never happened, " +
            ("nothing twice" if kind.once == "always" else "repeats only of what was in flight") + ". " +
            "; ".join(f"{f.name}: {f.expected}" for f in FAULTS if f.needs is None or getattr(kind, f.needs)))


ROWS = [Row(f"brokers-{name}", f"{name}: everything to broker and wire", expected(kind), brokers(name), share=0.3, least=60,
            short=False) for name, kind in KINDS.items()]
