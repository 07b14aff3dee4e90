# SPDX-License-Identifier: Apache-2.0
"""Calls that fail under a mixed load: syncs, writes, space, descriptors, memory, reads."""
import os
import resource
import signal
import time
from errno import EIO, EMFILE, ENOMEM, ENOSPC

from kill import chaos, verify
from kill.run import behave
from support.admin import Admin, sample, samples
from support.server import Server
from support.wait import wait_for

from torture.fault import ACCEPT, ALLOC, CREATE, EVER, OPEN, PROBE, READ, SHORT, SOCKET, SYNC, WRITE, Fault, Kind, fault_row
from torture.row import Row

LOG, SST, ROW_BLOBS, MANIFEST = "*/data/kv/*.log", "*/data/kv/*.sst", "*/data/kv/*.blob", "*/data/kv/MANIFEST-*"
BODY, BODY_FOLDER, QUEUE = "*/data/blobs/??/*", "*/data/blobs/??", "*/queue/*"


def health(run, path):
    return run.server.s3.request("GET", f"/minio/health/{path}", sign=False).status


def metric(run, name):
    reply = run.server.s3.request("GET", "/minio/v2/metrics/cluster", sign=False)
    return sample(samples(reply.body.decode()), name)


def refuses_writes(run, random):
    """After a failed sync or write: changes are refused until the restart, everything else goes on."""
    s3 = run.server.s3
    syncs = run.fault.seen(0)

    def refused():
        return s3.put("filler", "after", PROBE).status == 503
    wait_for(refused, 10, "writes to be refused")
    for what, reply in (("PUT", s3.put("filler", "after", b"x")), ("PUT of a file", s3.put("filler", "after", PROBE)),
                        ("DELETE", s3.delete("filler", "probe")),
                        ("PUT of a bucket", s3.request("PUT", "/new-bucket"))):
        assert (reply.status, reply.code) == (503, "SlowDownWrite"), f"{what} is answered {reply}"
    reply = Admin(run.server).sealed("PUT", "set-config-kv", "notify_webhook:probe endpoint=http://127.0.0.1:1/ enable=off")
    assert reply.status in (500, 503), f"a change of the settings is answered {reply}"
    reads_go_on(run, random)
    found = {p: health(run, p) for p in ("live", "ready", "cluster", "cluster/read")}
    assert found == {"live": 200, "ready": 503, "cluster": 503, "cluster/read": 200}, f"health says {found}"
    assert metric(run, "minio_cluster_drive_offline_total") == 1, "the metrics do not say that the store refuses writes"
    assert "until the server is" in run.log_since(), "the log does not say what to do"
    if run.kind.rules[0][0] == SYNC:
        assert run.fault.seen(0) == syncs, "what could not be synced was synced again"
    senders_go_on(run)


def reads_go_on(run, _):
    reply = run.server.s3.get("filler", "probe")
    assert reply.status == 200 and reply.body == PROBE, f"a GET is answered {reply}"
    assert run.server.s3.request("GET", "/filler?list-type=2").status == 200, "a list is refused"


def senders_go_on(run):
    """What is durable is delivered although nothing can be removed. It may come again after the restart."""
    run.receiver.behave = behave
    chaos.open_port(run.receiver)
    wait_for(lambda: not [op for op in verify.missing_events(run) if op.status == "acknowledged"], 60,
             "events to be delivered while the store refuses writes")


def goes_on(run, random):
    """One request fails, no more than that."""
    def put():
        return run.server.s3.put("filler", "after", PROBE)
    wait_for(lambda: put().status == 200, 10, "writes to go on")
    assert health(run, "ready") == 200
    reads_go_on(run, random)


def accepts_again(run, random):
    """Connections that found no descriptor wait and are accepted later, and the log says what to raise."""
    goes_on(run, random)
    if "cannot accept connections" in run.log_since():
        assert "Raise the limit of open files" in run.log_since(), "the log does not say what to do"


def unnoticed(run, random):
    goes_on(run, random)
    dead = [w.name for w in run.workers_now if not w.is_alive()]
    assert not dead, f"these workers have seen it: {dead}"


REFUSED, FULL = (503,), (503, 507)

SYNC_KINDS = [
    Kind("sync of the log", [(SYNC, LOG, EIO, 1)], REFUSED, refuses_writes),
    Kind("sync of a body", [(SYNC, BODY, EIO, 1)], REFUSED, refuses_writes, skip=5),
    Kind("sync of a folder of bodies", [(SYNC, BODY_FOLDER, EIO, 1)], REFUSED, refuses_writes, skip=5),
    Kind("sync of a table", [(SYNC, SST, EIO, 1)], REFUSED, refuses_writes, filler=True, skip=1),
    Kind("sync of row bodies", [(SYNC, ROW_BLOBS, EIO, 1)], REFUSED, refuses_writes, filler=True, skip=1),
    Kind("sync of the manifest", [(SYNC, MANIFEST, EIO, 1)], REFUSED, refuses_writes, filler=True, skip=1),
]
WRITE_KINDS = [
    Kind("write of the log", [(WRITE, LOG, EIO, 1)], REFUSED, refuses_writes),
    Kind("write of a body", [(WRITE, BODY, EIO, 1)], REFUSED, goes_on, skip=5),
    Kind("write of a table", [(WRITE, SST, EIO, 1)], REFUSED, refuses_writes, filler=True, skip=1),
    Kind("write of the manifest", [(WRITE, MANIFEST, EIO, 1)], REFUSED, refuses_writes, filler=True, skip=1),
]
SHORT_KINDS = [
    Kind("every write short", [(WRITE, "*/data/*", SHORT, EVER)], (), unnoticed),
    Kind("every read short", [(READ, "*/data/*", SHORT, EVER)], (), unnoticed),
]
SPACE_KINDS = [
    Kind("no space for the log", [(WRITE, LOG, ENOSPC, 1)], FULL, refuses_writes),
    Kind("no space for a body", [(WRITE, BODY, ENOSPC, 1)], FULL, goes_on, skip=5),
    Kind("no space when a body is synced", [(SYNC, BODY, ENOSPC, 1)], FULL, goes_on, skip=5),
    Kind("no space for a body's name", [(CREATE, BODY, ENOSPC, 1)], FULL, goes_on, skip=5),
    Kind("no space for a table", [(WRITE, SST, ENOSPC, 3)], FULL, refuses_writes, filler=True, skip=1),
    Kind("no space for row bodies", [(WRITE, ROW_BLOBS, ENOSPC, 3)], FULL, refuses_writes, filler=True, skip=1),
    Kind("no space in queue_dir", [(WRITE | CREATE | SYNC, QUEUE, ENOSPC, 3)], (), goes_on, must=False, skip=1),
]
DESCRIPTOR_KINDS = [
    Kind("EMFILE at accept", [(ACCEPT, "socket", EMFILE, 5)], (), accepts_again, must=False, skip=1),
    Kind("EMFILE at socket", [(SOCKET, "socket", EMFILE, 5)], (), goes_on, must=False, skip=1),
    Kind("EMFILE at a body", [(OPEN, BODY, EMFILE, 5)], (500, 503), goes_on, skip=5),
    Kind("EMFILE at a folder", [(OPEN, BODY_FOLDER, EMFILE, 2)], (500, 503), goes_on, skip=5),
    Kind("EMFILE at a table", [(OPEN, SST, EMFILE, 2)], (500, 503), None, filler=True, skip=1),
]
ENDS = (70, -signal.SIGABRT)
MEMORY_KINDS = [Kind(f"ENOMEM in {thread}", [(ALLOC, thread, ENOMEM, times)], (500, 503), None, must=False, dies=ENDS, skip=most,
                     filler=thread == "rocksdb:*")
                for thread, most, times in (("*", 20_000, 1), ("committer", 300, 1), ("sender", 2000, 1), ("http-*", 5000, 1),
                                            ("rocksdb:*", 200, 1), ("work-*", 400, 1), ("*", 3000, EVER - 1))]
READ_KINDS = [
    Kind("a body cannot be read", [(READ, BODY, EIO, 3)], (500,), goes_on, skip=20),
    Kind("a table cannot be read", [(READ, SST, EIO, 3)], (500, 503), None, filler=True, must=False),
    Kind("row bodies cannot be read", [(READ, ROW_BLOBS, EIO, 3)], (500, 503), None, filler=True, must=False),
]


LIMIT = 1024


def few_descriptors(ctx):
    """Every connection that is taken has a file open, and the store wants some as well."""
    for number, _ in ctx.rounds():
        server, crowd = Server(f"{ctx.directory}/{number}", binary_path=ctx.binary), []
        try:
            server.spawn()
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
            wait_for(server._ready, 20, "the server to be ready")       # noqa: SLF001
            s3, body = server.s3, os.urandom(8 << 20)
            s3.make_bucket("few")
            assert s3.put("few", "large", body).status == 200
            for _ in range(LIMIT + 100):
                crowd.append(server.raw(timeout=60))
                crowd[-1].try_send(s3.build("GET", "/few/large"))       # and does not read it
            kept = crowd.pop(0)
            assert kept.reply().body == body
            for i in range(1200):                                       # memtables are written out meanwhile
                kept.send(s3.build("PUT", f"/few/{i}", body=body[:32_000]))
                reply = kept.reply()
                assert reply.status == 200, f"PUT {i} is answered {reply}"
                ctx.add(acked=1)
            wait_for(lambda: server.open_files() > 200, 5, "files to be open")
            ctx.log(f"{server.open_files()} of {LIMIT} descriptors in use")
            for c in crowd:
                c.close()
            wait_for(lambda: s3.get("few", "large").body == body, 20, "everybody to be served again")
            server.restart()
            lost = [i for i in range(1200) if s3.get("few", str(i)).body != body[:32_000]]
            ctx.add(objects_lost=len(lost))
        except AssertionError as e:
            ctx.problem(f"{e}: {server.log()[-1500:]}")
        finally:
            server.kill()


def idle(ctx):
    """A flush fails while nobody writes any more."""
    for number, random in ctx.rounds():
        fault = Fault(f"{ctx.directory}/{number}.rules", ctx.build)
        server = Server(f"{ctx.directory}/{number}/data", env=fault.env, binary_path=ctx.binary).start()
        try:
            server.s3.make_bucket("filler")
            op = random.choice([SYNC, WRITE])
            rule = fault.arm(op, SST, EIO, 0, EVER)
            with server.raw(timeout=60) as conn:
                for i in range(4000):
                    if fault.hits(rule) or server.s3.put("filler", f"{i % 50}", os.urandom(32_000), conn=conn).status != 200:
                        break
            began = time.monotonic()
            wait_for(lambda: server.s3.request("GET", "/minio/health/ready", sign=False).status == 503, 5, "health to say so")
            ctx.recovery(time.monotonic() - began)
            wait_for(lambda: "until the server is" in server.log(), 1, "the log to say what to do")
        except AssertionError as e:
            ctx.problem(f"{e}: {server.log()[-1500:]}")
        finally:
            fault.clear()
            server.kill()


def row(name, fault, expected, kinds, per_run, least, **kwargs):
    return Row(name, fault, expected, fault_row(kinds, per_run), least=least, **kwargs)


ROWS = [
    row("sync-eio", "fsync fails once",
        "the batch at hand is answered 503 SlowDownWrite, and so is every change until the restart; nothing is synced again; "
        "reads, lists and deliveries of what is durable go on; log, health and metrics say so; after the restart object and "
        "event are both there or both not", SYNC_KINDS, 3, 8),
    row("write-eio", "write fails once",
        "of the log, a table or the manifest: as a failed sync; of a body: that request is answered 503, nothing else",
        WRITE_KINDS, 2, 6, short=False),
    row("short-writes", "short writes and reads", "nobody notices", SHORT_KINDS, 2, 6, short=False),
    row("enospc", "no space in one place", "log and tables: as a failed sync; a body: 507, nothing else; queue_dir: nothing",
        SPACE_KINDS, 3, 8),
    row("emfile", "no descriptors", "connections are accepted later, that request is answered 500 or 503, the log says what to "
        "raise; a table that cannot be made or opened: as a failed write", DESCRIPTOR_KINDS, 2, 6, short=False),
    Row("idle-flush", "a flush fails, nobody writes", "health, metrics and log say within a second or two that writes are refused",
        idle, share=0.3, least=4),
    Row("few-descriptors", "each connection with a file open, 1,024 descriptors", "connections beyond the limit are refused; "
        "those that are there are served, and the store has descriptors enough to go on", few_descriptors, least=10, short=False),
    row("enomem", "no memory", "the process ends with a message or that request fails; after the restart as after a SIGKILL",
        MEMORY_KINDS, 3, 8, short=False),
    row("read-eio", "reads fail", "that object is answered 500 or its connection closed short of its length, never wrong bytes; "
        "everything else is served; a table that cannot be read when rows are compacted: as a failed write", READ_KINDS, 2, 6, short=False),
]
