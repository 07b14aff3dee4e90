# SPDX-License-Identifier: Apache-2.0
"""What must be true after the crashes: objects, events, order, repeats."""
import json

from support.s3raw import key_path

from .model import ACKED, DISORDER, EVENTS, HAPPENED, MAYBE, NOT, OBJECTS, REFUSED, TAG, UNTAG
from .workers import BUCKET, REFUSED_KEYS, check_object


def resolve_and_check(run):
    """After a restart: find out what unanswered requests did, and hold every owned key against its state."""
    pending = {}
    for op in run.journal.ops.values():
        if op.status == MAYBE and not op.shared and not op.looked_at:
            pending[op.key] = op                        # the last one of the key: its owner stopped there
    with run.server.raw(timeout=60) as conn:
        for state, keys in run.owned():
            for key in keys:
                reply, tag = look(run, conn, key)
                settle(run, state, key, pending.get(key), lambda op: check_object(reply, op) or check_tag(tag, op))
        for key, op in pending.items():
            if key.startswith(REFUSED_KEYS):
                reply, tag = look(run, conn, key)
                settle(run, {}, key, op, lambda op: check_object(reply, op) or check_tag(tag, op))


def refused(run):
    """Changes whose events the receiver refuses: each has become a dead letter in the end."""
    return [op for op in run.journal.ops.values() if op.key.startswith(REFUSED_KEYS) and op.status in (ACKED, HAPPENED)]


def look(run, conn, key):
    """The object, and the value of its tag (None: it has none)."""
    path, agent, tag = key_path(BUCKET, key), [("User-Agent", "op-0")], None
    conn.send(run.server.s3.build("GET", path, agent))
    reply = conn.reply()
    if reply.get("x-amz-tagging-count"):
        conn.send(run.server.s3.build("GET", path + "?tagging", agent))
        tag = conn.reply().xml.findtext(".//Value")
    return reply, tag


def check_tag(tag, op):
    wanted = op.tag if op else None
    return None if tag == wanted else f"should have the tag {wanted} of {op}, has {tag}"


def settle(run, state, key, op, check):
    if op is not None:
        op.looked_at = True
    else:
        problem = check(state.get(key))
        if problem:
            run.journal.problem(f"after restart {run.restarts}: {key}: {problem}", OBJECTS)
        return
    before, after = check(op.before), check(op.after)
    if before is None and after is None:
        return                                          # the same before and after: no way to tell, and no need
    if after is None:
        op.status = HAPPENED
        if op.after is None:
            state.pop(key, None)
        else:
            state[key] = op.after
    elif before is None:
        op.status = NOT
    else:
        run.journal.problem(f"after restart {run.restarts}: {op} is neither done nor undone: {before}; {after}",
                            OBJECTS)


class Delivery:
    """One POST, taken apart."""

    def __init__(self, post):
        body = json.loads(post.body)
        record = body["Records"][0]
        self.post, self.event, self.record = post, body["EventName"], record
        self.bucket, _, self.key = body["Key"].partition("/")
        agent = record["source"]["userAgent"]
        self.number = int(agent[3:]) if agent.startswith("op-") else None
        self.sequencer = record["s3"]["object"]["sequencer"]
        self.etag = record["s3"]["object"].get("eTag")
        self.accepted = post.answered is not None and 200 <= post.answered < 300

    @property
    def identity(self):
        return self.number, self.key

    @property
    def read(self):
        return self.event.startswith("s3:ObjectAccessed:")

    @property
    def place(self):
        """Among the events of its key. A change of tags carries the sequencer of the object; such keys have one writer."""
        return self.sequencer, self.number or 0


def missing_events(run):
    """Operations that happened and whose event the receiver has not accepted yet, or refused for ever."""
    got = {d.identity for d in run.deliveries() if d.accepted or d.key.startswith(REFUSED_KEYS)}
    return [op for op in run.journal.ops.values() if op.status in (ACKED, HAPPENED) and (op.number, op.key) not in got]


def tell_missing(run, ops):
    """What is known of events that never arrived: their requests, and the deliveries that were not accepted."""
    tries = {}
    for d in run.deliveries():
        tries.setdefault(d.identity, []).append(f"post {d.post.number} {d.post.action} answered {d.post.answered}")
    return "; ".join(f"{op} {tries.get((op.number, op.key), 'was never sent')}" for op in ops[:10])


def check_events(run):
    """Everything about the deliveries of the whole run; problems go to the journal."""
    deliveries = run.deliveries()
    for d in deliveries:
        (check_read if d.read else check_one)(run, d)
    by_key = {}
    for d in deliveries:
        if not d.read:
            by_key.setdefault((d.bucket, d.key), []).append(d)
    for (_, key), ds in by_key.items():
        check_order(run, key, ds)
    check_owned_history(run, by_key)
    check_shared_state(run, by_key)
    return count_repeats(deliveries)


def check_one(run, d):
    if d.bucket == "taken":
        if d.key not in run.taken:
            run.journal.problem(f"delivered, but in no queue file: {d.key}")
        return
    op = run.journal.ops.get(d.identity)
    if op is None:
        run.journal.problem(f"delivered, but never asked for: {d.event} {d.key} op {d.number}")
    elif op.status in (NOT, REFUSED):
        run.journal.problem(f"delivered, but {op.status}: {d.event} {op}")
    else:
        check_kind(run, op, d)


def check_read(run, d):
    """An event of a read tells of one that was made, and of what it was given."""
    read = run.journal.reads.get(d.identity)
    if d.number == 0:
        return                                          # ours, when we look at what is there
    if read is None or d.event != f"s3:ObjectAccessed:{read.method.capitalize()}":
        run.journal.problem(f"delivered, but never read: {d.event} {d.key} op {d.number}")
    elif read.status not in (None, 200) or read.etag and read.etag != d.etag:
        run.journal.problem(f"{d.event} {d.key} op {d.number} of {d.etag}, was answered {read.status} {read.etag}")


def check_kind(run, op, d):
    if d.event not in EVENTS[op.kind]:
        run.journal.problem(f"{op} delivered as {d.event}")
    elif op.content is not None and d.etag != op.content.etag:
        run.journal.problem(f"{op} delivered with the ETag of other bytes")


def check_order(run, key, ds):
    """First deliveries in the order of the sequencer; the last delivery is the last event."""
    seen, last = set(), ("", 0)
    for d in ds:
        if d.identity in seen:
            continue
        seen.add(d.identity)
        if d.place <= last:
            run.journal.problem(f"{key}: first delivery of op {d.number} ({d.sequencer}) after {last}", DISORDER)
        last = d.place
    if ds[-1].place != max(d.place for d in ds):
        run.journal.problem(f"{key}: its last delivery is not of its last event", DISORDER)


def check_owned_history(run, by_key):
    """Of a key with one writer, sequencers grow in the order in which the writer worked."""
    for key, ops in run.journal.of_key().items():
        if ops[0].shared:
            continue
        sequencers = {d.identity: d.sequencer for d in by_key.get((BUCKET, key), [])}
        last, last_op = "", None
        for op in ops:
            number = sequencers.get((op.number, key))
            if number is None:
                continue
            if number < last or number == last and op.kind not in (TAG, UNTAG):
                run.journal.problem(f"{op} has sequencer {number}, {last_op} before it {last}", DISORDER)
            last, last_op = number, op


def check_shared_state(run, by_key):
    """Of a key with several writers, the last event tells what it holds now."""
    with run.server.raw(timeout=60) as conn:
        for (bucket, key), ds in by_key.items():
            if bucket != BUCKET or not key.startswith("shared/"):
                continue
            last = max(ds, key=lambda d: d.sequencer)
            op = run.journal.ops.get(last.identity)
            if op is None:
                continue
            conn.send(run.server.s3.build("GET", key_path(BUCKET, key), [("User-Agent", "op-0")]))
            problem = check_object(conn.reply(), op.after)
            if problem:
                run.journal.problem(f"{key}: its last event is of {op}, but the object {problem}", OBJECTS)


def count_repeats(deliveries):
    """Deliveries of events that the receiver had accepted before."""
    accepted, repeats = set(), 0
    for d in deliveries:
        identity = (d.bucket, *d.identity)
        if identity in accepted:
            repeats += 1
        if d.accepted:
            accepted.add(identity)
    return repeats
