# SPDX-License-Identifier: Apache-2.0
"""Targets that cannot be reached, and what becomes of their backlog: it fills the disk, comes to queue_limit, or stays while
its target is removed and comes back."""
import os
import subprocess
import threading
import time
from errno import EIO, ENOSPC

from support.admin import Admin, sample, samples
from support.receiver import Receiver, webhook_env
from support.redis import Redis, redis_env
from support.s3raw import arn, key_path, rule
from support.server import Server
from support.wait import wait_for

from torture.fault import CREATE, EVER, SYNC, WRITE, Fault
from torture.row import Row

BUCKET = "backlog"
EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
PUBLIC = {"MINIO_PROMETHEUS_AUTH_TYPE": "public"}


class Disk:
    """A small file system of its own."""

    def __init__(self, path, size):
        self.path = path
        os.makedirs(path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", path], capture_output=True, check=False)
        self.mounted = done.returncode == 0

    def free(self):
        s = os.statvfs(self.path)
        return s.f_bavail * s.f_frsize

    def release(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=False)


class Writer(threading.Thread):
    """Puts and removes keys of its own until one is refused and so many more (there may be room again when rows have been
    written out); remembers what was acknowledged, in order."""

    def __init__(self, server, index, limit, metadata=1800, body=0, patience=0):
        super().__init__(daemon=True)
        self.server, self.index, self.limit, self.body = server, index, limit, body
        self.metadata = "m" * metadata
        self.acked, self.refused, self.broken = [], None, None
        self.patience, self.pause = patience, threading.Event()
        self.state = {}

    def run(self):
        try:
            with self.server.raw(timeout=60) as conn:
                refused = 0
                for i in range(self.limit):
                    if self.one(conn, i):
                        continue
                    refused += 1
                    if refused > self.patience:
                        return
                    self.pause.wait(0.05)
        except Exception as e:                          # noqa: BLE001 - told by the row
            self.broken = repr(e)

    def one(self, conn, i):
        key, number, gone = f"{self.index}/{i % 500}", f"{self.index}-{i}", i % 7 == 6
        pairs = [("User-Agent", number)] + ([] if gone else [("x-amz-meta-text", self.metadata)])
        body = b"" if gone else (number.encode() * self.body)[:self.body]
        reply = self.server.s3.request("DELETE" if gone else "PUT", key_path(BUCKET, key), pairs, body, conn=conn)
        if reply.status not in (200, 204):
            if self.refused is None or reply.status != 507:
                self.refused = (reply.status, reply.code, key, number)
            return False
        self.acked.append((key, number))
        self.state[key] = None if gone else body
        return True


def write(server, writers, limit, **kwargs):
    ws = [Writer(server, i, limit, **kwargs) for i in range(writers)]
    for w in ws:
        w.start()
    for w in ws:
        w.join()
    return ws


def number_of(record):
    return record["source"]["userAgent"]


def check_delivered(ctx, what, ws, heard, more=()):
    """Each acknowledged change once at least, in order of its key; nothing else. heard: (key, number) as they came."""
    acked = [a for w in ws for a in w.acked] + list(more)
    wanted, first = set(acked), {}
    for place, item in enumerate(heard):
        first.setdefault(item, place)
    lost = [a for a in acked if a not in first]
    ctx.add(events_lost=len(lost), repeats=len(heard) - len(first))
    if lost:
        ctx.problem(f"{what}: {len(lost)} of {len(acked)} events never came, such as {lost[:5]}")
    invented = [h for h in first if h not in wanted]
    if invented:
        ctx.problem(f"{what}: delivered, but never acknowledged: {invented[:5]}")
    disorder = 0
    for w in ws:
        by_key = {}
        for key, number in w.acked:
            by_key.setdefault(key, []).append(first.get((key, number), -1))
        disorder += sum(places != sorted(places) for places in by_key.values())
    ctx.add(disorder=disorder)
    if disorder:
        ctx.problem(f"{what}: {disorder} keys had their first deliveries in another order than their changes")


def check_objects(ctx, server, ws):
    lost = []
    with server.raw(timeout=60) as conn:
        for w in ws:
            for key, body in w.state.items():
                reply = server.s3.get(BUCKET, key, conn=conn)
                if reply.status != (404 if body is None else 200) or body is not None and reply.body != body:
                    lost.append((key, reply.status))
    ctx.add(objects_lost=len(lost))
    if lost:
        ctx.problem(f"{len(lost)} objects are not what was acknowledged, such as {lost[:5]}")


def from_redis(redis, key):
    out = []
    for item in redis.list(key):
        out.append((item.record["s3"]["object"]["key"].replace("%2F", "/"), number_of(item.record)))
    return out


def from_posts(receiver):
    return [(p.key.partition("/")[2], number_of(p.record)) for p in receiver.delivered()]


def metrics(server):
    return samples(server.s3.request("GET", "/minio/v2/metrics/cluster", sign=False).body.decode())


# -- the disk is filled --------------------------------------------------------------------------------

TARGETS = ("a", "b", "c", "d")


def filled(size, writers):
    def run(ctx):
        for number, _ in ctx.rounds():
            disk = Disk(f"{ctx.directory}/{number}", size)
            redis = Redis(f"{ctx.directory}/redis{number}", durable=False)
            server = None
            try:
                if not disk.mounted:
                    ctx.note("mounting a tmpfs is not permitted here: the row was not run")
                    return
                env = dict(PUBLIC)
                for t in TARGETS:
                    env.update(redis_env(redis, t, key=t, format="access"))
                server = Server(f"{disk.path}/data", env=env, log=f"{ctx.directory}/{number}.log", binary_path=ctx.binary)
                fill_and_drain(ctx, disk, server.start(), redis, writers)
            except AssertionError as e:
                ctx.problem(f"{e}; log: {server.log()[-1500:] if server else ''}")
            finally:
                if server:
                    server.kill()
                redis.kill()
                disk.release()
    return run


def fill_and_drain(ctx, disk, server, redis, writers):
    s3 = server.s3
    s3.make_bucket(BUCKET)
    assert s3.set_rules(BUCKET, *(rule(arn(t, "redis"), *EVENTS) for t in TARGETS)).status == 200
    begun = time.monotonic()
    ws = write(server, writers, 1_000_000, body=200, patience=30)
    acked = sum(len(w.acked) for w in ws)
    ctx.add(acked=acked)
    ctx.log(f"{acked} changes in {time.monotonic() - begun:.0f} s, {disk.free() >> 20} MiB are left")
    for w in ws:
        assert w.broken is None, f"a writer ended with {w.broken}"
        assert w.refused[:2] == (507, "XMinioStorageFull"), f"the first refusal is {w.refused}"
    more = still_works(server, ws)
    assert "full up to its reserve" in server.log(), "the log does not say that the disk is full"
    redis.start()
    begun = time.monotonic()
    admin = Admin(server)
    wait_for(lambda: all(admin.target(t, "redis")["queueLength"] == 0 for t in TARGETS), 120, "everything to be delivered")
    ctx.log(f"delivered in {time.monotonic() - begun:.1f} s, {disk.free() >> 20} MiB are left")
    wait_for(lambda: s3.put(BUCKET, "late", b"l" * 200, headers=[("User-Agent", "late")]).status == 200, 60, "space to come back")
    ctx.recovery(time.monotonic() - begun)
    ctx.log(f"PUT is taken again, {disk.free() >> 20} MiB are left")
    more.append(("late", "late"))
    wait_for(lambda: admin.target("d", "redis")["queueLength"] == 0, 30, "the last event to be delivered")
    server.stop()
    server.start()
    check_objects(ctx, server, ws)
    for t in TARGETS:
        check_delivered(ctx, f"target {t}", ws, from_redis(redis, t), more)
    server.stop()


def still_works(server, ws):
    """On a full disk: what adds no data is taken. The deletes that were."""
    s3, more = server.s3, []
    for w in ws:
        keys = [k for k, body in w.state.items() if body is not None][:10]
        for key in keys:
            reply = s3.delete(BUCKET, key, headers=[("User-Agent", f"full-{key}")])
            assert reply.status == 204, f"a DELETE on a full disk is answered {reply}"
            w.acked.append((key, f"full-{key}"))
            w.state[key] = None
        key = next(k for k, body in w.state.items() if body is not None)
        assert s3.get(BUCKET, key).body == w.state[key], f"{key} cannot be read on a full disk"
    reply = Admin(server).sealed("PUT", "set-config-kv", "notify_webhook:probe endpoint=http://127.0.0.1:1/ enable=off")
    assert reply.status == 200, f"a change of the settings on a full disk is answered {reply}"
    assert s3.request("GET", "/minio/health/ready", sign=False).status == 200
    # What was written twice for a moment may have made room again; it is full or taken, nothing else.
    for i in range(2000):
        reply = s3.put(BUCKET, f"more/{i}", b"x" * 200, headers=[("User-Agent", f"more-{i}")])
        if reply.status != 200:
            assert (reply.status, reply.code) == (507, "XMinioStorageFull"), f"a PUT on a full disk is answered {reply}"
            break
        more.append((f"more/{i}", f"more-{i}"))
    return more


# -- the folder that backlogs move to is full --------------------------------------------------------------

def full_queue_dir(ctx):
    """The oldest events of a long outage are to move into files, and cannot. What failed is tried again every minute."""
    for number, _ in ctx.rounds():
        fault, receiver = Fault(f"{ctx.directory}/{number}.rules", ctx.build), Receiver()
        folder = f"{ctx.directory}/queue"
        env = dict(PUBLIC, **webhook_env(receiver, queue_dir=folder), **fault.env,
                   BELFRY_TEST_SEGMENTS="500:300:100")     # keep:after_ms:rows
        server = Server(f"{ctx.directory}/{number}", env=env, binary_path=ctx.binary).start()
        try:
            move_in_vain(ctx, server, fault, receiver, folder)
        except AssertionError as e:
            ctx.problem(f"{e}; log: {server.log()[-1500:]}")
        finally:
            server.kill()
            receiver.stop()


def files_in(folder):
    return [os.path.join(d, f) for d, _, files in os.walk(folder) for f in files]


def move_in_vain(ctx, server, fault, receiver, folder):
    server.s3.make_bucket(BUCKET)
    assert server.s3.set_rules(BUCKET, rule(arn("1"), *EVENTS)).status == 200
    fault.arm(CREATE, f"{folder}/*", ENOSPC, times=EVER)
    ws = write(server, 4, 700, metadata=10)
    ctx.add(acked=sum(len(w.acked) for w in ws))
    for op, error in ((CREATE, ENOSPC), (WRITE, ENOSPC), (SYNC, EIO)):
        fault.clear()
        rule_number = fault.arm(op, f"{folder}/*", error, times=EVER)
        wait_for(lambda n=rule_number: fault.hits(n) >= 1, 90, f"a move to fail with {error}")
        ready = server.s3.request("GET", "/minio/health/ready", sign=False)
        assert ready.status == 200, f"the store refuses writes because queue_dir failed: {ready}"
        reply = server.s3.put(BUCKET, "meanwhile", b"x", headers=[("User-Agent", "meanwhile")])
        assert reply.status == 200, f"a PUT is answered {reply}"
    fault.clear()
    wait_for(lambda: files_in(folder), 90, "the backlog to move when there is room")
    assert "queue" in server.log(), "the log does not tell of it"
    server.kill()
    server.start()
    receiver.start()
    drained(server)
    wait_for(lambda: not files_in(folder), 30, "the files to be removed")
    check_delivered(ctx, "queue_dir", ws, from_posts(receiver), [("meanwhile", "meanwhile")])
    check_objects(ctx, server, ws)


# -- queue_limit ----------------------------------------------------------------------------------------

LIMIT = 500


def limited(full):
    def run(ctx):
        for number, _ in ctx.rounds():
            receiver = Receiver()
            env = dict(PUBLIC, **webhook_env(receiver, queue_limit=LIMIT, queue_full=full))
            server = Server(f"{ctx.directory}/{number}", env=env, binary_path=ctx.binary).start()
            try:
                server.s3.make_bucket(BUCKET)
                assert server.s3.set_rules(BUCKET, rule(arn("1"), *EVENTS)).status == 200
                (drop if full == "drop" else reject)(ctx, server, receiver)
            except AssertionError as e:
                ctx.problem(f"{e}; log: {server.log()[-1500:]}")
            finally:
                server.kill()
                receiver.stop()
    return run


def drained(server):
    wait_for(lambda: Admin(server).target("1")["queueLength"] == 0, 60, "the backlog to be delivered")


def drop(ctx, server, receiver):
    ws = write(server, 4, 300, metadata=10)
    acked = [a for w in ws for a in w.acked]
    ctx.add(acked=len(acked))
    assert len(acked) == 1200, f"a write was refused: {[w.refused or w.broken for w in ws]}"
    dropped = len(acked) - LIMIT
    target, found = Admin(server).target("1"), metrics(server)
    counted = sample(samples(server.s3.request("GET", "/minio/metrics/v3/notification", sign=False).body.decode()),
                     "minio_notification_events_skipped_total")
    assert target["queueLength"] == LIMIT, f"{target['queueLength']} are queued"
    assert target["dropped"] == dropped, f"info counts {target.get('dropped')} dropped events of {dropped}"
    assert dropped in (counted, sample(found, "minio_notify_events_skipped_total")), f"the metrics count {counted} of {dropped}"
    assert "was dropped: the queue holds" in server.log(), "the log does not tell of dropped events"
    receiver.start()
    drained(server)
    heard = from_posts(receiver)
    ctx.add(events_lost=max(0, LIMIT - len(set(heard))))
    assert len(set(heard)) == LIMIT, f"{len(set(heard))} of {LIMIT} queued events came"
    check_delivered(ctx, "drop", kept(ws, set(heard)), heard)
    check_objects(ctx, server, ws)


def kept(ws, heard):
    """The writers, but for what was dropped: the oldest are kept."""
    for w in ws:
        queued = [a for a in w.acked if a in heard]
        assert queued == w.acked[:len(queued)], "an event was dropped before an older one of the same writer"
        w.acked = queued
    return ws


def reject(ctx, server, receiver):
    ws = write(server, 4, 300, metadata=10)
    acked = [a for w in ws for a in w.acked]
    ctx.add(acked=len(acked))
    assert len(acked) == LIMIT, f"{len(acked)} writes were taken: {[w.refused or w.broken for w in ws]}"
    refused = {w.refused[:2] for w in ws}
    assert refused == {(503, "SlowDown")}, f"refused with {refused}"
    check_objects(ctx, server, ws)                      # what was refused has left the object as it was
    receiver.start()
    drained(server)
    check_delivered(ctx, "reject", ws, from_posts(receiver))
    assert server.s3.put(BUCKET, "again", b"x", headers=[("User-Agent", "again")]).status == 200


# -- a target goes and comes back --------------------------------------------------------------------------

def removed(ctx):
    for number, _ in ctx.rounds():
        receivers = {"env": Receiver(), "set": Receiver()}
        server = Server(f"{ctx.directory}/{number}", env=webhook_env(receivers["env"], "env"), binary_path=ctx.binary).start()
        try:
            go_and_come_back(ctx, server, receivers)
        except AssertionError as e:
            ctx.problem(f"{e}; log: {server.log()[-1500:]}")
        finally:
            server.kill()
            for r in receivers.values():
                r.stop()


def change(server, call, text):
    reply = Admin(server).sealed("DELETE" if call == "del-config-kv" else "PUT", call, text)
    assert reply.status == 200, reply


def queued(server, name):
    return (Admin(server).target(name) or {}).get("queueLength")


def go_and_come_back(ctx, server, receivers):
    setting = f"notify_webhook:set endpoint={receivers['set'].url} enable=on"
    change(server, "set-config-kv", setting)
    server.s3.make_bucket(BUCKET)
    both = [rule(arn(t), *EVENTS) for t in receivers]
    assert server.s3.set_rules(BUCKET, *both).status == 200
    ws = write(server, 4, 150, metadata=10)
    acked = sum(len(w.acked) for w in ws)
    ctx.add(acked=acked)
    change(server, "del-config-kv", "notify_webhook:set")
    assert queued(server, "set") == acked, f"of a removed target info shows {Admin(server).target('set')}"
    assert Admin(server).target("set")["status"] == "off"
    # what happens meanwhile is not for it
    assert server.s3.put(BUCKET, "meanwhile", b"x", headers=[("User-Agent", "meanwhile")]).status == 200
    env = server.env
    server.stop()
    server.env, log = {}, len(server.log())
    server.start()
    for t in receivers:
        wanted = acked + (t == "env")
        assert queued(server, t) == wanted, f"{queued(server, t)} of {wanted} events of {t} are left after the restart"
        assert f"{wanted} events are queued for webhook:{t}" in server.log()[log:] or \
            f"{wanted} events are queued for {t}:webhook" in server.log()[log:], f"the start does not tell of {t}'s backlog"
    for r in receivers.values():
        r.start()
    change(server, "set-config-kv", setting)
    wait_for(lambda: queued(server, "set") == 0, 30, "the re-added target's backlog to be delivered")
    server.stop()
    server.env = env
    server.start()
    wait_for(lambda: queued(server, "env") == 0, 30, "the backlog of the target in the environment to be delivered")
    check_delivered(ctx, "removed by mc admin config", ws, from_posts(receivers["set"]))
    check_delivered(ctx, "removed from the environment", ws, from_posts(receivers["env"]), [("meanwhile", "meanwhile")])
    check_objects(ctx, server, ws)


ROWS = [
    Row("disk-full", "disk filled by a backlog", "before anything fails, new data is answered 507 XMinioStorageFull; deletes, "
        "settings, reads and senders go on; when the target is back everything is delivered, space comes back and PUTs are "
        "taken again", filled(400, 6), least=60, once=60, short=False),
    Row("queue-dir-full", "no space, failed syncs in queue_dir", "the events stay in the store and are moved later; writes are "
        "taken all the time; nothing is lost, repeated or left behind", full_queue_dir, least=260, once=260, short=False),
    Row("queue-drop", "backlog at queue_limit, drop", "what is beyond the limit is dropped, counted in info, metrics and log; "
        "every write is taken; the rest is delivered in order", limited("drop"), share=0.3, least=3),
    Row("queue-reject", "backlog at queue_limit, reject", "the write is answered 503 SlowDown, object and event are both absent; "
        "what was queued is delivered in order", limited("reject"), share=0.3, least=3),
    Row("target-removed", "target removed and re-added", "its backlog stays, is shown in info and at the start, and is delivered "
        "in order when the target is back", removed, share=0.3, least=4),
]
