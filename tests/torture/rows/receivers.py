# SPDX-License-Identifier: Apache-2.0
"""Receivers that misbehave: one kind of it in each round, on a webhook or a Redis, beside a receiver that behaves."""
import collections
import os
import shutil
import signal
import socket
import threading
import time

from support.admin import Admin
from support.certs import Authority
from support.receiver import (CLOSE_MID_BODY, CLOSE_MID_HEAD, CLOSE_UNANSWERED, GARBAGE, Answer, webhook_env)
from support.redis import Redis, redis_env
from support.s3raw import arn, rule
from support.server import Server
from support.wait import wait_for
from torture.fault import library
from torture.misbehave import BadReceiver, Raw, Wire
from torture.row import Row

BUCKET, KEYS, WORKERS = "events", 4, 3
HANGING = "w0k0"                                        # the key that some faults are about
IN_FLIGHT = {"webhook": 16, "redis": 256}


class Fault:
    """One kind of misbehaviour.

    kind       webhook or redis; name, expected: written before it is run
    begin, end functions of the Stage; what end leaves must let everything through
    own_way    the good and the other keys of this very target go on while the fault lasts
    dead       whether events may end as dead letters: none, or of which keys
    repeats    how many accepted events may come once more, as a multiple of what is in flight
    wait       seconds after the end until everything has to be there; slow: only in the long form
    check      function of the Stage, in the end: what else must be, as a text when it is not; pause: seconds between two
               writes of a client; hold: seconds that it lasts, where that matters
    """

    def __init__(self, kind, name, expected, begin, end, own_way=False, dead=None, repeats=2, wait=30, slow=False, setup=None,
                 check=None, pause=0.008, hold=None):
        self.kind, self.name, self.expected, self.begin, self.end = kind, name, expected, begin, end
        self.own_way, self.dead, self.repeats, self.wait, self.slow = own_way, dead, repeats, wait, slow
        self.setup, self.check, self.pause, self.hold = setup, check, pause, hold


class Putter(threading.Thread):
    """Overwrites its own few keys, one request after the other; every one has to be answered 200."""

    def __init__(self, stage, index):
        super().__init__(daemon=True)
        self.stage, self.keys = stage, [f"w{index}k{i}" for i in range(KEYS)]
        self.acked, self.problems, self.slowest = collections.Counter(), [], 0.0

    def run(self):
        n, s3 = 0, self.stage.server.s3
        with self.stage.server.raw(timeout=30) as conn:
            while not self.stage.stop.wait(self.stage.fault.pause):
                key, n, begin = self.keys[n % KEYS], n + 1, time.monotonic()
                try:
                    reply = s3.put(BUCKET, key, b"x" * 100, conn=conn)
                except Exception as e:                  # noqa: BLE001 - the server is up all the time
                    self.problems.append(f"PUT of {key}: {type(e).__name__}: {e}")
                    return
                self.slowest = max(self.slowest, time.monotonic() - begin)
                if reply.status != 200:
                    self.problems.append(f"PUT of {key}: {reply}")
                self.acked[key] += 1


class Stage:
    """A server with two targets, 'bad' and 'good', writers, and what the receivers got."""

    def __init__(self, ctx, directory, fault):
        self.ctx, self.fault, self.directory = ctx, fault, directory
        os.makedirs(directory, exist_ok=True)
        self.stop = threading.Event()
        self.good = BadReceiver().start()
        self.bad = self.redis = self.wire = self.authority = None
        self.stored = None                              # settings of 'bad' that are stored, not in the environment
        self.env, self.args = webhook_env(self.good, "good"), []
        self.host, self.moved = "127.0.0.1", None       # of 'bad', for the server; where it may move
        if fault.kind == "webhook":
            self.bad = BadReceiver()
            self.wire = Wire(self.bad.port).start()
        else:
            self.redis = Redis(f"{directory}/redis", "--lua-time-limit", "50", durable=False).start()
            self.wire = Wire(self.redis.port).start()
        if fault.setup:
            fault.setup(self)
        if self.bad:
            self.bad.start()
        if self.stored is None and self.bad:
            self.env.update(webhook_env(f"{'https' if self.bad.tls else 'http'}://{self.host}:{self.wire.port}/hook", "bad"))
        elif self.stored is None:
            self.env.update(redis_env(f"{self.host}:{self.wire.port}", "bad", format="access"))
        self.server = Server(f"{directory}/store", env=self.env, args=self.args, binary_path=ctx.binary)
        self.writers = []

    def start(self):
        self.server.start()
        self.server.s3.make_bucket(BUCKET)
        if self.stored is not None:
            self.set_config(self.stored)
        reply = self.server.s3.set_rules(BUCKET, rule(arn("bad", self.fault.kind), "s3:ObjectCreated:*"),
                                         rule(arn("good"), "s3:ObjectCreated:*"))
        assert reply.status == 200, reply
        self.writers = [Putter(self, i) for i in range(WORKERS)]
        for w in self.writers:
            w.start()

    def close(self):
        self.stop.set()
        for w in self.writers:
            w.join(10)
        self.server.kill()
        for r in (self.bad, self.good):
            if r is not None:
                r.behave_well()
                r.stop()
        for wire in filter(None, (self.wire, self.moved)):
            wire.stop()
        if self.redis is not None:
            self.redis.kill()

    # -- what was acknowledged, what came ------------------------------------------
    def acked(self):
        total = collections.Counter()
        for w in self.writers:
            total.update(w.acked)
        return total

    def came(self, receiver):
        """(key, sequencer) in the order in which they were accepted."""
        if receiver is None:
            return [(i.key.partition("/")[2], i.sequencer) for i in self.redis.list()]
        return [(p.key.partition("/")[2], p.sequencer) for p in receiver.delivered()]

    def missing(self, receiver, wanted, dead=()):
        """Key -> how many of its events are not there."""
        have = collections.Counter(k for k, _ in set(self.came(receiver)))
        return {k: n - have[k] for k, n in wanted.items() if k not in dead and have[k] < n}

    def wait_all(self, receiver, wanted, seconds, what, dead=()):
        try:
            wait_for(lambda: not self.missing(receiver, wanted, dead), seconds, what)
            return True
        except AssertionError:
            self.ctx.problem(f"{self.fault.kind}, {self.fault.name}: {what}: missing {self.missing(receiver, wanted, dead)}; "
                             f"{self.target('bad').get('error') or self.server.log()[-600:]}")
            return False

    def target(self, name):
        try:
            return Admin(self.server).target(name, self.fault.kind if name == "bad" else "webhook") or {}
        except Exception as e:                          # noqa: BLE001 - only for the text of a problem
            return {"error": str(e)}

    def set_config(self, text):
        reply = Admin(self.server).sealed("PUT", "set-config-kv", text)
        assert reply.status == 200, reply

    def dead_letters(self):
        return sum(1 for line in self.server.log().splitlines() if "becomes a dead letter" in line)


# --- how webhooks misbehave ---------------------------------------------------------

def answers(make):
    """A fault of what is answered: begin and end. make(post) -> action, or None for a good answer."""
    def begin(s):
        s.bad.misbehave(make)

    def end(s):
        s.bad.behave_well()
        s.bad.cut()
    return begin, end


def wired(mode):
    def begin(s):
        s.wire.mode = mode

    def end(s):
        s.wire.mode = "pass"
        if mode not in ("drop", "late", "drip"):
            s.wire.cut()
    return begin, end


def refuse(s):
    s.wire.refuse()


def accept(s):
    s.wire.start()


def hold_accept(s):
    s.bad.over.clear()
    s.bad.hold_accept = True
    s.bad.cut()


def let_accept(s):
    s.bad.behave_well()
    s.bad.cut()


def stall(sock, post, over):
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    over.wait(120)
    return False


def hang(sock, post, over):
    over.wait(120)
    return False


def only(key, action):
    return lambda post: action if post.key.endswith("/" + key) else None


def raw(data, accepted=True, keep=True):
    """Says these bytes. A whole reply in it that means 2xx: accepted."""
    def say(sock, post, over):
        sock.sendall(data)
        return keep
    return Raw(say, accepted)


def unasked(sock, post, over):
    """A good answer, and another one a moment later, when the connection is idle."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    time.sleep(0.002)
    sock.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    return True


def drip_for_ever(sock, post, over):
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 100000:
        sock.sendall(bytes([byte]))
        if over.wait(0.01):
            return False
    return False


OK_HEAD = b"HTTP/1.1 200 OK\r\n"
HUGE_BODY = OK_HEAD + b"Content-Length: 4000000\r\n\r\n" + b"z" * 4000000
MANY_HEADERS = OK_HEAD + b"".join(b"X-%d: %s\r\n" % (i, b"v" * 100) for i in range(5000)) + b"Content-Length: 0\r\n\r\n"
INFORM = b"HTTP/1.1 102 Processing\r\n\r\n" * 20000 + OK_HEAD + b"Content-Length: 0\r\n\r\n"


def hook(name, expected, fault, **kw):
    return Fault("webhook", name, expected, *fault, **kw)


def with_token(s):
    s.stored = "notify_webhook:bad endpoint=http://127.0.0.1:%d/hook auth_token=first" % s.wire.port
    s.token = "first"

    def check(post):
        return None if post.get("authorization") == "Bearer " + s.token else Answer(401)
    s.bad.fault = check


def new_token(s):
    s.token = "second"


def tell_token(s):
    s.set_config(s.stored.replace("first", "second"))


def with_tls(s):
    s.authority = Authority(f"{s.directory}/ca")
    certs = f"{s.directory}/certs"
    os.makedirs(certs + "/CAs")
    shutil.copy(s.authority.cert, certs + "/CAs/ours.crt")
    s.bad.tls = s.authority.server_context(*s.authority.issue("one"))
    s.args += ["--certs-dir", certs]


def renew(s):
    s.bad.tls = s.authority.server_context(*s.authority.issue("two"))
    s.bad.cut()


def replace_ca(s):
    s.other = Authority(f"{s.directory}/ca2", "another CA")
    s.bad.tls = s.other.server_context(*s.other.issue("two"))
    s.bad.cut()


def trust_new_ca(s):
    shutil.copy(s.other.cert, f"{s.directory}/certs/CAs/ours.crt")
    s.server.signal(signal.SIGHUP)


def nothing(s):
    del s


def with_short_deadline(s):
    """Events have to be answered within two seconds instead of a minute."""
    s.env["BELFRY_TEST_SEND_MS"] = "2000"


def softly(make):
    """As answers, but what is under way when it ends goes on undisturbed."""
    def begin(s):
        s.bad.fault = make

    def end(s):
        s.bad.fault = None
    return begin, end


def after(seconds):
    """A good answer so much later, whatever else is over by then."""
    def say(sock, post, over):
        time.sleep(seconds)
        sock.sendall(OK_HEAD + b"Content-Length: 0\r\n\r\n")
        return True
    return lambda post: Raw(say, True)


def repeated(s):
    """The deadline has struck: what came too late was sent again. The late answers count as deliveries too."""
    wait_for(lambda: all(p.answered for p in s.bad.snapshot()), 10, "the late answers")
    came = s.came(s.bad)
    return None if len(came) > len(set(came)) else "nothing was sent again, so the deadline did not strike"


# -- the address of its name changes

def by_name(s):
    """The target has a name, which the shim resolves to what a file says."""
    s.host, s.hosts = "receiver.test", f"{s.directory}/hosts"
    point(s, "127.0.0.1")
    s.env.update(LD_PRELOAD=library(s.ctx.build, "resolve.so"), BELFRY_TEST_HOSTS=s.hosts)


def by_name_soon(s):
    by_name(s)
    with_short_deadline(s)


def point(s, address):
    with open(s.hosts + ".new", "w", encoding="ascii") as f:
        f.write(address)
    os.replace(s.hosts + ".new", s.hosts)


def move(s):
    s.moved = Wire(s.wire.upstream, host="127.0.0.2", port=s.wire.port).start()
    point(s, "127.0.0.2")


def move_away(s):
    move(s)
    s.wire.refuse()


def move_and_hang(s):
    move(s)
    s.wire.mode = "drop"


def lose_name(s):
    point(s, "")
    s.wire.refuse()


def find_name(s):
    point(s, "127.0.0.1")
    s.wire.start()


def has_moved(s):
    return None if s.moved.connections else "nothing was sent to the new address"


KEPT = "kept and tried again; all there in the end, in order"
ALSO = "taken as delivered: the status line says so; " + KEPT
HOOKS = [
    hook("refuses", KEPT, (refuse, accept)),
    hook("hangs before it reads", KEPT, (hold_accept, let_accept)),
    hook("hangs after it read", KEPT, answers(lambda p: Raw(hang))),
    hook("hangs over one key", "only that key waits", answers(only(HANGING, Raw(hang))), own_way=True),
    hook("hangs in mid answer", KEPT, answers(lambda p: Raw(stall))),
    hook("drips its answer for ever", KEPT, answers(lambda p: Raw(drip_for_ever))),
    hook("drips its answer over one key", "only that key waits", answers(only(HANGING, Raw(drip_for_ever))), own_way=True),
    hook("reads nothing", KEPT, wired("hold-requests")),
    hook("closes unanswered", KEPT, answers(lambda p: CLOSE_UNANSWERED)),
    hook("closes in mid head", KEPT, answers(lambda p: CLOSE_MID_HEAD)),
    hook("closes in mid body", KEPT, answers(lambda p: CLOSE_MID_BODY)),
    hook("closes one key's", "only that key waits", answers(only(HANGING, CLOSE_UNANSWERED)), own_way=True),
    hook("answers garbage", KEPT, answers(lambda p: GARBAGE)),
    hook("answers twice", "the second answer counts for nothing; each event once", answers(lambda p: Answer(twice=True))),
    # The word may meet a request that is on its way already: its answer is not known then, each time.
    hook("answers unasked", "what was not asked for counts for nothing; repeats of what it met on the way, each time",
         answers(lambda p: Raw(unasked, True)), repeats=10),
    hook("answers late", "waited for, each event once", wired("late")),
    hook("answers after the deadline", "tried again after a minute; repeats of what was in flight", wired("drop"), wait=150,
         slow=True),
    hook("says try later", "it waits as long as it is told", answers(lambda p: Answer(503, [("Retry-After", "2")]))),
    hook("says try later for one key", "only that key waits", answers(only(HANGING, Answer(503, [("Retry-After", "2")]))),
         own_way=True),
    hook("rejects one key", "dead letters of that key only", answers(only(HANGING, Answer(400))), own_way=True, dead=[HANGING]),
    hook("rejects one key as too large", "dead letters of that key only", answers(only(HANGING, Answer(413))), own_way=True,
         dead=[HANGING]),
    hook("rejects everything", "broken; a few dead letters, at most 4 + 15; the rest delivered", answers(lambda p: Answer(400)),
         dead=19),
    hook("fails", KEPT, answers(lambda p: Answer(500))),
    hook("changes its token", "401; delivered after config set", (new_token, tell_token), setup=with_token),
    hook("renews its certificate", "nothing to do", (renew, nothing), setup=with_tls),
    hook("has a certificate of another CA", "offline; delivered after SIGHUP with the new CA", (replace_ca, trust_new_ca),
         setup=with_tls),
    hook("sends thousands of headers", "cut; " + KEPT, answers(lambda p: raw(MANY_HEADERS, False, False))),
    hook("sends a huge body", ALSO, answers(lambda p: raw(HUGE_BODY, True, False))),
    hook("sends 20,000 heads of 1xx", "cut; " + KEPT, answers(lambda p: raw(INFORM, False, False))),
    hook("redirects in a circle", KEPT, answers(lambda p: Answer(307, [("Location", p.path)]))),
    hook("has moved", KEPT, answers(lambda p: Answer(301, [("Location", "/elsewhere")]))),
    hook("answers just before the deadline", "waited for, each event once", softly(after(1.5)), repeats=0,
         setup=with_short_deadline),
    hook("answers just after the deadline", "sent again after the deadline; repeats of what was in flight, once",
         softly(after(2.4)), repeats=1, setup=with_short_deadline, check=repeated),
    hook("moves to another address", "found there with the next connection; nothing lost or repeated but what was in flight",
         (move_away, nothing), own_way=True, setup=by_name, check=has_moved),
    hook("moves, its old address hangs", "found there after the deadline", (move_and_hang, nothing), own_way=True,
         setup=by_name_soon, check=has_moved),
    hook("loses its name for a while", KEPT, (lose_name, find_name), setup=by_name),
    hook("closes after each answer", "a new connection for each event, nothing repeated", answers(lambda p: Answer(then="close"))),
]

# --- how Redis misbehaves ---------------------------------------------------------------


def asks(*commands):
    def do(s):
        for c in commands:
            s.redis(*c)
    return do


def with_password(s):
    s.stored = f"notify_redis:bad address=127.0.0.1:{s.wire.port} key=events format=access"


def change_password(s):
    s.redis("CONFIG", "SET", "requirepass", "new")
    s.redis.password = "new"
    s.redis("CLIENT", "KILL", "TYPE", "normal")


def tell_password(s):
    s.set_config(s.stored + " password=new")


def run_script(s):
    def run():
        try:
            s.redis("EVAL", "while true do end", 0)
        except Exception:                               # noqa: BLE001 - it is killed
            pass
    threading.Thread(target=run, daemon=True).start()


def kill_script(s):
    s.redis("SCRIPT", "KILL")


def saying(text):
    def begin(s):
        s.wire.saying, s.wire.mode = text, "say"

    def end(s):
        s.wire.mode = "pass"
        s.wire.cut()
    return begin, end


BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"


def store(name, expected, fault, **kw):
    return Fault("redis", name, expected, *fault, **kw)


STORES = [
    store("refuses", KEPT, (refuse, accept)),
    store("reads nothing", KEPT, wired("hold-requests")),
    store("hangs after it read", "repeats of what was in flight", wired("hold-answers"), repeats=3),
    store("hangs", KEPT, (lambda s: s.redis.freeze(), lambda s: s.redis.thaw())),
    store("hangs in mid answer", "repeats of what was in flight", wired("half-answer"), repeats=4),
    store("closes in mid frame", "repeats of what was in flight, each time", wired("cut-answer"), repeats=10),
    store("answers garbage", "repeats of what was in flight, each time", wired("garbage"), repeats=10),
    store("answers twice", "the second answer counts for nothing", wired("twice"), repeats=10),
    store("answers late", "waited for, nothing repeated", wired("late"), repeats=0),
    store("drips its answers", "waited for, nothing repeated", wired("drip"), repeats=0),
    store("answers after the deadline", "tried again; repeats of what was in flight", wired("drop"), wait=100, slow=True),
    store("loads its data", KEPT, saying(b"-LOADING Redis is loading the dataset in memory\r\n")),
    store("is out of memory", KEPT, (asks(("CONFIG", "SET", "maxmemory", 1)), asks(("CONFIG", "SET", "maxmemory", 0)))),
    store("became a replica", KEPT, (asks(("REPLICAOF", "127.0.0.1", 1)), asks(("REPLICAOF", "NO", "ONE")))),
    store("is busy", KEPT, (run_script, kill_script)),
    store("says that it is busy", KEPT, saying(BUSY)),
    store("has another kind of value there", KEPT, (lambda s: asks(("RENAMENX", "events", "kept"), ("SET", "events", "x"))(s),
                                                    asks(("DEL", "events"), ("RENAME", "kept", "events")))),
    store("moves to another address", "found there with the next connection; repeats of what was in flight", (move_away, nothing),
          own_way=True, setup=by_name, check=has_moved),
    store("moves, its old address hangs", "found there after the deadline; repeats of what was in flight",
          (move_and_hang, nothing), own_way=True, setup=by_name_soon, check=has_moved),
    store("loses its name for a while", KEPT, (lose_name, find_name), setup=by_name),
    store("changes its password", "delivered after config set", (change_password, tell_password),
          setup=with_password),
]
FAULTS = HOOKS + STORES


# --- a round -----------------------------------------------------------------------------

def first_seen(events):
    seen, order = set(), collections.defaultdict(list)
    for key, seq in events:
        if (key, seq) not in seen:
            seen.add((key, seq))
            order[key].append(seq)
    return order


def judge(ctx, stage, fault, who, receiver, wanted, dead):
    """Order, counts and repeats of one target, once all is there."""
    events = stage.came(receiver)
    order, where = first_seen(events), f"{fault.kind}, {fault.name}, {who}"
    repeats = len(events) - len(set(events))
    last = {}
    for key, seq in events:
        last[key] = seq
    for key, seqs in order.items():
        if seqs != sorted(seqs) or last[key] != max(seqs):
            ctx.add(disorder=1)
            ctx.problem(f"{where}: {key} out of order")
        if len(seqs) > wanted[key]:
            ctx.problem(f"{where}: {len(seqs)} events of {key}, {wanted[key]} happened")
    if receiver is not None and receiver.overlaps():
        ctx.add(disorder=len(receiver.overlaps()))
        ctx.problem(f"{where}: two events of a key under way at once: {sorted(set(receiver.overlaps()))}")
    most = fault.repeats * IN_FLIGHT[fault.kind] if who == "bad" else 0
    if repeats > most:
        ctx.problem(f"{where}: {repeats} repeats, at most {most} were expected")
    ctx.add(repeats=repeats)


def one(ctx, number, fault, hold):
    stage = Stage(ctx, f"{ctx.directory}/{number}", fault)
    try:
        stage.start()
        wait_for(lambda: sum(stage.acked().values()) >= 30, 20, "some writes")
        if not stage.wait_all(stage.bad, stage.acked(), 20, "before the fault"):
            return
        fault.begin(stage)
        began = time.monotonic()
        dead = fault.dead if isinstance(fault.dead, list) else []
        while time.monotonic() - began < hold:
            stage.stop.wait(0.02)
        soon = stage.acked()
        stage.wait_all(stage.good, soon, 10, "the other target while the fault lasts")
        if fault.own_way:
            others = {k: n for k, n in soon.items() if k != HANGING}
            stage.wait_all(stage.bad, others, 10, "other keys of the same target while the fault lasts")
        fault.end(stage)
        ended = time.monotonic()
        stage.stop.set()
        for w in stage.writers:
            w.join(30)
            for text in w.problems:
                ctx.problem(f"{fault.kind}, {fault.name}: {text}")
            if w.slowest > 5:
                ctx.problem(f"{fault.kind}, {fault.name}: a PUT took {w.slowest:.1f} s")
        wanted = stage.acked()
        ctx.add(acked=sum(wanted.values()))
        if isinstance(fault.dead, int):
            wait_dead(ctx, stage, fault, wanted)
        elif not stage.wait_all(stage.bad, wanted, fault.wait, "after the fault", dead):
            ctx.add(events_lost=sum(stage.missing(stage.bad, wanted, dead).values()))
            return
        ctx.recovery(time.monotonic() - ended)
        stage.wait_all(stage.good, wanted, 10, "the other target in the end")
        wrong = fault.check(stage) if fault.check else None
        if wrong:
            ctx.problem(f"{fault.kind}, {fault.name}: {wrong}")
        judge(ctx, stage, fault, "bad", stage.bad, wanted, dead)
        judge(ctx, stage, fault, "good", stage.good, wanted, [])
    finally:
        stage.close()
        shutil.rmtree(f"{stage.directory}/store", ignore_errors=True)


def wait_dead(ctx, stage, fault, wanted):
    """Everything is delivered or a dead letter, and few are that."""
    total = sum(wanted.values())
    try:
        wait_for(lambda: len(set(stage.came(stage.bad))) + stage.dead_letters() >= total, fault.wait, "delivered or dead letters")
    except AssertionError:
        ctx.add(events_lost=total - len(set(stage.came(stage.bad))) - stage.dead_letters())
        ctx.problem(f"{fault.name}: {len(set(stage.came(stage.bad)))} delivered, {stage.dead_letters()} dead letters of {total}")
    if stage.dead_letters() > fault.dead:
        ctx.problem(f"{fault.name}: {stage.dead_letters()} dead letters, at most {fault.dead} were expected")


def receivers(ctx):
    """A round is one fault; the order depends on the seed, and all are had before one comes again."""
    import random
    faults = [f for f in FAULTS if not f.slow or ctx.seconds > 600]
    random.Random(f"{ctx.seed}/receivers").shuffle(faults)
    for number, rng in ctx.rounds():
        fault = faults[(number - 1) % len(faults)]
        named = os.environ.get("BELFRY_FAULT")
        if named:
            fault = next(f for f in FAULTS if f"{f.kind}, {f.name}" == named)
        ctx.log(f"{number}: {fault.kind}, {fault.name}")
        one(ctx, number, fault, fault.hold or (rng.uniform(0.3, 0.6) if ctx.seconds <= 120 else rng.uniform(0.5, 3)))
        ctx.log(f"{number}: took {time.monotonic() - ctx.round_began:.1f} s")


ROWS = [
    Row("receivers", "receivers that misbehave", "; ".join(f"{f.kind} {f.name}: {f.expected}" for f in FAULTS), receivers,
        share=2, least=20),
]
