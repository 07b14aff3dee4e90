# SPDX-License-Identifier: Apache-2.0
"""How Redis misbehaves."""
import threading

from .stage import Fault
from .wires import (KEPT, accept, by_name, by_name_soon, find_name, has_moved, lose_name, move_and_hang, move_away, nothing,
                    refuse, wired)


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


def at_once(*commands):
    """With nothing in between: what is pushed to a list meanwhile would be overwritten, and not be Belfry's loss."""
    script = " ".join(f"redis.pcall({', '.join(map(repr, c))})" for c in commands)
    return asks(("EVAL", script, 0))


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
    store("has another kind of value there", KEPT, (at_once(("RENAMENX", "events", "kept"), ("SET", "events", "x")),
                                                    at_once(("DEL", "events"), ("RENAME", "kept", "events")))),
    store("moves to another address", "found there with the next connection; repeats of what was in flight", (move_away, nothing),
          own_way=True, setup=by_name, check=has_moved),
    store("moves, its old address hangs", "found there after the deadline; repeats of what was in flight",
          (move_and_hang, nothing), own_way=True, setup=by_name_soon, check=has_moved),
    store("loses its name for a while", KEPT, (lose_name, find_name), setup=by_name),
    store("changes its password", "delivered after config set", (change_password, tell_password),
          setup=with_password),
]
