# SPDX-License-Identifier: Apache-2.0
"""What changes while the server is killed: the rules of a bucket, the settings of a target, buckets that are removed and made
again. An acknowledged write after an acknowledged change is notified as the change says; while one is under way, as
before or after it. The target is a webhook that is only in the stored settings: its generation is in its URL and its token."""
import re

from support.admin import Admin
from support.rawhttp import ConnectionEnded
from support.receiver import Receiver
from support.s3raw import arn, key_path, rule
from support.wait import wait_for

from . import verify
from .model import ACKED, DELETE, HAPPENED, LOST, MAKE, MAYBE, NOT, OBJECTS, PUT, REMOVE, Content, Journal, Op
from .workers import Gone, Worker

TARGET = "changing"
RULED = "ruled"                                     # the bucket whose rules change
PREFIXES, CREATED, REMOVED = ("a/", "b/", "c/"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*"
WRITERS, FLEETING = 2, 2


class Known:
    """A value that one changes and others depend on: what it may have been at a time."""

    def __init__(self, value):
        self.values, self.settled = [value], 0      # in the order asked for; before `settled` nothing is valid any more

    @property
    def value(self):
        return self.values[self.settled]

    def begin(self, value):
        self.values.append(value)

    def settle(self, value):
        """That is the value now, as far as is known after an answer or a restart."""
        self.values.append(value)
        self.settled = len(self.values) - 1

    @property
    def possible(self):
        return self.values[self.settled:]

    def since(self, mark):
        return self.values[mark:]


class Changed(Op):
    """A change of a bucket of ours. bucket is part of its key. rules, settings: the places in what is Known when it began."""

    def must(self, wanted):
        """True: its event is delivered; False: it is not; None: either. wanted: of each pair of what may have been."""
        answers = {wanted(self, r) and on for r in self.rules for _, on in self.settings}
        return answers.pop() if len(answers) == 1 else None


class Book(Journal):
    """The operations of this part, numbered with the others; problems are the run's."""

    def __init__(self, run):
        super().__init__(run.journal.numbers)
        self.problem = run.journal.problem


class Part(Worker):
    """A worker of this part. Known things are looked at around each change."""

    def __init__(self, run, name, random, bucket):
        super().__init__(run, name, random)
        self.changes, self.journal, self.bucket = run.changes, run.changes.book, bucket

    def do(self, op, known, *args, **kwargs):
        op.first, marks = self.changes.settings.value[0], (known.settled, self.changes.settings.settled)
        op.rules, op.settings = [], []              # none of it: until the request has ended nothing is expected
        try:
            return self.change([op], *args, **kwargs)
        finally:
            op.rules, op.settings = known.since(marks[0]), self.changes.settings.since(marks[1])

    def new(self, kind, key, content=None):
        return Changed(self.journal.number(), kind, f"{self.bucket}/{key}" if key else self.bucket, content)


class RuleChanger(Part):
    """Adds and removes rules of its bucket."""

    def step(self):
        if self.random.random() < 0.3:
            found = self.changes.read_rules(self.request("GET", None, 0, target=f"/{RULED}?notification"))
            if found not in self.changes.rules.possible:
                self.journal.problem(f"the rules are {sorted(found)}, should be {sorted(self.changes.rules.value)}")
        pairs = [(p, e) for p in PREFIXES for e in (CREATED, REMOVED)]
        wanted, rules, settings = frozenset(self.random.sample(pairs, self.random.randrange(6))), self.changes.rules, self.changes.settings
        mark = settings.settled
        rules.begin(wanted)
        reply = self.request("PUT", None, 0, target=f"/{RULED}?notification", body=self.changes.document(wanted))
        if reply.status == 200:
            rules.settle(wanted)
        else:
            rules.settle(rules.value)
            if all(on for _, on in settings.since(mark)) or reply.code != "InvalidArgument":
                self.journal.problem(f"rules were refused: {reply}")
        self.stop.wait(self.random.uniform(0.005, 0.08))


class RuledWriter(Part):
    """Writes and removes keys of its own in the bucket whose rules change."""

    def __init__(self, run, index, random):
        super().__init__(run, f"ruled writer {index}", random, RULED)
        self.keys = [f"{p}{index}-{i}" for p in PREFIXES for i in range(3)]

    def step(self):
        key = self.random.choice(self.keys)
        if self.random.random() < 0.7:
            op = self.new(PUT, key)
            op.content = Content(op.number, self.size(False))
            self.do(op, self.changes.rules, "PUT", key, body=op.content.body)
        else:
            self.do(self.new(DELETE, key), self.changes.rules, "DELETE", key)


class Tuner(Part):
    """Changes the target's settings, and switches it off and on."""

    def __init__(self, run, random):
        super().__init__(run, "tuner", random, None)
        self.admin = Admin(run.server)

    def step(self):
        settings = self.changes.settings
        wanted = (settings.value[0] + len(settings.possible), self.random.random() < 0.8)
        settings.begin(wanted)
        try:
            reply = self.admin.sealed("PUT", "set-config-kv", self.changes.line(wanted))
        except (OSError, ConnectionEnded) as e:
            raise Gone() from e
        if reply.status == 200:
            settings.settle(wanted)
        elif self.run_of.tolerates(reply):
            raise Gone()
        else:
            self.journal.problem(f"settings were refused: {reply}")
        self.stop.wait(self.random.uniform(0, 0.05))


class Fleeting(Part):
    """Makes a bucket, uses it, removes it with what is in it, and makes it again: it has no rules then, and no objects."""

    def __init__(self, run, index, random):
        super().__init__(run, f"fleeting {index}", random, f"fleeting-{index}")
        self.place = run.changes.places[index]

    def step(self):
        place = self.place
        if not place.there.value:
            self.make_or_remove(MAKE, True, "PUT")
        elif self.random.random() < 0.06:
            self.make_or_remove(REMOVE, False, "DELETE", headers=[("x-minio-force-delete", "true")])
        elif not place.rules.value and self.random.random() < 0.3:
            self.set_rules()
        else:
            key, put = f"k{self.random.randrange(4)}", self.random.random() < 0.8
            op = self.new(PUT if put else DELETE, key)
            if put:
                op.content = Content(op.number, self.size(self.random.random() < 0.1))
            place.pending = op
            if self.do(op, place.rules, "PUT" if put else "DELETE", key, body=op.content.body if put else b""):
                place.objects[key] = op.content
                place.pending = None

    def make_or_remove(self, kind, there, method, **kwargs):
        place, op = self.place, self.new(kind, None)
        place.there.begin(there)
        place.pending = op
        if self.do(op, place.rules, method, None, target=f"/{self.bucket}", **kwargs):
            place.there.settle(there)
            place.empty()
        else:
            self.journal.problem(f"{op} was refused")

    def set_rules(self):
        place, body = self.place, self.changes.document([("", CREATED), ("", REMOVED), ("", "s3:BucketRemoved:*")])
        mark = self.changes.settings.settled
        place.rules.begin(True)
        reply = self.request("PUT", None, 0, target=f"/{self.bucket}?notification", body=body)
        place.rules.settle(reply.status == 200)
        if reply.status != 200 and all(on for _, on in self.changes.settings.since(mark)):
            self.journal.problem(f"rules were refused: {reply}")


class Place:
    """What is known of a fleeting bucket: whether it is there and has rules, what it holds, what is under way."""

    def __init__(self, bucket):
        self.bucket, self.there, self.rules = bucket, Known(False), Known(False)
        self.objects, self.pending = {}, None

    def empty(self):
        self.rules.settle(False)
        self.objects.clear()
        self.pending = None


class Changes:
    """This part of one run."""

    def __init__(self, run):
        self.run, self.book, self.receiver = run, Book(run), Receiver(path="")
        self.rules, self.settings = Known(frozenset()), Known((0, True))
        self.places = [Place(f"fleeting-{i}") for i in range(FLEETING)]
        self._parsed, self.repeats = [], 0

    def line(self, settings):
        generation, on = settings
        return (f"notify_webhook:{TARGET} endpoint={self.receiver.url}/{generation} auth_token=token-{generation} "
                f"enable={'on' if on else 'off'}")

    @staticmethod
    def document(pairs):
        return ("<NotificationConfiguration>" + "".join(rule(arn(TARGET), e, prefix=p) for p, e in sorted(pairs)) +
                "</NotificationConfiguration>").encode()

    @staticmethod
    def read_rules(reply):
        return frozenset((q.findtext(".//Value"), q.findtext("Event")) for q in reply.xml.iter("QueueConfiguration"))

    def begin(self):
        """Before the first round, the server running."""
        self.receiver.start()
        self.run.server.s3.make_bucket(RULED)
        reply = Admin(self.run.server).sealed("PUT", "set-config-kv", self.line(self.settings.value))
        assert reply.status == 200, reply

    def workers(self, seeded):
        run = self.run
        return ([RuleChanger(run, "rule changer", seeded(), RULED), Tuner(run, seeded())] +
                [RuledWriter(run, i, seeded()) for i in range(WRITERS)] + [Fleeting(run, i, seeded()) for i in range(FLEETING)])

    def bury(self):
        wait_for(lambda: not self.receiver._open, 20, "the changing target's old connections to end")

    # -- after a restart -----------------------------------------------------------
    def resolve(self):
        """Find out what unanswered changes did."""
        s3 = self.run.server.s3
        self.resolve_one(self.rules, self.read_rules(s3.rules(RULED)), "the rules")
        admin = Admin(self.run.server)
        reply = admin.request("GET", f"get-config-kv?key=notify_webhook:{TARGET}")
        text = admin.open(reply) if reply.status == 200 else str(reply)
        found = re.search(r"endpoint=\S+/(\d+)", text)
        self.resolve_one(self.settings, (int(found[1]), "enable=off" not in text) if found else text, "the settings")
        for place in self.places:
            self.resolve_place(s3, place)

    def resolve_one(self, known, found, what):
        if found not in known.possible:
            self.run.journal.problem(f"after restart {self.run.restarts}: {what}: {found}, should be one of {known.possible}", OBJECTS)
            found = known.value
        known.settle(found)

    def resolve_place(self, s3, place):
        there = s3.request("HEAD", f"/{place.bucket}", [("User-Agent", "op-0")]).status == 200
        op = place.pending
        turned = there != place.there.value
        self.resolve_one(place.there, there, f"whether {place.bucket} is there")
        if op and op.kind in (MAKE, REMOVE):
            op.status = HAPPENED if turned else NOT
            if turned:
                place.empty()
        place.pending = None
        if not there:
            return
        self.resolve_one(place.rules, bool(self.read_rules(s3.rules(place.bucket))), f"{place.bucket}'s rules")
        for key in [f"k{i}" for i in range(4)]:
            reply = s3.request("GET", key_path(place.bucket, key), [("User-Agent", "op-0")])
            states = [place.objects.get(key)]
            if op and op.key == f"{place.bucket}/{key}":
                states.append(op.content)
            fits = [c is None and reply.status == 404 or c is not None and reply.status == 200 and reply.body == c.body for c in states]
            if not any(fits):
                self.run.journal.problem(f"after restart {self.run.restarts}: {place.bucket}/{key} is {reply.status}, neither "
                                         f"{' nor '.join('absent' if c is None else f'of op {c.number}' for c in states)}", OBJECTS)
            elif len(fits) == 2 and fits != [True, True]:
                op.status = HAPPENED if fits[1] else NOT
                place.objects[key] = op.content if fits[1] else place.objects.get(key)

    # -- the verdict -----------------------------------------------------------------
    def deliveries(self):
        posts = self.receiver.snapshot()
        for post in posts[len(self._parsed):]:
            d = verify.Delivery(post)
            d.key = d.bucket + ("/" + d.key if d.key else "")
            self._parsed.append(d)
        return self._parsed

    @staticmethod
    def wanted(op, rules):
        if op.kind == MAKE:
            return False                            # nobody can have a rule for it
        if not isinstance(rules, frozenset):
            return rules
        event = CREATED if op.kind == PUT else REMOVED
        return any(e == event and op.key.startswith(f"{RULED}/{p}") for p, e in rules)

    def missing(self):
        got = {d.identity for d in self.deliveries()}
        return [op for op in self.book.ops.values() if op.status in (ACKED, HAPPENED) and op.must(self.wanted) and op.identity not in got]

    def check(self):
        """Everything that must have come has, nothing that must not, in order, and to the settings of its time."""
        problem = self.run.journal.problem
        try:
            wait_for(lambda: not self.missing(), self.run.patience, "every event to be with the changing target")
        except AssertionError:
            lost = self.missing()
            problem(f"{len(lost)} events never came to the changing target: {lost[:10]}", LOST, len(lost))
        by_key = {}
        for d in self.deliveries():
            self.check_one(d)
            by_key.setdefault(d.key, []).append(d)
        for key, ds in by_key.items():
            verify.check_order(self.run, key, ds)
        self.repeats = repeats = len(self.deliveries()) - len({d.identity for d in self.deliveries()})
        changes = len(set(self.settings.values))
        if repeats > 32 * (self.run.kills + changes + 1):
            problem(f"{repeats} repeats at the changing target")
        surely = [op.must(self.wanted) for op in self.book.ops.values() if op.status in (ACKED, HAPPENED)]
        self.run.log(f"changes: {len(self.rules.values)} of rules, {changes} of settings, "
                     f"{sum(op.kind == REMOVE for op in self.book.ops.values())} buckets removed; {len(self.deliveries())} posts of "
                     f"{surely.count(True)} events that had to come and {surely.count(None)} that could; "
                     f"{surely.count(False)} that could not; {repeats} repeats")
        return len(self.deliveries())

    def check_one(self, d):
        problem, op = self.run.journal.problem, self.book.ops.get(d.identity)
        generation = int(d.post.path.rsplit("/", 1)[1])
        if d.post.get("authorization") != f"Bearer token-{generation}":
            problem(f"{d.identity} came to generation {generation} with {d.post.get('authorization')}")
        if op is None:
            problem(f"came to the changing target, but was never asked for: {d.event} {d.identity}")
        elif op.status == NOT or op.status in (ACKED, HAPPENED, MAYBE) and op.must(self.wanted) is False:
            problem(f"came to the changing target, but should not: {d.event} {op}, {op.rules}, {op.settings}")
        elif generation < op.first:
            problem(f"{op} was sent with settings {generation}, after {op.first} had been acknowledged")
        else:
            verify.check_kind(self.run, op, d)
