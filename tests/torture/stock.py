# SPDX-License-Identifier: Apache-2.0
"""A store of mixed content, kept as a folder that can be copied: what is in it is known, so that whatever is done to the files
of a copy can be judged."""
import glob
import os
import re
import subprocess

from support.admin import Admin
from support.multipart import Upload
from support.receiver import Receiver, webhook_env
from support.s3raw import arn, rule
from support.server import Server
from support.wait import wait_for

BUCKETS = ("stock", "other")
MIB = 1 << 20
REFUSED = 4             # exit code: the directory
SEGMENTS = "40:0:20"    # of the events that wait, all but the newest 40 are in files, 20 in each
# What the log says of events that do not come.
SAID = ("queued events cannot be read", "queued events are lost", "becomes a dead letter")


class Stock:
    """objects: (bucket, key) -> bytes; events: (bucket, key) of those that wait."""

    def __init__(self, directory, random, binary):
        self.directory, self.random, self.binary = directory, random, binary
        self.objects, self.older, self.events = {}, {}, set()
        self.receiver = Receiver()                  # takes its port; answers once it is started
        self.path, self.queue = os.path.join(directory, "stock"), os.path.join(directory, "queue")
        self.kept_queue = os.path.join(directory, "queue-of-stock")     # rows name the files of events with their whole path
        self.env = dict(webhook_env(self.receiver, queue_dir=self.queue), MINIO_PROMETHEUS_AUTH_TYPE="public",
                        BELFRY_TEST_SEGMENTS=SEGMENTS)

    def server(self, path=None):
        return Server(path or self.path, env=self.env, binary_path=self.binary)

    # -- content ------------------------------------------------------------------
    def put(self, s3, bucket, key, size, conn=None):
        body = self.random.randbytes(size)
        reply = s3.put(bucket, key, body, headers=[("Content-Type", "a/b"), ("x-amz-meta-n", key)], conn=conn)
        assert reply.status == 200, reply
        if (bucket, key) in self.objects:
            self.older.setdefault((bucket, key), []).append(self.objects[bucket, key])
        self.objects[bucket, key] = body
        self.events.add((bucket, key))

    def put_parts(self, s3, key, sizes):
        upload, bodies = Upload(s3, "stock", key), [self.random.randbytes(n) for n in sizes]
        for number, body in enumerate(bodies, 1):
            assert upload.put(number, body).status == 200
        assert upload.complete().status == 200
        self.objects["stock", key] = b"".join(bodies)
        self.events.add(("stock", key))

    def fill(self, server, generation):
        s3 = server.s3
        with server.raw(timeout=60) as conn:
            for i in range(30):
                self.put(s3, "stock", f"g{generation}/small-{i:02}", self.random.choice((0, 1, 300, 1024, 20_000)), conn)
            for i in range(10):
                self.put(s3, "other", f"g{generation}/small-{i:02}", 1024, conn)
            for i, size in enumerate((40_000, 65_536, 200_000, 1_300_000)):
                self.put(s3, "stock", f"g{generation}/file-{i}", size, conn)
            for i in range(5):                      # replaced, and removed
                self.put(s3, "stock", f"g{generation}/again", 1024 + i, conn)
                gone = f"g{generation}/gone-{i}"
                self.put(s3, "stock", gone, 1024, conn)
                assert s3.delete("stock", gone, conn=conn).status == 204
                del self.objects["stock", gone]
        upload = Upload(s3, "stock", f"g{generation}/unfinished")
        assert upload.put(1, b"u" * 100_000).status == 200

    def make(self):
        """Two generations: the first in tables, the second in the log, as a kill leaves it."""
        os.makedirs(self.directory, exist_ok=True)
        server = self.server().start()
        for bucket in BUCKETS:
            server.s3.make_bucket(bucket)
            reply = server.s3.set_rules(bucket, rule(arn("1"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
            assert reply.status == 200, reply
        self.fill(server, 1)
        self.put_parts(server.s3, "parts", (5 * MIB, 70_000))
        self.put_parts(server.s3, "many", (5 * MIB, 1000))
        server.kill()
        server.start()                              # writes tables from the log
        self.fill(server, 2)
        wait_for(lambda: len(self.segments(self.queue)) >= 3, 30, "events in files")
        server.kill()
        os.rename(self.queue, self.kept_queue)
        return self

    def segments(self, queue):
        return sorted(glob.glob(f"{queue}/belfry-*/*.jsonl"))

    # -- copies ---------------------------------------------------------------------
    def copy(self, name):
        """The queue's files go with it to where they were."""
        to = os.path.join(self.directory, name)
        subprocess.run(["rm", "-rf", to, self.queue], check=True)
        subprocess.run(["cp", "-a", self.kept_queue, self.queue], check=True)
        os.mkdir(to)
        for name in os.listdir(self.path):          # files of bodies never change: links will do
            flags = "-al" if name == "blobs" else "-a"
            subprocess.run(["cp", flags, os.path.join(self.path, name), to], check=True)
        return to

    def check(self, path, *flags):
        done = subprocess.run([self.binary, "check", *flags, path], capture_output=True, timeout=120, check=False)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


class Verdict:
    """What a server on a damaged copy does with everything in it."""

    def __init__(self, stock, path):
        self.stock, self.path = stock, path
        self.wrong, self.missing, self.unexplained = [], {}, []
        self.lost_events, self.listing_short = set(), False
        self.refused = None                         # the log, when the start is refused

    def start(self):
        self.server = self.stock.server(self.path)
        open(self.server.log_path, "wb").close()
        self.server.spawn()
        wait_for(lambda: self.server.process.poll() is not None or self.answers(), 30, "a start, or its refusal")
        code = self.server.process.poll()
        if code is not None:
            self.server.process = None
            self.refused = self.server.log()
            if code != REFUSED:
                self.wrong.append(f"the start ended with {code}: {self.refused[-600:]}")
        return self.refused is None

    def answers(self):
        try:
            return self.server._ready()
        except AssertionError:                      # it ended meanwhile
            return False

    def read(self, bucket, key, wanted):
        """None: right. Else what came instead."""
        try:
            with self.server.raw(timeout=60) as c:
                reply = self.server.s3.get(bucket, key, conn=c)
        except Exception as e:                      # noqa: BLE001 - the connection closed short of its length
            return f"closed: {type(e).__name__}"
        if reply.status == 200:
            if reply.body == wanted:
                return None
            if reply.body in self.stock.older.get((bucket, key), ()):
                return "older"
            self.wrong.append(f"{bucket}/{key}: 200 with wrong bytes")
            return "wrong"
        return str(reply.status)

    def range(self, bucket, key, first, last):
        """The bytes of a range, or None when it is refused or cut."""
        try:
            with self.server.raw(timeout=60) as c:
                reply = self.server.s3.get(bucket, key, [("Range", f"bytes={first}-{last}")], conn=c)
        except Exception:                           # noqa: BLE001 - closed short of its length
            return None
        return reply.body if reply.status == 206 else None

    def count_damaged(self):
        """As the metrics say."""
        reply = self.server.s3.request("GET", "/minio/v2/metrics/node", sign=False)
        found = re.search(rb"drive_damaged_reads_total\S* (\d+)", reply.body)
        return int(found[1]) if found else 0

    def look(self):
        """Every object, and the listing."""
        for (bucket, key), wanted in self.stock.objects.items():
            problem = self.read(bucket, key, wanted)
            if problem:
                self.missing[bucket, key] = problem
        self.listed = {b: self.listing(b) for b in BUCKETS}

    def listing(self, bucket):
        reply = self.server.s3.request("GET", f"/{bucket}?list-type=2")
        return set(re.findall(r"<Key>([^<]+)</Key>", reply.body.decode())) if reply.status == 200 else None

    def drained(self):
        target = Admin(self.server).target("1")
        return target["status"] == "online" and target["queueLength"] == 0

    def hear(self, path_events):
        """Starts the receiver and waits until every event has come, or nothing waits any more, or the log says why not."""
        receiver = Receiver(port=self.stock.receiver.port)
        receiver.start()
        try:
            def all_here():
                over = SAID[0] in self.server.log() or self.drained()       # then what is to come has come
                here = {tuple(p.json["Key"].split("/", 1)) for p in receiver.snapshot()}
                self.lost_events = path_events - here
                return over or not self.lost_events
            try:
                wait_for(all_here, 15, "every event, or a word about it")
            except AssertionError:
                pass
            if self.lost_events and not any(words in self.server.log() for words in SAID):
                self.unexplained.append(f"{len(self.lost_events)} events never came and the log says nothing")
            self.sequencers = [p.sequencer for p in receiver.snapshot()]
        finally:
            receiver.stop()

    def stop(self):
        if self.server.process is not None:
            self.server.kill()
