# SPDX-License-Identifier: Apache-2.0
"""What webhooks and Redis have in common: a wire that fails, and a name whose address changes."""
import os

from torture.fault import library
from torture.misbehave import Wire

KEPT = "kept and tried again; all there in the end, in order"


def nothing(s):
    del s


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


def with_short_deadline(s):
    """Events have to be answered within two seconds instead of a minute."""
    s.env["BELFRY_TEST_SEND_MS"] = "2000"


# --- the address of its name changes ------------------------------------------------

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
