# SPDX-License-Identifier: Apache-2.0
"""The load: writers of keys of their own, writers of shared keys, readers."""
import base64
import hashlib
import re
import threading

from support.rawhttp import ConnectionEnded
from support.s3raw import key_path

from .model import OBJECTS, ACKED, COPY, DELETE, MAYBE, MULTI, PARTS, PUT, REFUSED, TAG, UNTAG, Content, Op

BUCKET = "kills"
INLINE, FILE = (0, 20_000), (900_000, 2_100_000)
PART_MIN = 5 << 20
REFUSED_KEYS = "no/"    # the webhook refuses their events for ever, Redis takes them


class Gone(Exception):
    """The server went away in the middle of a request."""


class Worker(threading.Thread):
    """One connection, one request after the other, until the server is gone or stop is set."""

    bucket = BUCKET

    def __init__(self, run, name, random):
        super().__init__(name=name, daemon=True)
        self.run_of, self.random, self.stop = run, random, run.stop_workers
        self.journal, self.s3 = run.journal, run.server.s3
        self.conn = None

    def run(self):
        try:
            with self.run_of.server.raw(timeout=60) as self.conn:
                while not self.stop.is_set():
                    self.step()
        except (Gone, OSError):
            pass
        except Exception as e:                          # noqa: BLE001 - a fault of the harness must not pass for success
            self.journal.problem(f"{self.name}: {type(e).__name__}: {e}")

    def request(self, method, key, number, headers=(), body=b"", target=None):
        pairs = [("User-Agent", f"op-{number}"), *headers]
        try:
            self.conn.send(self.s3.build(method, target or key_path(self.bucket, key), pairs, body))
            reply = self.conn.reply(method)
        except (OSError, ConnectionEnded) as e:
            raise Gone() from e
        if reply.status == 503 and self.run_of.stop_asked:
            raise Gone()
        self.run_of.requests += 1
        if reply.status >= 500 and self.run_of.tolerates(reply):
            raise Gone()                                # what it did is as unknown as without an answer
        return reply

    def change(self, ops, method, key, right=(200, 204), **kwargs):
        """Carry out one request that makes the given changes; note how it ended. True: acknowledged."""
        for op in ops:
            self.journal.begin(op)
        try:
            reply = self.request(method, key, ops[0].number, **kwargs)
        except Gone:
            for op in ops:
                op.status = MAYBE
            raise
        status = ACKED if reply.status in right else REFUSED if reply.status < 500 else MAYBE
        for op in ops:
            op.status, op.detail = status, str(reply.status)
        if status == MAYBE:
            self.journal.problem(f"{ops[0]} was answered {reply}")
        return status == ACKED

    def size(self, file):
        low, high = FILE if file else INLINE
        return self.random.randrange(low, high)

    def put_op(self, key, file, before=None, shared=False):
        number = self.journal.number()
        return Op(number, PUT, key, Content(number, self.size(file)), before, shared)

    def put(self, op, headers=(), right=(200,)):
        return self.change([op], "PUT", op.key, right, body=op.content.body, headers=[*metadata(op), *headers])


def metadata(op):
    """The headers that say which operation made an object."""
    return [("x-amz-meta-op", str(op.number))] + ([("x-amz-tagging", f"op={op.tag}")] if op.tag else [])


class Owner(Worker):
    """Writes keys that nobody else writes: after a crash their state is known exactly."""

    INLINE_KEYS, FILE_KEYS = 24, 4

    def __init__(self, run, index, random):
        super().__init__(run, f"owner {index}", random)
        self.inline = [f"own/{index}/i{i}" for i in range(self.INLINE_KEYS)]
        self.files = [f"own/{index}/f{i}" for i in range(self.FILE_KEYS)]
        self.state = run.states[index]                  # key -> Op that wrote it; absent keys are not in it

    def step(self):
        actions = [(self.put_inline, 40), (self.put_file, 8), (self.delete, 14), (self.multi_delete, 6), (self.copy_move, 12),
                   (self.read, 14), (self.refused_put, 3), (self.change_metadata, 3), (self.upload_in_parts, 6),
                   (self.tag, 10), (self.delete_all, 1)]
        self.random.choices([a for a, _ in actions], [w for _, w in actions])[0]()

    def settle(self, op):
        """The state of a key after an acknowledged change."""
        if op.after is None:
            self.state.pop(op.key, None)
        else:
            self.state[op.key] = op.after

    def put_inline(self):
        self.put_own(self.random.choice(self.inline), False)

    def put_file(self):
        self.put_own(self.random.choice(self.files), True)

    def put_own(self, key, file):
        op = self.put_op(key, file, self.state.get(key))
        op.tag = self.some_tag(op.number)
        if self.put(op):
            self.settle(op)

    def some_tag(self, number):
        return str(number) if self.random.random() < 0.2 else None

    def part(self, key, upload, number, body):
        reply = self.request("PUT", key, 0, body=body, target=f"{key_path(BUCKET, key)}?partNumber={number}&uploadId={upload}")
        if reply.status != 200:
            self.journal.problem(f"part {number} of {key} was answered {reply}")
        return reply.get("etag")

    def upload_in_parts(self):
        """One part, or two; a part may be sent twice, another may not be used; some uploads are left or aborted."""
        file = self.random.random() < 0.4
        key, number = self.random.choice(self.files if file else self.inline), self.journal.number()
        two = file and self.random.random() < 0.4
        size = self.size(file) + (PART_MIN if two else 0)
        op = Op(number, PARTS, key, Content(number, size, PART_MIN if two else size), self.state.get(key),
                tag=self.some_tag(number))
        reply = self.request("POST", key, 0, target=key_path(BUCKET, key) + "?uploads", headers=metadata(op))
        upload = re.search(rb"<UploadId>(.+)</UploadId>", reply.body).group(1).decode()
        if self.random.random() < 0.3:
            self.part(key, upload, 1, b"replaced" * self.random.choice([10, 10_000]))
        if self.random.random() < 0.3:
            self.part(key, upload, 10_000, b"unused" * self.random.choice([10, 10_000]))
        etags = [self.part(key, upload, i, body) for i, body in enumerate(op.content.parts, 1)]
        path, fate = f"{key_path(BUCKET, key)}?uploadId={upload}", self.random.random()
        if fate < 0.1:
            return
        if fate < 0.2:
            if self.request("DELETE", key, 0, target=path).status != 204:
                self.journal.problem(f"abort of an upload of {key} failed")
            return
        body = "".join(f"<Part><PartNumber>{i}</PartNumber><ETag>{e}</ETag></Part>" for i, e in enumerate(etags, 1))
        if self.change([op], "POST", key, target=path, right=(200,),
                       body=f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()):
            self.settle(op)

    def refused_put(self):
        if not self.state:
            return
        key = self.random.choice(list(self.state))
        op = self.put_op(key, key in self.files, self.state[key])
        if self.put(op, [("If-None-Match", "*")]):
            self.journal.problem(f"{op} was taken although the key exists")
            self.settle(op)

    def delete(self):
        key = self.random.choice(self.inline + self.files)
        op = Op(self.journal.number(), DELETE, key, before=self.state.get(key))
        if self.change([op], "DELETE", key):
            self.settle(op)

    def multi_delete(self):
        keys = self.random.sample(self.inline, 4) + self.random.sample(self.files, 1)
        number = self.journal.number()
        ops = [Op(number, MULTI, k, before=self.state.get(k)) for k in keys]
        body = b"<Delete>" + b"".join(b"<Object><Key>%s</Key></Object>" % k.encode() for k in keys) + b"</Delete>"
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        if self.change(ops, "POST", None, target=f"/{BUCKET}?delete", body=body, headers=[("Content-MD5", md5)]):
            for op in ops:
                self.settle(op)

    def delete_all(self):
        """As a folder: one event for each object that was there. A kill may come between two of them."""
        number, folder = self.journal.number(), self.inline[0].rpartition("/")[0] + "/"
        ops = [Op(number, MULTI, k, before=op) for k, op in self.state.items()]
        if ops and self.change(ops, "DELETE", folder, headers=[("x-minio-force-delete", "true")]):
            for op in ops:
                self.settle(op)

    def copy(self, source, key):
        origin = self.state[source]
        op = Op(self.journal.number(), COPY, key, origin.content, self.state.get(key), tag=origin.tag)
        headers = [("x-amz-copy-source", key_path(BUCKET, source)), ("x-amz-metadata-directive", "REPLACE"),
                   ("x-amz-meta-op", str(op.number))]
        if self.change([op], "PUT", key, headers=headers):
            self.settle(op)
            return True
        return False

    def copy_move(self):
        """Copy, then delete the source: the copy's bytes must be its own."""
        among = self.files if self.random.random() < 0.4 else self.inline
        present = [k for k in among if k in self.state]
        if not present:
            return
        source = self.random.choice(present)
        key = self.random.choice([k for k in among if k != source])
        if self.copy(source, key):
            op = Op(self.journal.number(), DELETE, source, before=self.state[source])
            if self.change([op], "DELETE", source):
                self.settle(op)

    def change_metadata(self):
        if self.state:
            key = self.random.choice(list(self.state))
            self.copy(key, key)

    def tag(self):
        """Set an object's tag, or take it away; its bytes and its metadata stay."""
        if not self.state:
            return
        key, number = self.random.choice(list(self.state)), self.journal.number()
        before = self.state[key]
        tag = str(number) if self.random.random() < 0.7 else None
        op = Op(number, TAG if tag else UNTAG, key, before.content, before, writer=before.writer, tag=tag)
        body = f"<Tagging><TagSet><Tag><Key>op</Key><Value>{tag}</Value></Tag></TagSet></Tagging>" if tag else ""
        if self.change([op], "PUT" if tag else "DELETE", key, target=key_path(BUCKET, key) + "?tagging", body=body.encode()):
            self.settle(op)

    def read(self):
        key = self.random.choice(self.inline + self.files)
        problem = check_object(self.request("GET", key, 0), self.state.get(key))
        if problem:
            self.journal.problem(f"read of {key}: {problem}", OBJECTS)


def check_object(reply, op):
    """None, or how a GET differs from what the key should hold (op, or None for absent)."""
    if op is None:
        return None if reply.status == 404 else f"should be absent: {reply.status}, op {reply.get('x-amz-meta-op')}"
    if reply.status != 200:
        return f"should be of {op}: {reply.status} {reply.code}"
    if reply.get("x-amz-meta-op") != str(op.writer):
        return f"should be of op {op.writer}, as {op}, is of op {reply.get('x-amz-meta-op')}"
    if reply.get("x-amz-tagging-count") != (None if op.tag is None else "1"):
        return f"{op}: {reply.get('x-amz-tagging-count')} tags, should be {op.tag}"
    if reply.body != op.content.body:
        return f"{op}: the bytes are not those that were put ({len(reply.body)} of {op.content.size})"
    return None


class Sharer(Worker):
    """Overwrites and deletes keys that several write at once."""

    def __init__(self, run, index, random):
        super().__init__(run, f"sharer {index}", random)

    def step(self):
        file = self.random.random() < 0.15
        key = f"shared/{'f' if file else 'i'}{self.random.randrange(2 if file else 6)}"
        if self.random.random() < 0.75:
            self.put(self.put_op(key, file, shared=True))
        else:
            op = Op(self.journal.number(), DELETE, key, shared=True)
            self.change([op], "DELETE", key)


class Reader(Worker):
    """Reads the shared keys while they are replaced: always one whole body of one put."""

    def __init__(self, run, index, random):
        super().__init__(run, f"reader {index}", random)

    def step(self):
        key = f"shared/f{self.random.randrange(2)}" if self.random.random() < 0.7 else f"shared/i{self.random.randrange(6)}"
        number, method = self.journal.number(), "HEAD" if self.random.random() < 0.2 else "GET"
        read = self.journal.begin_read(number, key, method)
        reply = self.request(method, key, number)
        read.status, read.etag = reply.status, (reply.get("etag") or "").strip('"')
        if reply.status == 404:
            return
        if reply.status != 200:
            self.journal.problem(f"read of {key}: {reply}")
            return
        op = self.journal.ops.get((int(reply.get("x-amz-meta-op") or 0), key))
        problem = (f"of an unknown op {reply.get('x-amz-meta-op')}" if op is None else
                   check_object(reply, op) if method == "GET" else None)
        if problem:
            self.journal.problem(f"read of {key}: {problem}", OBJECTS)


class Refused(Worker):
    """Puts, now and then, what the webhook will refuse: each becomes a dead letter there, once."""

    def __init__(self, run, random):
        super().__init__(run, "refused", random)

    def step(self):
        number = self.journal.number()
        self.put(Op(number, PUT, f"{REFUSED_KEYS}{number}", Content(number, self.size(False))))
        self.stop.wait(self.random.uniform(0.05, 0.15))
