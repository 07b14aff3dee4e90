# SPDX-License-Identifier: Apache-2.0
"""The journal: what was asked of the server, what it acknowledged, and what each body must be.

Every request carries its own number in User-Agent, which comes back in the event's record
as source.userAgent: so an event names the request that caused it, also an unanswered one."""
import hashlib
import itertools
import threading

PUT, COPY, DELETE, MULTI, PARTS = "put", "copy", "delete", "multi-delete", "multipart upload"
TAG, UNTAG, MAKE, REMOVE = "put tags", "delete tags", "make bucket", "remove bucket"
EVENTS = {PUT: {"s3:ObjectCreated:Put"}, COPY: {"s3:ObjectCreated:Copy"},
          DELETE: {"s3:ObjectRemoved:Delete", "s3:ObjectRemoved:NoOP"}, MULTI: {"s3:ObjectRemoved:Delete"},
          PARTS: {"s3:ObjectCreated:CompleteMultipartUpload"},
          TAG: {"s3:ObjectCreated:PutTagging"}, UNTAG: {"s3:ObjectCreated:DeleteTagging"},
          MAKE: {"s3:BucketCreated:*"}, REMOVE: {"s3:BucketRemoved:*"}}

# What became of an operation. MAYBE: no answer; after the restart it turns out to have
# happened or not where the key has one writer only, and stays MAYBE where it has several.
PENDING, ACKED, MAYBE, HAPPENED, NOT, REFUSED = "pending", "acknowledged", "maybe", "happened", "did not happen", "refused"


# The columns of the torture table that a problem may count in.
OBJECTS, LOST, DISORDER = "objects_lost", "events_lost", "disorder"


class Problem(str):
    """What must not be. kind: the column that it counts in, or None; n: of how many objects or events."""

    def __new__(cls, text, kind=None, n=1):
        self = super().__new__(cls, text)
        self.kind, self.n = kind, n
        return self


class Content:
    """The bytes that one put made: number and size decide them. cut: where its two parts meet, of an upload in parts;
    at size it has one."""

    def __init__(self, number, size, cut=None):
        self.number, self.size, self.cut = number, size, cut
        self._etag = None

    @property
    def body(self):
        seed = b"%d:%s\n" % (self.number, hashlib.sha256(b"%d" % self.number).hexdigest().encode())
        return (seed * (self.size // len(seed) + 1))[:self.size]

    @property
    def etag(self):
        if self._etag is None:
            self._etag = hashlib.md5(self.body).hexdigest()
            if self.cut is not None:
                digests = [hashlib.md5(p).digest() for p in self.parts]
                self._etag = hashlib.md5(b"".join(digests)).hexdigest() + f"-{len(digests)}"
        return self._etag

    @property
    def parts(self):
        body = self.body
        return [body] if self.cut == self.size else [body[:self.cut], body[self.cut:]]


class Op:
    """One change of one key. before, after: the state of the key (an Op that wrote it, or None for absent). writer: the
    number in the object's metadata; tag: the value of its one tag, or None."""

    def __init__(self, number, kind, key, content=None, before=None, shared=False, writer=None, tag=None):
        self.number, self.kind, self.key, self.content = number, kind, key, content
        self.before, self.shared = before, shared
        self.writer, self.tag = writer or number, tag
        self.after = self if content is not None else None
        self.status = PENDING
        self.detail = None
        self.looked_at = False

    @property
    def identity(self):
        return self.number, self.key

    def __repr__(self):
        return f"<{self.kind} {self.key} op {self.number} {self.status}{' ' + self.detail if self.detail else ''}>"


class Read:
    """One GET or HEAD: its event may be lost in a crash, but never tell what was not. etag: of the answer, None without one;
    there is no event of a read that found nothing."""

    def __init__(self, method):
        self.method, self.status, self.etag = method, None, None


class Journal:
    """All operations of a run, by (request number, key)."""

    def __init__(self, numbers=None):
        self.numbers = numbers or itertools.count(1)
        self.lock = threading.Lock()
        self.ops, self.reads = {}, {}
        self.problems = []

    def number(self):
        return next(self.numbers)

    def begin(self, op):
        """Before the request is sent: no event may arrive of an operation that is not written down."""
        with self.lock:
            self.ops[(op.number, op.key)] = op
        return op

    def begin_read(self, number, key, method):
        with self.lock:
            return self.reads.setdefault((number, key), Read(method))

    def problem(self, text, kind=None, n=1):
        with self.lock:
            self.problems.append(Problem(text, kind, n))

    def of_key(self):
        out = {}
        for op in self.ops.values():
            out.setdefault(op.key, []).append(op)
        return out
