# SPDX-License-Identifier: Apache-2.0
"""The workload that is recorded for the power cut: every kind of commit, and a journal with the times at which each change
was asked for and acknowledged (CLOCK_MONOTONIC, ns). A key, bucket or upload has one writer, so that what a crash state
may hold of it follows from the times alone."""
import base64
import collections
import hashlib
import itertools
import json
import os
import re
import signal
import threading
import time

from support.admin import Admin
from support.rawhttp import ConnectionEnded
from support.receiver import Answer, Receiver, webhook_env
from support.s3raw import NS, arn, key_path, rule
from support.server import Server
from support.wait import wait_for

from kill.model import Content

BUCKET, WORKERS = "power", 6
KINDS = ("put inline", "put file", "overwrite", "delete", "multi-delete", "copy", "complete", "abort", "tag", "untag", "read",
         "create bucket", "rules", "delete bucket", "settings")
RECORD_KILL = signal.SIGRTMIN + 7       # native/record.h
NEVER = (1 << 64) - 1
INLINE, FILE, PART_MIN = (0, 20_000), (33_000, 150_000), 5 << 20
QUEUE_FILE = "0b0f7a3c-1111-2222-3333-444455556666.event"
SEGMENTS = "20:300:10"                  # a backlog of 30 events is moved into files after 0.3 s, 10 at a time
MEMORY = 2 << 20                        # of the server's rows: flushes and compactions come soon


class Gone(Exception):
    """The server went away in the middle of a request."""


def now():
    return time.monotonic_ns()


class Change:
    """One change of one key: the state after it. writer: in the object's metadata; content: decides the bytes."""

    def __init__(self, number, present, writer=0, content=None, tag=None):
        self.number, self.present, self.writer, self.content, self.tag = number, present, writer, content, tag
        self.sent, self.acked = NEVER, NEVER

    def line(self):
        c = self.content
        return f"o {self.sent} {self.acked} {self.number} {int(self.present)} {self.writer} {c.number if c else 0} " \
               f"{c.size if c else 0} {self.tag or '-'}\n"


class Journal:
    """keys: (bucket, key) -> [Change]; buckets: name -> [[sent, acked, present, rule]]; config: [[sent, acked, word]];
    uploads: [dict]."""

    def __init__(self):
        self.numbers, self.lock = itertools.count(1), threading.Lock()
        self.keys, self.buckets, self.config, self.uploads, self.problems, self.stops = {}, {}, [], [], [], []
        self.kinds = collections.Counter()      # of commits that were answered

    def acked(self):
        return (sum(c.acked != NEVER for cs in list(self.keys.values()) for c in list(cs)) +
                sum(o[1] != NEVER for os_ in list(self.buckets.values()) for o in list(os_)) + sum(c[1] != NEVER for c in self.config) +
                sum((u["acked"] != NEVER) + (u["over_acked"] != NEVER) + sum(p[1] != NEVER for p in u["parts"])
                    for u in self.uploads))

    def write(self, path, posts):
        with open(path, "w", encoding="utf-8") as f:
            for (bucket, key), changes in sorted(self.keys.items()):
                f.write(f"k {bucket} {key}\n" + "".join(c.line() for c in changes))
            for name, changes in self.buckets.items():
                f.write(f"b {name}\n" + "".join(f"o {s} {a} {int(p)} {r or '-'}\n" for s, a, p, r in changes))
            for sent, acked, word in self.config:
                f.write(f"c {sent} {acked} {word}\n")
            for u in self.uploads:
                f.write("u {bucket} {key} {id} {sent} {acked} {over_sent} {over_acked}\n".format(**u))
                f.write("".join(f"p {s} {a} {n} {size}\n" for s, a, n, size in u["parts"]))
            for stopped in self.stops:
                f.write(f"z {stopped}\n")
            for p in posts:
                record = p.record
                if p.key.startswith("taken/"):
                    f.write(f"f {int(p.time * 1e9)} {QUEUE_FILE}\n")
                agent = record["source"]["userAgent"]
                if p.answered == 200 and agent.startswith("op-") and agent != "op-0":
                    f.write(f"d {int(p.time * 1e9)} {agent[3:]} {p.key.partition('/')[2]} {p.sequencer}\n")


class Worker(threading.Thread):
    """One connection, one request after the other, `steps` of them or until the server is gone."""

    def __init__(self, load, name, random, steps):
        super().__init__(name=name, daemon=True)
        self.load, self.random, self.steps = load, random, steps
        self.journal, self.s3, self.conn = load.journal, load.server.s3, None

    def run(self):
        try:
            with self.load.server.raw(timeout=60) as self.conn:
                for _ in range(self.steps):
                    self.step()
        except (Gone, OSError, ConnectionEnded):
            pass
        except Exception as e:                          # noqa: BLE001 - a fault of the harness must not pass for success
            self.journal.problems.append(f"{self.name}: {type(e).__name__}: {e}")

    def request(self, method, target, number=0, headers=(), body=b"", right=(200, 204)):
        try:
            self.conn.send(self.s3.build(method, target, [("User-Agent", f"op-{number}"), *headers], body))
            reply = self.conn.reply(method)
        except (OSError, ConnectionEnded) as e:
            raise Gone() from e
        if reply.status not in right:
            self.journal.problems.append(f"{method} {target} was answered {reply}")
        return reply

    def change(self, kind, changes, method, target, **kwargs):
        """changes: {key: Change}, carried out by one request."""
        sent = now()
        before = [self.state(key) for key in changes]
        for key, c in changes.items():
            c.sent = sent
            self.journal.keys.setdefault((BUCKET, key), []).append(c)
        reply = self.request(method, target, next(iter(changes.values())).number, **kwargs)
        acked = now()
        for c in changes.values():
            c.acked = acked
        self.journal.kinds[kind] += 1
        self.journal.kinds["overwrite"] += any(before) and kind in ("put inline", "put file", "copy", "complete")
        return reply


class Owner(Worker):
    """Objects: all that can happen to one."""

    def __init__(self, load, index, random, steps):
        super().__init__(load, f"owner {index}", random, steps)
        self.inline = [f"w{index}/i{i}" for i in range(6)] + [f"w{index}/refused{i}" for i in range(2)]
        self.files = [f"w{index}/f{i}" for i in range(3)]

    def state(self, key):
        changes = self.journal.keys.get((BUCKET, key))
        return changes[-1] if changes and changes[-1].present else None

    def present(self, among):
        return [k for k in among if self.state(k)]

    def step(self):
        actions = [(self.put_inline, 30), (self.put_file, 14), (self.delete, 12), (self.multi_delete, 4), (self.copy, 14),
                   (self.upload, 10), (self.tag, 10), (self.read, 10)]
        self.random.choices([a for a, _ in actions], [w for _, w in actions])[0]()

    def new(self, file=False, content=None):
        number = next(self.journal.numbers)
        return Change(number, True, number, content or Content(number, self.random.randrange(*(FILE if file else INLINE))))

    def put_inline(self):
        self.put(self.random.choice(self.inline), self.new())

    def put_inline_of_its_own(self):
        c = self.new()
        self.last = c.number
        self.put(self.inline[0], c)

    def put_file(self):
        self.put(self.random.choice(self.files), self.new(True))

    def put(self, key, c):
        kind = "put file" if key in self.files else "put inline"
        self.change(kind, {key: c}, "PUT", key_path(BUCKET, key), body=c.content.body, headers=[("x-amz-meta-op", str(c.number))])

    def delete(self):
        for key in self.random.sample(self.present(self.inline + self.files), 1) if self.present(self.inline) else []:
            self.change("delete", {key: Change(next(self.journal.numbers), False)}, "DELETE", key_path(BUCKET, key))

    def multi_delete(self):
        keys, number = self.present(self.inline)[:3] + self.present(self.files)[:1], next(self.journal.numbers)
        body = "<Delete>" + "".join(f"<Object><Key>{k}</Key></Object>" for k in keys) + "</Delete>"
        md5 = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
        if keys:
            self.change("multi-delete", {k: Change(number, False) for k in keys}, "POST", f"/{BUCKET}?delete",
                        body=body.encode(), headers=[("Content-MD5", md5)])

    def copy(self):
        among = self.random.choice([self.inline, self.files])
        sources = self.present(among)
        if sources:
            source = self.random.choice(sources)
            c = self.new(content=self.state(source).content)
            c.tag = self.state(source).tag
            self.change("copy", {self.random.choice(among): c}, "PUT", None, source=source)

    def change(self, kind, changes, method, target, source=None, **kwargs):
        if source:
            key, c = next(iter(changes.items()))
            target = key_path(BUCKET, key)
            kwargs["headers"] = [("x-amz-copy-source", key_path(BUCKET, source)), ("x-amz-metadata-directive", "REPLACE"),
                                 ("x-amz-meta-op", str(c.number))]
        return super().change(kind, changes, method, target, **kwargs)

    def tag(self):
        keys = self.present(self.inline + self.files)
        if not keys:
            return
        tagged, number = [k for k in keys if self.state(k).tag], next(self.journal.numbers)
        away = tagged and self.random.random() < 0.5
        key, tag = self.random.choice(tagged if away else keys), None if away else f"op={number}"
        before = self.state(key)
        body = f"<Tagging><TagSet><Tag><Key>op</Key><Value>{number}</Value></Tag></TagSet></Tagging>" if tag else ""
        self.change("tag" if tag else "untag", {key: Change(number, True, before.writer, before.content, tag)}, "PUT" if tag else "DELETE",
                    key_path(BUCKET, key) + "?tagging", body=body.encode())

    def read(self):
        key = self.random.choice(self.inline)
        self.request("GET", key_path(BUCKET, key), right=(200, 404))
        self.journal.kinds["read"] += self.state(key) is not None

    def upload(self):
        """One part (or two, once in a while), or many small lists of parts: more than a row of an object holds."""
        large, many = self.random.random() < 0.08, self.random.random() < 0.1
        key, number = self.random.choice(self.files), next(self.journal.numbers)
        size = self.random.randrange(*self.random.choice([INLINE, FILE])) + 1 + (PART_MIN if large else 0)
        c = Change(number, True, number, Content(number, size, PART_MIN if large else size))
        path, u = key_path(BUCKET, key), dict(bucket=BUCKET, key=key, id=None, sent=now(), acked=NEVER, over_sent=NEVER,
                                              over_acked=NEVER, parts=[])
        reply = self.request("POST", path + "?uploads", headers=[("x-amz-meta-op", str(number))])
        u["id"], u["acked"] = re.search(rb"<UploadId>(.+)</UploadId>", reply.body).group(1).decode(), now()
        self.journal.uploads.append(u)
        etags = [self.part(path, u, i, body) for i, body in enumerate(c.content.parts, 1)]
        for i in range(20 if many else self.random.randrange(2)):
            self.part(path, u, 100 + i, b"not used" * self.random.choice([10, 10_000]))
        fate = self.random.random()
        if self.journal.kinds["complete"] and not self.journal.kinds["abort"]:
            fate = 0.3              # no recording without one
        if fate < 0.2:
            return
        u["over_sent"] = now()
        if fate < 0.4:
            self.request("DELETE", f"{path}?uploadId={u['id']}")
            self.journal.kinds["abort"] += 1
        else:
            body = "".join(f"<Part><PartNumber>{i}</PartNumber><ETag>{e}</ETag></Part>" for i, e in enumerate(etags, 1))
            self.change("complete", {key: c}, "POST", f"{path}?uploadId={u['id']}",
                        body=f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode())
        u["over_acked"] = now()

    def part(self, path, u, number, body):
        p = [now(), NEVER, number, len(body)]
        u["parts"].append(p)
        reply = self.request("PUT", f"{path}?partNumber={number}&uploadId={u['id']}", body=body)
        p[1] = now()
        return reply.get("etag")


class Keeper(Worker):
    """Buckets and their rules, and the settings."""

    def bucket_change(self, kind, name, present, word, *args, **kwargs):
        c = [now(), NEVER, present, word]
        self.journal.buckets.setdefault(name, []).append(c)
        self.request(*args, **kwargs)
        c[1] = now()
        self.journal.kinds[kind] += 1

    def step(self):
        n = next(self.journal.numbers)
        name = f"bucket-{n}" if self.random.random() < 0.6 else f"again-{self.random.randrange(2)}"
        known = self.journal.buckets.get(name)
        if not (known and known[-1][2]):
            self.bucket_change("create bucket", name, True, None, "PUT", f"/{name}")
        word = f"rule-{n}"
        xml = f'<NotificationConfiguration xmlns="{NS}">{rule(arn("2"), "s3:ObjectCreated:*", rule_id=word)}' \
              "</NotificationConfiguration>"
        self.bucket_change("rules", name, True, word, "PUT", f"/{name}?notification", body=xml.encode())
        c = [now(), NEVER, f"step-{n}"]
        self.journal.config.append(c)
        reply = Admin(self.load.server).sealed("PUT", "set-config-kv", "notify_webhook:3 enable=off "
                                               f"endpoint=http://127.0.0.1:1/ comment=step-{n}", conn=self.conn)
        if reply.status != 200:
            self.journal.problems.append(f"settings were answered {reply}")
        c[1] = now()
        self.journal.kinds["settings"] += 1
        if self.random.random() < 0.6:
            self.bucket_change("delete bucket", name, False, None, "DELETE", f"/{name}")


class Load:
    """A server under the recorder below `directory`, its receiver, and the courses of the workload."""

    def __init__(self, directory, random, binary, shim, steps):
        self.random, self.steps, self.journal = random, steps, Journal()
        self.root, self.log = os.path.join(directory, "disk"), os.path.join(directory, "recording")
        os.makedirs(os.path.join(self.root, "queue"))
        self.receiver = Receiver(lambda post: Answer(400) if "/refused" in post.key else Answer())
        self.env = dict(webhook_env(self.receiver, queue_dir=os.path.join(self.root, "queue")),
                        **webhook_env("http://127.0.0.1:9/", "2", queue_dir=os.path.join(self.root, "queue")),
                        BELFRY_TEST_SEGMENTS=SEGMENTS, BELFRY_TEST_MEMORY=str(MEMORY), LD_PRELOAD=shim, BELFRY_RECORD_ROOT=self.root,
                        BELFRY_RECORD_LOG=self.log)
        self.server = Server(os.path.join(self.root, "data"), env=self.env, binary_path=binary,
                             log=os.path.join(directory, "server.log"))
        self.starts = []
        leave_queue_file(os.path.join(self.root, "queue", "minio-webhook-1"))

    def start(self):
        """The server makes its own folder: that is part of what may be cut."""
        self.server.spawn()
        wait_for(self.server._ready, 20, "the server to be ready")
        self.starts.append(time.monotonic() - self.server.started_at)

    def stop(self):
        """The last thing before it is the removal of a confirmed event, which has no sync of its own."""
        alone = Owner(self, 0, self.seeded(), 1)
        alone.step = alone.put_inline_of_its_own
        alone.start()
        alone.join()
        last = f"op-{alone.last}"
        wait_for(lambda: any(p.answered == 200 and p.record["source"]["userAgent"] == last for p in self.receiver.snapshot()),
                 30, "the last event")
        self.server.stop()
        self.journal.stops.append(now())

    def segments(self, target):
        folder = os.path.join(self.root, "queue", f"belfry-webhook-{target}")
        return os.listdir(folder) if os.path.isdir(folder) else []

    def seeded(self):
        return type(self.random)(self.random.random())

    def run_workers(self, share, kill=False):
        steps = max(2, int(self.steps * share))
        alone = Owner(self, 0, self.seeded(), 1)
        alone.step = alone.put_file     # the first number of a body is recorded by a commit that no other follows at once
        alone.start()
        alone.join()
        workers = [Owner(self, i, self.seeded(), steps) for i in range(WORKERS)]
        workers.append(Keeper(self, "keeper", self.seeded(), max(2, steps // 6)))
        for w in workers:
            w.start()
        if kill:
            half = threading.Event()
            begun = self.journal.acked()
            wait_for(lambda: self.journal.acked() > begun + WORKERS * steps // 2 or half.is_set(), 60, "half of the load")
            self.server.signal(RECORD_KILL)
            self.server.process.wait(20)
            self.server.process = None
        for w in workers:
            w.join()

    def resolve(self):
        """After a kill: what was not answered has happened or has not; a look tells."""
        for (bucket, key), changes in self.journal.keys.items():
            c = changes[-1]
            if c.acked == NEVER:
                reply = self.server.s3.request("GET", key_path(bucket, key), [("User-Agent", "op-0")])
                if self.is_after(bucket, key, reply, c):
                    c.acked = now()
                else:
                    changes.pop()
        self.journal.keys = {k: c for k, c in self.journal.keys.items() if c}
        for u in self.journal.uploads:
            if u["over_sent"] != NEVER and u["over_acked"] == NEVER:
                path = f"{key_path(u['bucket'], u['key'])}?uploadId={u['id']}"
                there = self.server.s3.request("GET", path).status == 200
                u["over_sent" if there else "over_acked"] = NEVER if there else now()
        for name, changes in self.journal.buckets.items():
            if changes[-1][1] == NEVER:
                reply = self.server.s3.request("GET", f"/{name}?notification")
                word, present = changes[-1][3], changes[-1][2]
                same = (reply.status == 200) == present and (not word or word.encode() in reply.body)
                if same:
                    changes[-1][1] = now()
                else:
                    changes.pop()
        self.journal.buckets = {n: c for n, c in self.journal.buckets.items() if c}
        if self.journal.config and self.journal.config[-1][1] == NEVER:
            admin = Admin(self.server)
            reply = admin.request("GET", "get-config-kv?key=notify_webhook:3")
            if reply.status == 200 and self.journal.config[-1][2] in admin.open(reply):
                self.journal.config[-1][1] = now()
            else:
                self.journal.config.pop()

    def is_after(self, bucket, key, reply, c):
        if reply.status != 200 or not c.present:
            return (reply.status == 200) == c.present
        tag = None
        if reply.get("x-amz-tagging-count"):
            tags = self.server.s3.request("GET", key_path(bucket, key) + "?tagging", [("User-Agent", "op-0")])
            tag = f"op={tags.xml.findtext('.//Value')}"
        return reply.get("x-amz-meta-op") == str(c.writer) and tag == c.tag

    def run(self):
        """The course: a first start, a kill under load, a clean stop, a third life."""
        self.receiver.start()
        try:
            self.start()
            self.server.s3.make_bucket(BUCKET)
            rules = [rule(arn("1")), rule(arn("2"))]
            reply = self.server.s3.set_rules(BUCKET, *rules)
            assert reply.status == 200, reply
            self.run_workers(0.5, kill=True)
            self.start()
            self.resolve()
            for _ in range(3):
                self.receiver.stop()
                self.run_workers(0.1)
                self.receiver.start()
                wait_for(lambda: not self.segments("1"), 60, "the backlog's files to be read")  # no sync of others comes between
            self.run_workers(0.1)
            self.stop()
            self.start()
            self.run_workers(0.1)
            self.stop()
        finally:
            self.server.kill()
            self.receiver.stop()
        return self.journal


def leave_queue_file(directory):
    """An event as another server leaves it: taken in at the first start. It has no number of a request of ours."""
    os.makedirs(directory)
    record = {"eventVersion": "2.0", "eventSource": "minio:s3", "awsRegion": "", "eventTime": "2025-01-02T03:04:05.678Z",
              "eventName": "s3:ObjectAccessed:Get", "userIdentity": {"principalId": "old"}, "requestParameters": None,
              "responseElements": {}, "s3": {"s3SchemaVersion": "1.0", "configurationId": "Config", "bucket": {
                  "name": "taken", "ownerIdentity": {"principalId": "old"}, "arn": "arn:aws:s3:::taken"},
                  "object": {"key": "taken", "size": 1, "sequencer": "1797000000000001"}},
              "source": {"host": "", "port": "", "userAgent": "old"}}
    with open(os.path.join(directory, QUEUE_FILE), "w", encoding="utf-8") as f:
        f.write(json.dumps(record, separators=(",", ":")))
