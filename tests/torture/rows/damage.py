# SPDX-License-Identifier: Apache-2.0
"""A flipped bit in each kind of file of a store."""
import glob
import hashlib
import os
import subprocess

from support.multipart import Upload
from support.ops import put_head
from support.server import Server, run as run_program
from support.sigv4 import UNSIGNED
from torture.row import Row
from torture.stock import BUCKETS, MIB, Stock, Verdict

# Kind of file -> pattern in the store, and what a flip there has to do. "refused": the start is refused and names the file;
# "named": the server starts, and what cannot be served right is answered 500 and named; "either"; "harmless".
KINDS = {
    "log": ("kv/*.log", "refused"),          # but for its last batch
    "body": ("blobs/*/*", "named"),
    "table": ("kv/*.sst", "either"),
    "blob file of rows": ("kv/*.blob", "either"),
    "MANIFEST": ("kv/MANIFEST-*", "either"),
    "CURRENT": ("kv/CURRENT", "refused"),
    "OPTIONS": ("kv/OPTIONS-*", "harmless"),
    "IDENTITY": ("kv/IDENTITY", "harmless"),
    "format": ("format", "refused"),
    "lock": ("lock", "harmless"),
    "segment": ("*.jsonl", "either"),        # in queue_dir: events that wait
}
BLOCK = 64 << 10


def own(path):
    """The stock may have a link to it."""
    subprocess.run(["cp", "-p", path, path + ".own"], check=True)
    os.replace(path + ".own", path)


def flip(path, at, bit):
    own(path)
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1 << bit]))


def overwrite(path, at):
    own(path)
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(b"\xa5" * min(512, os.path.getsize(path) - at))


class Flip:
    """One bit of one file in a copy of the stock, and everything that must hold then."""

    def __init__(self, ctx, stock, kind, path, at, bit):
        self.ctx, self.stock, self.kind = ctx, stock, kind
        self.relative = os.path.relpath(path, stock.kept_queue if kind == "segment" else stock.path)
        self.place = f"bit {bit} of byte {at} of {self.relative} ({os.path.getsize(path)} bytes)"
        self.at, self.bit = at, bit
        self.removed_log = False
        self.outcome = "harmless"

    def problem(self, text):
        self.ctx.problem(f"{self.place}: {text}")

    def copy(self):
        path = self.stock.copy("damaged")
        self.harm(os.path.join(self.stock.queue if self.kind == "segment" else path, self.relative))
        return path

    def harm(self, path):
        flip(path, self.at, self.bit)

    def run(self):
        path = self.copy()
        code, said = self.stock.check(path)
        v = Verdict(self.stock, path)
        try:
            self.serve(v, code, said)
        finally:
            v.stop()
        if self.outcome != "harmless" and self.relative != "format":
            self.salvage()
        return self.outcome

    def serve(self, v, code, said):
        if v.start():
            v.look()
            self.judge_answers(v)
            self.judge_other_reads(v)
            v.hear(self.stock.events)
        for text in v.wrong + v.unexplained:
            self.problem(text)
        if v.refused is not None:
            self.outcome = "refused"
            self.judge_refusal(v.refused)
        elif v.missing or v.lost_events or v.listing_short:
            self.outcome = "named"
        if self.outcome != "harmless" and code == 0:
            self.problem(f"{self.outcome}, and belfry check finds nothing: {said}")
        if self.kind == "segment" and v.lost_events and os.path.basename(self.relative) not in said:
            self.problem(f"{len(v.lost_events)} events are lost, and belfry check does not name the file: {said}")
        wanted = KINDS[self.kind][1]
        if wanted not in ("either", self.outcome) and self.outcome != "harmless":
            self.problem(f"{self.outcome} instead of {wanted}: {(v.refused or str(v.missing))[-600:]}")

    def judge_refusal(self, log):
        # RocksDB calls a table that is gone by an older ending.
        name = os.path.splitext(os.path.basename(self.relative))[0]
        if self.removed_log:
            if ", or a log after it, is missing" not in log:
                self.problem(f"the refusal does not say that a log is missing: {log[-600:]}")
        elif name not in log and not (self.kind == "MANIFEST" and "CURRENT does not name a MANIFEST" in log):
            self.problem(f"the refusal does not name the file: {log[-600:]}")
        if self.kind == "log" and "at byte" not in log and not self.removed_log:
            self.problem(f"the refusal does not name the place: {log[-600:]}")
        if "docs/repair.md" not in log:
            self.problem(f"the refusal does not say what to do: {log[-600:]}")

    def judge_answers(self, v):
        log, named = v.server.log(), 0
        for (bucket, key), what in v.missing.items():
            if what not in ("500", "wrong") and not what.startswith("closed"):
                self.problem(f"{bucket}/{key} is answered {what}")
            named += f"{bucket}/{key}" in log
        if named < min(10, len(v.missing)):         # a line that repeats is held back then
            self.problem(f"{len(v.missing)} objects are answered {set(v.missing.values())}, the log names {named}")
        for bucket in BUCKETS:
            wanted = {k for b, k in self.stock.objects if b == bucket}
            if v.listed[bucket] is None:
                v.listing_short = True
            elif v.listed[bucket] != wanted:
                self.problem(f"the listing of {bucket} lacks {sorted(wanted - v.listed[bucket])[:5]} without a word")

    def judge_other_reads(self, v):
        """Ranges, copies and copied parts of what is damaged: right bytes or an error, never wrong ones."""
        for (bucket, key), _ in list(v.missing.items())[:4]:
            wanted = self.stock.objects[bucket, key]
            size = len(wanted)
            for first in {0, size // 2, max(0, size - 1000)}:
                last = min(size, first + 1000) - 1
                body = v.range(bucket, key, first, last)
                if body is not None and body != wanted[first:last + 1]:
                    self.problem(f"{bucket}/{key}: wrong bytes in the range from {first}")
            source = [("x-amz-copy-source", f"{bucket}/{key}")]
            reply = v.server.s3.put(bucket, "copy/of", b"", headers=source)
            if reply.status == 200 and b"<Error>" not in reply.body:
                self.problem(f"{bucket}/{key} is answered {v.missing[bucket, key]}, its copy 200")
            upload = Upload(v.server.s3, bucket, "copy/in-parts")
            if upload.id and upload.copy(1, f"{bucket}/{key}").status == 200 and 1 in upload.etags:
                if upload.etags[1]:
                    self.problem(f"{bucket}/{key} is answered {v.missing[bucket, key]}, a part copied from it 200")
        if v.missing and v.count_damaged() == 0:
            self.problem("the metrics count no damaged read")

    # -- salvage ------------------------------------------------------------------------
    def salvage(self):
        path = self.copy()
        dry, planned = self.stock.check(path, "--salvage", "--dry-run")
        cut = self.interrupted(path)
        code, said = self.stock.check(path, "--salvage")
        if code not in (0, 1) or dry != code and not cut:
            self.problem(f"salvage ended with {code}, its dry run with {dry}: {cut} {said[-1500:]} {planned[-500:]}")
            return
        said = cut + said
        v = Verdict(self.stock, path)
        try:
            self.serve_salvaged(v, said)
        finally:
            v.stop()
        again, what = self.stock.check(path, "--salvage")
        if again not in (0, 1) or "nothing to salvage" not in what:
            self.problem(f"salvaged twice: {again} {what[-800:]}")

    def interrupted(self, path):
        """Every other salvage is killed somewhere on its way and made again. What the killed one said."""
        if self.at % 2:
            return ""
        with open(path + ".salvage", "w+", encoding="utf-8", errors="replace") as out:
            process = subprocess.Popen([self.stock.binary, "check", "--salvage", path], stdout=out, stderr=subprocess.STDOUT)
            try:
                process.wait(timeout=self.at % 100 / 1000)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            out.seek(0)
            return out.read()

    def serve_salvaged(self, v, said):
        if not v.start():
            self.problem(f"no start after the salvage: {v.refused[-600:]} {said[-600:]}")
            return
        v.look()
        for text in v.wrong:
            self.problem(text)
        # Where a block of a table is lost keys are named by the two that they lie between; where the log is gone, not at all.
        unnamed, gaps = [], "cannot be read" in said or "a log is missing" in said
        for (bucket, key), what in v.missing.items():
            if not gaps and not any(w in said for w in (f"{bucket}/{key}", f"object {key} belongs to bucket")):
                unnamed.append(f"{bucket}/{key}: {what}")
        # What a damaged place of the log held cannot be told: a batch or two.
        if len(unnamed) > (3 if "cannot be told" in said else 0):
            self.problem(f"not right after the salvage, which did not name them: {unnamed[:4]}... {said[-600:]}")
        v.server.s3.request("PUT", "/stock")        # if its row was lost
        new = Upload(v.server.s3, "stock", "after")
        if v.server.s3.put("stock", "after/salvage", b"x" * 100_000).status != 200 or new.put(1, b"y" * 50_000).status != 200:
            self.problem("no write after the salvage")
        v.hear(self.stock.events)
        v.unexplained.clear()
        if v.lost_events and "event" not in said:
            self.problem(f"{len(v.lost_events)} events are lost after the salvage, which did not say so: {said[-1500:]}")


def another(stock, relative):
    """The file of another body, of the same length if there is one: only its name tells then."""
    path = os.path.join(stock.path, relative)
    others = [p for p in files_of(stock, "body") if p != path]
    return min(others, key=lambda p: abs(os.path.getsize(p) - os.path.getsize(path)))


def put_in_place(other, path):
    """As a disk does that writes, or reads, the wrong place: each file is sound by itself."""
    os.unlink(path)
    subprocess.run(["cp", other, path], check=True)


class Tear(Flip):
    """More than a bit: what no checksum can put right. bit: which kind of harm."""

    def harm(self, path):
        # A log that ends early, or a MANIFEST, is one that a crash cut; one that is gone is not.
        self.removed_log = self.kind == "log" and self.bit == 0 and len(files_of(self.stock, "log")) == 1
        if self.bit == 3:
            put_in_place(another(self.stock, self.relative), path)
        elif self.removed_log:
            os.unlink(path)
        elif self.kind == "log" or self.bit > 1 or (self.kind == "MANIFEST" and self.bit):
            overwrite(path, self.at)
        elif self.bit == 0:
            os.unlink(path)
        else:
            own(path)
            os.truncate(path, self.at)


def last_batch(path):
    """Where the last batch of a log begins: damage to it cannot be told from a write that a crash cut."""
    with open(path, "rb") as f:
        data = f.read()
    at = start = 0
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4:at + 6], "little"), data[at + 6]
        if kind == 0 and length == 0:
            break
        start = at if kind in (1, 2) else start             # whole, or its first part
        at += 7 + length
    return start


def places(random, size, kind):
    """Where to flip in a file: its first, middle and last block, and anywhere. What is behind a body are checksums."""
    block = min(size, BLOCK if kind == "body" else 512)
    last = size - block // 8 - 100 if kind == "body" and size > BLOCK else size - block
    return random.choice((random.randrange(block), size // 2, last + random.randrange(min(block, size - last)),
                          random.randrange(size)))


def files_of(stock, kind):
    found = stock.segments(stock.kept_queue) if kind == "segment" else glob.glob(os.path.join(stock.path, KINDS[kind][0]))
    return sorted(path for path in found if os.path.getsize(path))


def each_kind(ctx, harm):
    stock = None
    for number, random in ctx.rounds():
        if stock is None:
            stock = Stock(f"{ctx.directory}/store", random, ctx.binary).make()
            ctx.add(acked=len(stock.objects))
        kind = ctx.kinds[(number - 1) % len(ctx.kinds)]
        path = random.choice(files_of(stock, kind))
        size = last_batch(path) - (512 if harm is Tear else 0) if kind == "log" else os.path.getsize(path)
        bit = random.randrange(3 if harm is Tear else 8)
        if harm is Tear and kind == "body" and number // len(ctx.kinds) % 2 == 0:
            bit = 3
        f = harm(ctx, stock, kind, path, places(random, size, kind), bit)
        ctx.log(f"round {number}: {f.place}: {f.run()}")


def flipped_bits(ctx):
    first = ["log", "body", "table", "body", "blob file of rows", "body"]   # most of a store is bodies, and not each is read by itself
    ctx.kinds = first + [k for k in KINDS if k not in first]
    each_kind(ctx, Flip)


def torn_files(ctx):
    ctx.kinds = ["log", "body", "table", "blob file of rows", "MANIFEST", "CURRENT", "segment"]
    each_kind(ctx, Tear)


# -- a large object -----------------------------------------------------------------------------------

def upload_large(server, mib, block):
    with server.raw(timeout=300) as c:
        c.send(put_head(server.s3, "large", "k", [("Content-Length", str(mib * MIB))], UNSIGNED))
        for i in range(mib):
            c.send(piece(i, block))
        reply = c.reply()
    assert reply.status == 200, reply


def piece(i, block):
    return i.to_bytes(8, "big") + block[8:]


def read_large(server, mib, block):
    """How many bytes came; all of them must be right."""
    got, want = 0, b""
    with server.raw(timeout=300) as c:
        c.send(server.s3.build("GET", "/large/k"))
        head, rest = c._until(b"\r\n\r\n"), b""
        data = c.buffer
        try:
            while data:
                rest += data
                while len(rest) >= MIB:
                    if rest[:MIB] != piece(got // MIB, block):
                        return -1
                    rest, got = rest[MIB:], got + MIB
                data = c.sock.recv(MIB) if got + len(rest) < mib * MIB else b""
        except ConnectionResetError:
            pass
    want = piece(got // MIB, block)[:len(rest)] if got < mib * MIB else b""
    if b" 500 " in head[:20]:
        return 0
    return got + len(rest) if rest == want else -1


def large_object(ctx):
    """First, middle and last block of one file."""
    mib = 1024 if ctx.seconds >= 60 else 64
    for number, random in ctx.rounds():
        server = Server(f"{ctx.directory}/{number}/data", binary_path=ctx.binary)
        os.makedirs(server.directory)
        server.start()
        server.s3.make_bucket("large")
        block = random.randbytes(MIB)
        upload_large(server, mib, block)
        server.stop()
        ctx.add(acked=1)
        path = max(glob.glob(f"{server.directory}/blobs/*/*"), key=os.path.getsize)
        for damaged in (0, mib * 8 + random.randrange(16), mib * 16 - 1):
            at, bit = damaged * BLOCK + random.randrange(BLOCK), random.randrange(8)
            flip(path, at, bit)
            judge_large(ctx, server, mib, block, damaged)
            flip(path, at, bit)
        server.start()
        if read_large(server, mib, block) != mib * MIB:
            ctx.problem("the bits set right again, the object is not whole")
        server.stop()


def judge_large(ctx, server, mib, block, damaged):
    done = run_program("check", server.directory, binary_path=ctx.binary, timeout=120)
    if done.returncode != 1 or f"block {damaged} of" not in done.stdout or "large/k" not in done.stdout:
        ctx.problem(f"belfry check does not name block {damaged}: {done.stdout}")
    server.start()
    got = read_large(server, mib, block)
    if not 0 <= got <= damaged * BLOCK:
        ctx.problem(f"block {damaged} is damaged, {got} bytes were served{' wrong' if got < 0 else ''}")
    for other in (1, mib * 8 - 1):                  # the rest is served
        first = other * BLOCK
        reply = server.s3.get("large", "k", [("Range", f"bytes={first}-{first + BLOCK - 1}")])
        wanted = piece(first // MIB, block)[first % MIB:][:BLOCK]
        if reply.status != 206 or reply.body != wanted:
            ctx.problem(f"block {other} is sound, its range is answered {reply.status}")
    reply = server.s3.put("large", "copy", headers=[("x-amz-copy-source", "large/k")])
    if reply.status == 200 and b"<Error>" not in reply.body:
        ctx.problem(f"block {damaged} is damaged, a copy is answered 200")
    if f"block {damaged} of" not in server.log() or "large/k" not in server.log():
        ctx.problem(f"the log does not name block {damaged} of large/k")
    server.stop()


ROWS = [Row("flipped-bits", "a flipped bit in any file",
            "log, CURRENT, format: the start is refused and names the file, the place in a log, and what to do. Tables, MANIFEST, "
            "blob files of rows: so, or the server starts. OPTIONS, IDENTITY, lock: no harm. Bodies, and whenever it starts: all "
            "bytes served are right (GET, range, copy, copied part), what is not served is answered 500 and named, the rest is "
            "served. Files of events: those in a damaged line are counted as lost, the rest delivered. belfry check finds it; a "
            "salvage serves all that it does not name", flipped_bits, least=8),
        Row("torn-files", "a file overwritten, cut, swapped or removed",
            "as with a flipped bit: refused or named, found by belfry check, and what a salvage does not name is right",
            torn_files, least=6),
        Row("flipped-large", "a flipped bit in a GiB", "no byte of the damaged block or behind it is sent, everything before it and "
            "ranges of other blocks are; copies fail; log and check name object, file and block", large_object, once=90,
            short=False)]
