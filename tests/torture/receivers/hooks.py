# SPDX-License-Identifier: Apache-2.0
"""How webhooks misbehave."""
import os
import shutil
import signal
import time

from support.certs import Authority
from support.receiver import CLOSE_MID_BODY, CLOSE_MID_HEAD, CLOSE_UNANSWERED, GARBAGE, Answer
from support.wait import wait_for
from torture.misbehave import Raw

from .stage import Fault
from .wires import (KEPT, accept, by_name, by_name_soon, find_name, has_moved, lose_name, move_and_hang, move_away, nothing,
                    refuse, wired, with_short_deadline)

HANGING = "w0k0"                                        # the key that some faults are about


def answers(make):
    """A fault of what is answered: begin and end. make(post) -> action, or None for a good answer."""
    def begin(s):
        s.bad.misbehave(make)

    def end(s):
        s.bad.behave_well()
        s.bad.cut()
    return begin, end


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


def hook(name, expected, fault, **kw):
    return Fault("webhook", name, expected, *fault, **kw)


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
