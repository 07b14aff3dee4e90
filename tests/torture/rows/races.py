# SPDX-License-Identifier: Apache-2.0
"""What two requests may do to each other: bodies that are replaced while they are read or copied, uploads that are changed while
they are completed. No fault at all; the file system and the answers say whether a safeguard is missing."""
import hashlib
import os
import re
import socket
import threading
import time

from support.multipart import etag_of
from support.rawhttp import ConnectionEnded, RawConn
from support.s3raw import key_path
from support.server import Server, run as run_program
from support.wait import wait_for
from torture.row import Row

PART, NEW = 5 << 20, b"new"
READERS, COPIERS = 6, 3
TRIALS, RACERS = 150, 2         # of uploads: by each of so many threads


class Book:
    """What one round found; threads write into it."""

    def __init__(self, ctx, number):
        self.ctx, self.number, self.lock = ctx, number, threading.Lock()

    def acked(self, n=1):
        with self.lock:
            self.ctx.add(acked=n)

    def torn(self, text):
        with self.lock:
            self.ctx.add(objects_lost=1)
            self.ctx.problem(f"round {self.number}: {text}")

    def must(self, reply, what, *right):
        """The reply, which was to be one of these."""
        if reply.status not in (right or (200,)):
            raise AssertionError(f"{what}: {reply}")
        self.acked()
        return reply


def files(server):
    """Names of all bodies in files."""
    return {os.path.join(d, f) for d, _, names in os.walk(os.path.join(server.directory, "blobs")) for f in names}


def upload(server, book, bucket, key, bodies, conn=None):
    """An object of several parts, or its upload alone when conn is given: (id, etags)."""
    s3, path = server.s3, key_path(bucket, key)
    reply = book.must(s3.request("POST", path + "?uploads", conn=conn), "a new upload")
    name = re.search(rb"<UploadId>(.+)</UploadId>", reply.body).group(1).decode()
    etags = [book.must(s3.request("PUT", f"{path}?partNumber={i}&uploadId={name}", body=b, conn=conn), "a part").get("etag")
             for i, b in enumerate(bodies, 1)]
    if conn is None:
        book.must(s3.request("POST", f"{path}?uploadId={name}", body=document(etags)), "a complete")
    return name, etags


def document(etags):
    return ("<CompleteMultipartUpload>" + "".join(f"<Part><PartNumber>{i}</PartNumber><ETag>{e}</ETag></Part>"
                                                  for i, e in enumerate(etags, 1)) + "</CompleteMultipartUpload>").encode()


# --- bodies that go while they are read ---------------------------------------------------------------------------------


class Slow:
    """A GET of which only the beginning is read at first: the server waits with all but the first pieces unopened."""

    def __init__(self, server, bucket, key, body, first):
        self.key, self.body = key, body[first:]
        self.conn = RawConn.__new__(RawConn)
        self.conn.sock = socket.socket()
        self.conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.conn.sock.settimeout(60)
        self.conn.sock.connect((server.host, server.port))
        self.conn.buffer, self.conn.ended = b"", False
        pairs = [("Range", f"bytes={first}-")] if first else []
        self.conn.send(server.s3.build("GET", key_path(bucket, key), pairs))
        self.head = self.conn._until(b"\r\n\r\n").decode("latin-1")

    def rest(self):
        """None, or what is wrong with the body that came in the end."""
        got, n = [self.conn.buffer], len(self.conn.buffer)
        while n < len(self.body):
            data = self.conn.sock.recv(1 << 20)
            if not data:
                break
            got.append(data)
            n += len(data)
        self.conn.close()
        if not re.match(r"HTTP/1.1 20[06] ", self.head):
            return f"{self.key}: {self.head.splitlines()[0]}"
        return None if b"".join(got) == self.body else f"{self.key}: {n} bytes of {len(self.body)} came, or others"


def copier(server, book, bucket, key, body, by_parts):
    """Copies an object that may go at any moment: whole, or not at all."""
    s3, to = server.s3, f"copy-{key}"
    source = [("x-amz-copy-source", key_path(bucket, key))]
    try:
        if by_parts:
            name, _ = upload(server, book, "races", to, [], conn=server.raw(60))
            reply = s3.request("PUT", f"{key_path('races', to)}?partNumber=1&uploadId={name}", source)
            if reply.status == 200:
                etag = reply.xml.findtext("ETag")
                book.must(s3.request("POST", f"{key_path('races', to)}?uploadId={name}", body=document([etag])), "a complete")
            else:
                s3.request("DELETE", f"{key_path('races', to)}?uploadId={name}")
        else:
            reply = s3.request("PUT", key_path("races", to), source)
        copy = s3.get("races", to) if reply.status == 200 and b"<Error>" not in reply.body else None
        if copy and (copy.status != 200 or copy.body not in (body, NEW)):      # as it was before or after
            book.torn(f"the copy of {key} has other bytes: {copy.status}, {len(copy.body)} of {len(body)}")
        elif reply.status not in (200, 404) or b"<Error>" in reply.body and reply.code not in ("NoSuchKey", "NoSuchBucket"):
            book.torn(f"the copy of {key} ended with {reply}")
    except (OSError, ConnectionEnded, AssertionError) as e:
        book.torn(f"the copy of {key}: {e!r}")


def replaced_while_read(server, book, random):
    """Objects in several files lose their rows while slow readers and copies are amid them; the janitor comes by; then the
    readers read on."""
    s3, whole = server.s3, {}
    book.must(s3.request("PUT", "/doomed"), "a bucket")
    pieces = [random.randbytes(PART) for _ in range(3)]
    for i in range(READERS):
        bucket, bodies = ("doomed" if i % 3 == 2 else "races"), random.sample(pieces, 3) + [random.randbytes(1000 + i)]
        upload(server, book, bucket, f"slow-{i}", bodies)
        whole[f"slow-{i}"] = bucket, b"".join(bodies)
    readers = [Slow(server, b, k, body, random.choice([0, 0, 17, PART + 5])) for k, (b, body) in whole.items()]
    copiers = [threading.Thread(target=copier, args=(server, book, *k)) for k in
               [(b, k, body, i % 2 == 0) for i, (k, (b, body)) in enumerate(list(whole.items())[:COPIERS])]]
    for c in copiers:
        c.start()
    time.sleep(random.uniform(0, 0.02))                 # no wait for anything: where the copies are is left to chance
    for i, (key, (bucket, _)) in enumerate(whole.items()):
        if bucket == "races":
            reply = s3.delete(bucket, key) if i % 2 else s3.put(bucket, key, NEW)
            book.must(reply, "a replacement", 200, 204)
    book.must(s3.request("DELETE", "/doomed", [("x-minio-force-delete", "true")]), "the end of a bucket", 204)
    for c in copiers:
        c.join()
    let_janitor_pass(server, book, random)
    for r in readers:
        wrong = r.rest()
        if wrong:
            book.torn(wrong)


def let_janitor_pass(server, book, random):
    """Until a file that became garbage after all others is gone."""
    before = files(server)
    book.must(server.s3.put("races", "mark", random.randbytes(100_000)), "a put")
    mark = files(server) - before
    book.must(server.s3.delete("races", "mark"), "a delete", 204)
    wait_for(lambda: not mark & files(server), 20, "the janitor to pass")


# --- uploads that change while they are completed --------------------------------------------------------------------------


def changed_while_completed(server, book, random, name, trials):
    """One connection completes an upload, another replaces its part, ends it or completes it too, at about the same time."""
    try:
        with server.raw(60) as one, server.raw(60) as other:
            for trial in range(trials):
                race_once(server, book, random, f"{name}-{trial % 4}", one, other)
    except (OSError, ConnectionEnded, AssertionError) as e:
        book.torn(f"{name}: {e!r}")


def race_once(server, book, random, key, one, other):
    s3, path = server.s3, key_path("races", key)
    body, new = (random.randbytes(random.choice([1, 2_000, 40_000])) for _ in range(2))
    upload_id, etags = upload(server, book, "races", key, [body], conn=one)
    rival = random.choices(["replace", "abort", "complete"], [6, 1, 1])[0]
    mine = s3.build("POST", f"{path}?uploadId={upload_id}", body=document(etags))
    theirs = {"replace": lambda: s3.build("PUT", f"{path}?partNumber=1&uploadId={upload_id}", body=new),
              "abort": lambda: s3.build("DELETE", f"{path}?uploadId={upload_id}"), "complete": lambda: mine}[rival]()
    begin, gap = time.perf_counter(), random.uniform(-0.0006, 0.0006)
    first, second = ((one, mine), (other, theirs)) if gap > 0 else ((other, theirs), (one, mine))
    first[0].send(first[1])
    while time.perf_counter() - begin < abs(gap):
        pass
    second[0].send(second[1])
    done, answer = one.reply("POST"), other.reply("DELETE" if rival == "abort" else "PUT")
    if answer.status not in (200, 204, 404):
        book.torn(f"{key}: {rival} beside a complete was answered {answer}")
    if done.status != 200 or b"<Error>" in done.body:
        if done.code not in ("InvalidPart", "NoSuchUpload"):
            book.torn(f"{key}: a complete beside {rival} was answered {done}")
        s3.request("DELETE", f"{path}?uploadId={upload_id}", conn=one)
        return
    book.acked()
    reply = s3.request("GET", path, conn=one)
    if reply.status != 200 or reply.body != body or reply.get("etag").strip('"') != etag_of([body]):
        book.torn(f"{key}: completed beside {rival} of a part of {len(body)} bytes, {hashlib.md5(body).hexdigest()}; is "
                  f"{reply.status} {reply.get('etag')} of {len(reply.body)} bytes, {hashlib.md5(reply.body).hexdigest()}")


# --- the row -----------------------------------------------------------------------------------------------------------------


def races(ctx):
    for number, random in ctx.rounds():
        book, directory = Book(ctx, number), f"{ctx.directory}/{number}"
        os.makedirs(directory)
        server = Server(f"{directory}/data", binary_path=ctx.binary).start(deadline=30)
        try:
            ctx.recovery(server.ready_after)
            server.s3.make_bucket("races")
            seeds = [random.random() for _ in range(RACERS)]
            replaced_while_read(server, book, random)
            racers = [threading.Thread(target=changed_while_completed, args=(server, book, type(random)(s), f"race-{i}", TRIALS))
                      for i, s in enumerate(seeds)]
            for r in racers:
                r.start()
            for r in racers:
                r.join()
            nothing_left(server, book)
            server.stop()
            done = run_program("check", server.directory, timeout=120, binary_path=ctx.binary)
            if done.returncode:
                ctx.problem(f"round {number}: belfry check ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
        finally:
            server.kill()


def nothing_left(server, book):
    """With every object gone, every file goes."""
    book.must(server.s3.request("DELETE", "/races", [("x-minio-force-delete", "true")]), "the end of a bucket", 204)
    try:
        wait_for(lambda: not files(server), 20, "the last file to go")
    except AssertionError:
        left = files(server)
        book.ctx.problem(f"round {book.number}: {len(left)} files are left that nothing names: {sorted(left)[:5]}")


ROWS = [Row("races", "read, replaced; completed, changed", "a body that is read or copied is whole although its object is replaced, "
            "deleted or its bucket removed meanwhile; an upload is completed with the parts that were named or not at all; every "
            "file goes with the last who needs it", races, share=0.5, least=8)]
