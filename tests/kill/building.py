# SPDX-License-Identifier: Apache-2.0
"""One large object of more parts than fit its row, put together out of copies of one part, then replaced or deleted: its extents
are a row of their own, written before the commit and taken apart by the janitor. Held against its journal by its ETag and by
single ranges; belfry check reads the rest at the end of the run."""
import hashlib
import re

from support.s3raw import key_path

from .model import DELETE, HAPPENED, MAYBE, NOT, OBJECTS, PARTS, PUT, Content, Op
from .workers import BUCKET, PART_MIN, Worker, metadata

SOURCE, KEY = "big/source", "big/whole"
COPIES = 16             # and a short part behind them


class Assembled(Content):
    """COPIES times the source's bytes, then some of its own."""

    def __init__(self, number, source, tail):
        super().__init__(number, COPIES * source.size + tail)
        self.source, self.tail = source, Content(number, tail)

    @property
    def body(self):
        return self.source.body * COPIES + self.tail.body

    @property
    def etag(self):
        if self._etag is None:
            digests = hashlib.md5(self.source.body).digest() * COPIES + hashlib.md5(self.tail.body).digest()
            self._etag = hashlib.md5(digests).hexdigest() + f"-{COPIES + 1}"
        return self._etag

    def piece(self, first, n):
        """n bytes from `first` on, without making all of them."""
        out, source = b"", self.source.body
        while len(out) < n:
            at = first + len(out)
            part = source if at < COPIES * len(source) else self.tail.body
            at -= COPIES * len(source) if part is not source else at // len(source) * len(source)
            out += part[at:at + n - len(out)]
        return out


class Builder(Worker):
    """Makes it, and then makes something else of it."""

    def __init__(self, run, random):
        super().__init__(run, "builder", random)
        self.state = run.big                        # key -> Op that wrote it

    def settle(self, op):
        self.state.pop(op.key, None)
        if op.after is not None:
            self.state[op.key] = op

    def step(self):
        if SOURCE not in self.state:
            number = self.journal.number()
            op = Op(number, PUT, SOURCE, Content(number, PART_MIN))
            if self.put(op):
                self.settle(op)
        self.build()
        number, before = self.journal.number(), self.state.get(KEY)
        if self.random.random() < 0.5:
            op = Op(number, PUT, KEY, Content(number, self.size(False)), before)
            done = self.put(op)
        else:
            op = Op(number, DELETE, KEY, before=before)
            done = self.change([op], "DELETE", KEY)
        if done:
            self.settle(op)

    def build(self):
        number, path = self.journal.number(), key_path(BUCKET, KEY)
        op = Op(number, PARTS, KEY, Assembled(number, self.state[SOURCE].content, self.random.randrange(1, 20_000)),
                self.state.get(KEY))
        reply = self.request("POST", KEY, 0, target=path + "?uploads", headers=metadata(op))
        upload = re.search(rb"<UploadId>(.+)</UploadId>", reply.body).group(1).decode()
        etags = []
        for i in range(1, COPIES + 1):
            reply = self.request("PUT", KEY, 0, target=f"{path}?partNumber={i}&uploadId={upload}",
                                 headers=[("x-amz-copy-source", key_path(BUCKET, SOURCE))])
            etags.append(reply.xml.findtext("ETag"))
        reply = self.request("PUT", KEY, 0, target=f"{path}?partNumber={COPIES + 1}&uploadId={upload}", body=op.content.tail.body)
        etags.append(reply.get("etag"))
        body = "".join(f"<Part><PartNumber>{i}</PartNumber><ETag>{e}</ETag></Part>" for i, e in enumerate(etags, 1))
        if self.change([op], "POST", KEY, target=f"{path}?uploadId={upload}", right=(200,),
                       body=f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()):
            self.settle(op)


def differs(run, conn, key, op):
    """None, or how the key differs from what op left."""
    def ask(method, headers=()):
        conn.send(run.server.s3.build(method, key_path(BUCKET, key), [("User-Agent", "op-0"), *headers]))
        return conn.reply(method)
    reply = ask("HEAD")
    if op is None or op.after is None:
        return None if reply.status == 404 else f"should be absent: {reply.status}"
    if reply.status != 200 or reply.get("x-amz-meta-op") != str(op.number):
        return f"should be of {op}: {reply.status}, op {reply.get('x-amz-meta-op')}"
    if reply.get("etag").strip('"') != op.content.etag or reply.get("content-length") != str(op.content.size):
        return f"{op}: ETag {reply.get('etag')}, {reply.get('content-length')} bytes"
    n = min(1000, op.content.size)
    for first in (0, (op.content.size - n) // 2, min(PART_MIN - n // 2, op.content.size - n), op.content.size - n):
        if n == 0:
            break
        reply = ask("GET", [("Range", f"bytes={first}-{first + n - 1}")])
        right = op.content.piece(first, n) if isinstance(op.content, Assembled) else op.content.body[first:first + n]
        if reply.status != 206 or reply.body != right:
            return f"{op}: other bytes from {first} on, {reply.status}"
    return None


def resolve_and_check(run):
    """After a restart: what the last change did, and whether all of it is there."""
    pending = {op.key: op for op in run.journal.ops.values() if op.status == MAYBE and not op.looked_at and op.key in (SOURCE, KEY)}
    with run.server.raw(timeout=60) as conn:
        for key in (SOURCE, KEY):
            op, state = pending.get(key), run.big.get(key)
            before, after = differs(run, conn, key, state), differs(run, conn, key, op) if op else "nothing was under way"
            if op:
                op.looked_at = True
            if before and after:
                run.journal.problem(f"after restart {run.restarts}: {key}: {before}; {after}", OBJECTS)
            elif op and before:
                op.status = HAPPENED
                run.big.pop(key, None)
                if op.after is not None:
                    run.big[key] = op
            elif op and after:
                op.status = NOT
