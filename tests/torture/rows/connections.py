# SPDX-License-Identifier: Apache-2.0
"""Many connections that do nothing, or next to nothing, beside those that work."""
import os
import stat
import time

from support.certs import Authority
from support.s3raw import key_path
from support.server import Server
from support.wait import SCALE, wait_for
from torture import instruments
from torture.crowd import Crowd
from torture.row import Row

BUCKET = "crowd"
IDLE, DRIPPING, TLS_IDLE = 1500, 100, 200
LIMIT_S = {"idle": 120, "head": 30, "body": 60}         # docs/running.md
SHORT_S = {"idle": 6, "head": 4, "body": 5}
TLS_S = 10                                              # of a handshake; not to be shortened
LATE_S = 3.0                                            # how much later than that a connection may end
SLOWER, FLOOR_US = 2.5, 4000                            # p99 with them against without: the factor, and what is no difference
IDLE_BYTES, TLS_BYTES = 8 << 10, 64 << 10               # of the server's memory, for an idle connection
FILES = 512                                             # descriptors of the server whose limit is reached


class Connections:
    def __init__(self, ctx, directory):
        self.ctx, self.directory = ctx, directory
        self.full = ctx.seconds >= 200
        self.limits = LIMIT_S if self.full else SHORT_S
        env = {} if self.full else {
            "BELFRY_TEST_TIME_LIMITS_MS": ",".join(str(1000 * SHORT_S[k]) for k in ("idle", "head", "body"))}
        certs = os.path.join(directory, "certs")
        os.makedirs(certs)
        self.authority = Authority(os.path.join(directory, "ca"))
        self.authority.issue("server", into=(os.path.join(certs, "public.crt"), os.path.join(certs, "private.key")))
        self.server = Server(os.path.join(directory, "data"), env=env, binary_path=ctx.binary)
        self.tls = Server(os.path.join(directory, "tls"), env=env, args=["--certs-dir", certs], binary_path=ctx.binary,
                          scheme="https", tls=self.authority.client_context())
        self.few = self.limited()
        self.crowds = []

    def crowd(self, server):
        self.crowds.append(Crowd(server.host, server.port))
        self.crowds[-1].start()
        return self.crowds[-1]

    def connected(self, server, n):
        wait_for(lambda: server.open_files() >= n, 20, f"{n} connections to be accepted")

    # -- who does little ------------------------------------------------------------
    def gather(self, crowd, server, idle, dripping, tls=None):
        """idle: half of them never used, half after a request; dripping: half in the head, half in the body of a PUT.
        The bytes of the server's own memory that the idle ones took, each."""
        base, before = server.open_files(), instruments.memory(server)["RssAnon"]
        health = b"GET /minio/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        for i in range(idle):
            crowd.join_in("idle", health if i % 2 else b"", tls=tls)
        self.connected(server, base + idle)
        wait_for(lambda: all(m.got.startswith(b"HTTP/1.1 200") for m in crowd.of("idle")[1::2]), 20, "answers")
        each = (instruments.memory(server)["RssAnon"] - before) / idle
        head = b"GET /" + b"a" * 2000
        for i in range(dripping):
            if i % 2:
                whole = server.s3.build("PUT", key_path(BUCKET, f"slow{i}"), body=b"b" * 100_000)
                at = whole.index(b"\r\n\r\n") + 4
                crowd.join_in("body", whole[:at], whole[at:], tls)
            else:
                crowd.join_in("head", head[:1], head[1:], tls)
        self.connected(server, base + idle + dripping)
        return each

    def gather_handshakes(self, crowd):
        """TCP connections to the TLS port that say nothing, or the beginning of a handshake a byte a second."""
        hello = bytes.fromhex("16030100f8010000f40303") + bytes(200)
        for i in range(40):
            crowd.join_in("handshake", hello[:1] if i % 2 else b"", hello[1:] if i % 2 else b"")

    def judge_ends(self, crowd, where):
        """Each was closed in its time, with a reason where it had begun to ask for something."""
        limits = dict(self.limits, handshake=TLS_S)
        kinds = sorted({m.kind for m in crowd.members})
        end = max(limits[k] for k in kinds) * 1.3 + LATE_S * SCALE
        try:
            wait_for(lambda: crowd.there() == 0, end / SCALE, f"{crowd.there()} connections of {where} to be ended")
        except AssertionError as e:
            self.ctx.problem(str(e))
        for kind in kinds:
            ends = sorted(m.ended for m in crowd.of(kind) if m.ended is not None)
            if not ends:
                continue
            self.ctx.note(f"{where}, {kind}: {len(ends)} ended by the server after {ends[0]:.1f} to {ends[-1]:.1f} s "
                          f"(limit {limits[kind]} s)")
            if ends[0] < limits[kind] * 0.95:
                self.ctx.problem(f"{where}: a connection ({kind}) was ended after {ends[0]:.1f} s, before its time")
            if ends[-1] > limits[kind] * 1.3 + LATE_S * SCALE:
                self.ctx.problem(f"{where}: a connection ({kind}) was ended only after {ends[-1]:.1f} s")
        for m in crowd.members:
            if m.kind in ("head", "body") and not m.got.startswith(b"HTTP/1.1 4"):
                self.ctx.problem(f"{where}: a dripping {m.kind} was ended with {m.got[:80]!r} instead of an error")
                break

    # -- who works ------------------------------------------------------------------
    def p99(self, seconds, times):
        load = instruments.Load(self.ctx, self.server, BUCKET)
        found = []
        for i in range(times):
            r = load.run("mixed", 16, prefix="w/", keyspace=500, size=1024, seconds=seconds, rate=400, mix="45,25,5,25")
            self.ctx.add(acked=r["ok"])
            if r["transport_errors"] or any(s not in ("200", "204", "404") for s in r["status"]):
                self.ctx.problem(f"requests beside the crowd failed: {r}")
            found.append(r["latency_us"]["p99"])
        return found

    # -- too many -------------------------------------------------------------------
    def limited(self):
        """A server that may have FILES descriptors (and at first a quarter of them: it raises that itself)."""
        script = os.path.join(self.directory, "limited")
        with open(script, "w", encoding="ascii") as f:
            f.write(f'#!/bin/sh\nulimit -Sn {FILES // 4} && ulimit -Hn {FILES} && exec "{self.ctx.binary}" "$@"\n')
        os.chmod(script, stat.S_IRWXU)
        return Server(os.path.join(self.directory, "few"), binary_path=script)

    def too_many(self):
        """Connections until they are refused, each with a reply of a file that it does not read: two descriptors. Who was
        there goes on, the store too; the log says why; when they are gone, new ones are taken."""
        server = self.few.start()
        s3 = server.s3
        s3.make_bucket(BUCKET)
        assert s3.put(BUCKET, "file", os.urandom(8 << 20)).status == 200
        old, get = server.raw(), s3.build("GET", key_path(BUCKET, "file"))
        crowd = []
        try:
            refused = 0
            while refused < 20 and len(crowd) < 2 * FILES:
                c = server.raw()
                crowd.append(c)
                c.try_send(get)
                refused += bool(self.refused(c))
            taken = len(crowd) - refused
            self.ctx.note(f"with {FILES} descriptors: {taken} connections with a file each, then 503; "
                          f"{server.open_files()} descriptors in use")
            if refused < 20:
                self.ctx.problem(f"{len(crowd)} connections with {FILES} descriptors, and none was refused")
            for i in range(300):
                reply = s3.put(BUCKET, f"k{i}", os.urandom(30_000 if i % 3 else 300_000), conn=old)
                if reply.status != 200:
                    self.ctx.problem(f"a connection from before: PUT answered {reply}")
                    break
            log = server.log()
            if "the limit" not in log:
                self.ctx.problem("the log says nothing about the limit of connections")
            if "Too many open files" in log:
                self.ctx.problem(f"descriptors ran out: {[x for x in log.splitlines() if 'Too many open' in x][:2]}")
        finally:
            for c in crowd:
                c.close()
        wait_for(lambda: self.answers(server), 20, "a new connection to be served after the crowd has gone")
        old.close()
        server.stop()

    @staticmethod
    def refused(conn):
        """Whether it is told 503, or closed."""
        conn.sock.settimeout(5)
        data = conn.sock.recv(12)
        return not data or data.startswith(b"HTTP/1.1 503")

    @staticmethod
    def answers(server):
        try:
            return server.s3.head(BUCKET, "file").status == 200
        except Exception:                               # noqa: BLE001 - not yet, whatever it is
            return False

    # -- the end --------------------------------------------------------------------
    def shut_down(self):
        """SIGTERM with a crowd: who does nothing is closed at once, who drips a body has until the end of the time for
        requests (6 s)."""
        crowd = self.crowd(self.server)
        self.gather(crowd, self.server, 300, 40 if self.full else 0)
        began = time.monotonic()
        self.server.stop()
        took, bound = time.monotonic() - began, 9.0 if self.full else 3.0
        self.ctx.note(f"SIGTERM with {len(crowd.members)} connections open: ended after {took:.1f} s")
        if took > bound * SCALE:
            self.ctx.problem(f"the stop with {len(crowd.members)} connections open took {took:.1f} s")

    def run(self):
        seconds, times = (3.0, 5) if self.full else (0.8, 3)
        self.server.start().s3.make_bucket(BUCKET)
        self.tls.start().s3.make_bucket(BUCKET)
        crowd, private = self.crowd(self.server), self.crowd(self.tls)
        context = self.authority.client_context()
        self.p99(0.5, 1)
        alone = self.p99(seconds, times)
        each = self.gather(crowd, self.server, IDLE, DRIPPING)
        each_tls = self.gather(private, self.tls, TLS_IDLE, 20, context)
        if self.full:
            self.gather_handshakes(private)
        beside = self.p99(seconds, times)
        a, b = instruments.median(alone), instruments.median(beside)
        self.ctx.note(f"p99 at 400/s beside {len(crowd.members) + len(private.members)} connections: {b / 1e3:.1f} ms, "
                      f"alone {a / 1e3:.1f} ms; memory of an idle connection {each / 1024:.1f} KiB, with TLS "
                      f"{each_tls / 1024:.1f} KiB")
        if min(beside) > SLOWER * max(a, min(alone)) + FLOOR_US:
            self.ctx.problem(f"p99 beside the crowd: {beside} us, alone {alone}")
        if each > IDLE_BYTES:
            self.ctx.problem(f"an idle connection takes {each:.0f} bytes")
        if each_tls > TLS_BYTES:
            self.ctx.problem(f"an idle connection with TLS takes {each_tls:.0f} bytes")
        self.too_many()
        self.judge_ends(crowd, "plain")
        self.judge_ends(private, "TLS")
        self.shut_down()
        self.tls.stop()

    def close(self):
        for crowd in self.crowds:
            crowd.stop()
        for server in (self.server, self.tls, self.few):
            server.kill()


def connections(ctx):
    for number, _ in ctx.rounds():
        directory = os.path.join(ctx.directory, str(number))
        os.makedirs(directory)
        run = Connections(ctx, directory)
        try:
            run.run()
        finally:
            run.close()


ROWS = [Row("connections", "2,000 connections, most of them idle", "1,500 idle connections and 100 that send a byte a second "
            "(heads and bodies; 260 more with TLS) do not disturb those that work: their p99 stays within 2.5 times that of the "
            "same run without them; each is ended in its time (docs/running.md), the dripping ones with an error; an idle one "
            "takes less than 8 KiB, with TLS 64 KiB. Beyond what the limit of descriptors allows, new connections are told 503 "
            "and the log says so; those from before, and the store, go on. SIGTERM ends the server cleanly with all of them open",
            connections, share=4, least=12, timed=True)]
