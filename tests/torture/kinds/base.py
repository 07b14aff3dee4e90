# SPDX-License-Identifier: Apache-2.0
"""What all kinds of receivers have in common."""
import json
import os
import urllib.parse

from support.brokers import Broker
from support.wait import wait_for
from torture.misbehave import Wire

JOURNAL, MIRROR = "journal", "mirror"       # names of topic, table, index …
EVENT = 600                                 # bytes that the smallest event takes on the wire


class Cable(Wire):
    """A wire that can cut a request in two, too, and knows how many events at most were in flight over its connections."""

    MODES = (*Wire.MODES, "cut-request", "say-no")

    def __init__(self, upstream, window):
        super().__init__(upstream)
        self.window, self.pumps, self.carried = window, 0, {}
        self.no_to, self.told = b"", 0

    @property
    def in_flight(self):
        """Added up over all connections there were, each as many as it can have had when it ended."""
        with self.lock:
            return sum(min(self.window, n // EVENT) for n in self.carried.values())

    def _pump(self, a, b, answers, dead):
        with self.lock:
            self.pumps += 1
        try:
            super()._pump(a, b, answers, dead)
        finally:
            with self.lock:
                self.pumps -= 1

    def _pass(self, a, b, data, answers, dead):
        if not answers:
            with self.lock:
                self.carried[dead] = self.carried.get(dead, 0) + len(data)
        if self.mode == "cut-request" and not answers and len(data) > 100:
            b.sendall(data[:len(data) // 2])
            return False
        if self.mode == "say-no":
            no = not answers and self.no_to in data
            self.told += no
            (a if no else b).sendall(self.saying if no else data)
            return not no                               # as the broker, which then ends the connection, and has taken nothing
        return super()._pass(a, b, data, answers, dead)

    def busy(self, no_to, saying):
        """To what has these bytes in it the broker would say that it cannot now; the wire does, for it cannot be brought to that
        at will."""
        self.no_to, self.saying, self.told, self.mode = no_to, saying, 0, "say-no"
        self.cut()

    def busy_over(self):
        self.mode = "pass"
        self.cut()
        assert self.told, f"nobody has been told {self.saying}"

    def settle(self):
        """Until the ends of all connections have been seen on both sides."""
        wait_for(lambda: not self.pumps, 20, "the old connections to end")


class Entry:
    """What came, as verify looks at deliveries."""

    def __init__(self, record):
        thing, agent = record["s3"], record["source"]["userAgent"]
        self.bucket, self.key = thing["bucket"]["name"], urllib.parse.unquote_plus(thing["object"]["key"])
        self.event, self.number = record["eventName"], int(agent[3:]) if agent.startswith("op-") else None
        self.sequencer, self.etag = thing["object"]["sequencer"], thing["object"].get("eTag")

    @property
    def identity(self):
        return self.number, self.key

    @property
    def place(self):
        return self.sequencer, self.number or 0


def records(bodies):
    return [json.loads(b)["Records"][0] for b in bodies]


class Kind:
    """name: of the row; target: last part of the ARN. window: events in flight at most, over one connection; at_kill: when Belfry
    is killed, with those that are confirmed and not removed yet. ordered: what it gives back tells the order of arrival.
    forgets: a crash takes what it has confirmed and not passed on yet, so that it is killed when it has passed all on, while
    Belfry waits for its answers. once: nothing comes twice, "always", or as long as Belfry "lives". early: it shows what a
    crash may still take from it. look_s: seconds between two looks at its mirror; losses: how often that was taken away. pause_s:
    mean rest of a worker between two requests, by what a small broker can take beside all else on a busy machine."""

    name = target = broker_name = None
    window, at_kill, ordered, forgets, once, mirrors, early = 256, 256, True, False, None, False, False
    look_s, pause_s = 0.15, 0.015
    settings = {}

    def __init__(self, directory):
        self.old, self.old_mirror, self.kills, self.held, self.losses = [], {}, 0, 0, 0
        self.directory = os.path.join(directory, self.name)
        self.make()
        self.wire = Cable(self.broker.port, self.window)
        self.up = False

    def make(self):
        self.broker = Broker(self.broker_name, self.directory, **self.settings)

    # -- life ---------------------------------------------------------------------
    def start(self):
        """When it returns, it takes events and nothing of them is missed."""
        self.broker.start()
        self.up = True
        self.listen()
        self.wire.start()

    def listen(self):
        """Consumers that lose their connection come back."""

    def stop(self):
        self.broker.stop()
        self.up = False

    def kill(self):
        """As a crash, under load."""
        if self.forgets:
            self.wire.mode = "hold-answers"
            self.quiet()
            self.wire.refuse()
            self.quiet()
            self.wire.mode = "pass"
        self.broker.kill()
        self.wire.refuse()
        self.up = False
        self.kills += 1

    def freeze(self):
        self.broker.freeze()

    def thaw(self):
        self.broker.thaw()

    def close(self):
        self.wire.stop()
        try:
            self.shut()
        finally:
            if self.up:
                self.broker.kill()

    def shut(self):
        """Ends consumers."""

    def quiet(self):
        """Until nothing more has come for a moment."""
        last, since = [-1, 0], 15

        def still():
            last[1] = last[1] + 1 if last[0] == self.count() else 0
            last[0] = self.count()
            return last[1] > since
        wait_for(still, 30, f"{self.name} to pass on what it has")

    def count(self):
        return len(self.bodies())

    # -- what Belfry is told, what came ----------------------------------------------
    @property
    def ids(self):
        """Of the targets."""
        name = self.name.replace("-", "_")
        return (name, name + "_mirror") if self.mirrors else (name,)

    @property
    def address(self):
        return f"127.0.0.1:{self.wire.port}"

    def prepare(self):
        """Whatever has to be there before the first event."""

    def entries(self):
        """All that came, in order of arrival."""
        return self.old + [Entry(r) for r in records(self.bodies())]

    def mirror(self):
        """bucket/key -> record"""
        return {}

    def save(self):
        """Of what is about to be removed."""
        self.old = self.entries()
        if self.mirrors:
            self.old_mirror = self.mirror()

    def repeatable(self, kills):
        """How many events may come once more, after so many kills of Belfry."""
        if self.once == "always":
            kills = 0
        return self.at_kill * kills + self.window * self.held + (0 if self.once else self.wire.in_flight)

    def look(self):
        """The mirror as others see it now, at no cost to the broker worth mentioning."""
        return self.mirror()

    def lives(self, kills):
        """Of Belfry, killed so often, and of its own: what differs from one to the next may go back in a mirror."""
        return 0 if self.once == "always" else kills, self.kills if self.early else 0

    # -- faults that are the protocol's own, where it has them: lose(run), later(), nack() and their ends -----
    lose = later = later_over = nack = nack_over = None
