# SPDX-License-Identifier: Apache-2.0
"""A webhook's receiver that lets a connection, or a request, hang: who wants something else of the target does not wait for it
longer than a change (3 s) and a shutdown (8 s) give to what is under way. (That each call of the target ends when it is hastened:
tests/unit/test_webhook_plain.c.)"""
import contextlib
import shutil
import signal
import socket
import threading
import time

import pytest
from support.delivery import assert_in_order, notify
from support.mc import Mc
from support.receiver import Answer, Receiver, webhook_env
from support.wait import SCALE, wait_for

pytestmark = pytest.mark.long
EVENTS = 20


@contextlib.contextmanager
def dial():
    """A port whose queue of connections is full: who dials it waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(2):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}/", lambda: is_dialed(port)


def is_dialed(port):
    """Does anybody wait for a connection to it? (The two that were there first are established.)"""
    with open("/proc/net/tcp", encoding="ascii") as f:
        return any(line.split()[2:4] == [f"0100007F:{port:04X}", "02"] for line in f)


@contextlib.contextmanager
def reply():
    """It takes requests, and does not answer."""
    over = threading.Event()
    with Receiver(behave=lambda post: Answer(wait=over)) as r:
        yield r.url, r.snapshot
        over.set()


HANGS = {"dial": dial, "reply": reply}


def put(server):
    with server.raw() as conn:
        for i in range(EVENTS):
            assert server.s3.put("events", f"k{i % 3}", b"x" * i, conn=conn).status == 200


@pytest.mark.parametrize("hang", HANGS)
def test_another_endpoint(make_server, authority, tmp_path, hang):
    """New certificates of authorities, then another endpoint, are in force soon, and what hung goes there."""
    with HANGS[hang]() as (url, hangs), Receiver() as receiver:
        (tmp_path / "certs" / "CAs").mkdir(parents=True)
        server = make_server(env={}, args=["--certs-dir", str(tmp_path / "certs")]).start()
        mc = Mc(tmp_path / "mc", server)
        mc.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint={url}")
        notify(server)
        put(server)
        wait_for(hangs, 20, "it to hang")
        shutil.copy(authority.path("ca.crt"), tmp_path / "certs" / "CAs")
        server.signal(signal.SIGHUP)
        wait_for(lambda: "CAs loaded" in server.log(), 3, "SIGHUP")
        wait_for(hangs, 20, "it to hang again")
        began = time.monotonic()
        mc.text("admin", "config", "set", "b", "notify_webhook:1", f"endpoint={receiver.url}")
        posts = receiver.wait_delivered(EVENTS)
        assert time.monotonic() - began < 5 * SCALE
        assert len(posts) == EVENTS
        assert_in_order(posts)


@pytest.mark.parametrize("hang", HANGS)
def test_shutdown(make_server, hang):
    """It ends in good order, soon; and what hung is sent after it."""
    with HANGS[hang]() as (url, hangs), Receiver() as receiver:
        server = make_server(env=webhook_env(url)).start()
        notify(server)
        put(server)
        wait_for(hangs, 20, "it to hang")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10 * SCALE
        server.env = webhook_env(receiver)
        server.start()
        posts = receiver.wait_delivered(EVENTS)
        assert len(posts) == EVENTS
        assert_in_order(posts)
