# SPDX-License-Identifier: Apache-2.0
"""Listeners that come back, that are slow, and that are many."""
import base64
import hashlib
import selectors
import threading
import time

import pytest
from support.listener import Listener, listen_target
from support.mc import Mc
from support.server import run
from support.wait import SANITIZED, SCALE, holds_for, wait_for

PUTS = ("s3:ObjectCreated:*",)
WIDE = {"User-Agent": "<" * 4000}       # each a six-byte escape: an event of 24 KB


def count_up(s3, bucket, start, n, headers=()):
    keys = [f"k{i:05}" for i in range(start, start + n)]
    with s3.server.raw() as c:
        for k in keys:
            assert s3.put(bucket, k, headers=headers, conn=c).status == 200
    return keys


def listen_and_leave(server, bucket):
    """A place to come back to."""
    with Listener(server, bucket, PUTS, ping=600) as l:
        return wait_for(lambda: l.position)


@pytest.mark.sanitize
def test_resume_misses_nothing(server, s3, bucket):
    place = listen_and_leave(server, bucket)
    keys = count_up(s3, bucket, 0, 20)
    with Listener(server, bucket, PUTS, resume=place, ping=600) as l:
        l.wait(20)
        keys += count_up(s3, bucket, 20, 5)
        l.wait(25)
        assert l.keys == keys and not l.missed


@pytest.mark.sanitize
def test_resume_after_a_sigkill(make_server):
    """Every acknowledged change is there, in order, once; also those made after the start and before the listener is back."""
    server = make_server().start()
    server.s3.make_bucket("bkt")
    with Listener(server, "bkt", PUTS, ping=600) as l:
        keys = count_up(server.s3, "bkt", 0, 50)
        l.wait(50)
        place = wait_for(lambda: l.position if l.lines[-1].get("Position") else None)
    heard = l.keys
    keys += count_up(server.s3, "bkt", 50, 50)
    for round in range(3):
        server.kill()
        server.start()
        keys += count_up(server.s3, "bkt", 100 + round * 10, 10)
    with Listener(server, "bkt", PUTS, resume=place, ping=600) as l:
        l.wait(len(keys) - 50)
        assert heard + l.keys == keys and not l.missed


def test_resume_from_every_place_in_a_stream(server, s3, bucket):
    """Live, tail and rows meet without a gap or a repeat, whatever place the stream is taken up at."""
    with Listener(server, bucket, PUTS, ping=600) as l:
        keys = count_up(s3, bucket, 0, 60)
        l.wait(60)
        wait_for(lambda: "Position" in l.lines[-1])
    done, places = 0, []
    for line in l.lines:
        done += bool(line["Records"])
        if "Position" in line:
            places.append((done, line["Position"]))
    assert len(places) > 2
    for done, place in places[:: max(1, len(places) // 8)]:
        with Listener(server, bucket, PUTS, resume=place, ping=600) as again:
            again.wait(60 - done)
            assert again.keys == keys[done:]


def test_long_resume_comes_out_of_the_rows(make_server):
    """More than the server keeps in memory: wide events, over a restart."""
    server = make_server().start()
    server.s3.make_bucket("bkt")
    place = listen_and_leave(server, "bkt")
    keys = count_up(server.s3, "bkt", 0, 300, WIDE)
    server.restart()
    keys += count_up(server.s3, "bkt", 300, 300, WIDE)
    with Listener(server, "bkt", PUTS, resume=place, ping=600) as l:
        keys += count_up(server.s3, "bkt", 600, 50, WIDE)
        l.wait(len(keys), 60)
        assert l.keys == keys and not l.missed


def test_the_empty_resume_is_none(server, s3, bucket):
    s3.put(bucket, "before")
    with Listener(server, bucket, PUTS, resume="", ping=600) as l:
        s3.put(bucket, "after")
        l.wait(1)
        assert l.keys == ["after"]


def test_what_fell_out_of_the_history_is_told(make_server):
    server = make_server(env={"BELFRY_LISTEN_HISTORY": "100"}).start()
    server.s3.make_bucket("bkt")
    place = listen_and_leave(server, "bkt")
    keys = count_up(server.s3, "bkt", 0, 300)

    def resumed():
        with Listener(server, "bkt", PUTS, resume=place, ping=600) as l:
            # More of it may be cut while it is read, and is told then.
            wait_for(lambda: len(l.keys) + l.missed == 300, what="every event, or that it was missed")
            assert set(l.lines[0]) == {"Records", "Missed"} and l.lines[0]["Records"] is None
            assert l.keys == keys[l.missed:]
            return l.missed
    wait_for(lambda: resumed() == 200, what="a history of 100 events")
    server.kill()
    server.start()
    assert resumed() == 200


def test_without_history_only_the_present_is_told(make_server):
    server = make_server(env={"BELFRY_LISTEN_HISTORY": "0"}).start()
    server.s3.make_bucket("bkt")
    place = listen_and_leave(server, "bkt")
    count_up(server.s3, "bkt", 0, 5)
    with Listener(server, "bkt", PUTS, resume=place, ping=600) as l:
        count_up(server.s3, "bkt", 5, 5)
        l.wait(5)
        assert l.keys == [f"k{i:05}" for i in range(5, 10)]
        assert l.missed == 5


def test_the_length_changes_at_once(make_server, tmp_path):
    server = make_server().start()
    server.s3.make_bucket("bkt")
    place = listen_and_leave(server, "bkt")
    count_up(server.s3, "bkt", 0, 5)
    Mc(tmp_path, server).run("admin", "config", "set", "b", "belfry", "listen_history=0")
    with Listener(server, "bkt", PUTS, resume=place, ping=600) as l:
        count_up(server.s3, "bkt", 5, 5)
        l.wait(5)
        assert (l.missed, l.keys) == (5, [f"k{i:05}" for i in range(5, 10)])


def test_events_of_kinds_that_nobody_listened_for_are_told_as_missed(make_server):
    server = make_server().start()
    server.s3.make_bucket("bkt")
    place = listen_and_leave(server, "bkt")
    server.s3.put("bkt", "x")
    server.s3.delete("bkt", "x")
    with Listener(server, "bkt", ("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), resume=place, ping=600) as l:
        l.wait(1)
        assert l.seen == [("ObjectCreated:Put", "bkt", "x")] and l.missed == 1
    with Listener(server, "bkt", PUTS, resume=place, ping=600) as l:
        l.wait(1)
        assert l.missed == 0


def test_a_place_of_the_future_is_the_present(server, s3, bucket):
    """A crash may take the events of reads back that a listener has seen."""
    with Listener(server, bucket, PUTS, resume="7" + "F" * 15 + "-FF", ping=600) as l:
        s3.put(bucket, "x")
        l.wait(1)
        assert l.keys == ["x"] and l.missed == 0


def stuck(server, bucket):
    """Reads nothing behind the head: some MB of events later its socket takes no more."""
    return Listener(server, bucket, PUTS, read=False, ping=1)


def test_a_slow_listener_gets_all_that_the_history_has(server, s3, bucket):
    """Beyond what sockets hold, and beyond what is kept in memory."""
    slow = stuck(server, bucket)
    keys = count_up(s3, bucket, 0, 600, WIDE)
    with slow.begin() as l:
        l.wait(600, 60)
        assert l.keys == keys and not l.missed


def test_a_slow_listener_is_told_exactly_how_many_it_missed(make_server):
    """Of those it asked for: others do not count."""
    server = make_server(env={"BELFRY_LISTEN_HISTORY": "100"}).start()
    s3 = server.s3
    s3.make_bucket("bkt")
    s3.make_bucket("other")
    slow = stuck(server, "bkt")
    with Listener(server, "", PUTS, ping=600) as quick:
        keys = count_up(s3, "bkt", 0, 600, WIDE)
        count_up(s3, "other", 0, 150)
        keys += count_up(s3, "bkt", 600, 20)
        quick.wait(770, 60)
        assert not quick.missed
    with slow.begin() as l:
        wait_for(lambda: l.keys and l.keys[-1] == keys[-1], 60, "the last event")
        assert l.missed > 0
        assert len(l.keys) + l.missed == len(keys)
        assert l.keys == [k for k in keys if k in set(l.keys)]


@pytest.mark.sanitize
def test_a_stop_does_not_wait_for_a_stuck_listener(make_server):
    server = make_server().start()
    server.s3.make_bucket("bkt")
    slow = stuck(server, "bkt")
    count_up(server.s3, "bkt", 0, 400, WIDE)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5
    slow.close()


class Many:
    """Listeners by the thousand on one thread, which keeps of what they hear only how often each of `marks` came."""
    MARKS = (b'"Position"', b'"key":"first"', b'"key":"wide', b'"key":"last"', b'"Missed"')

    def __init__(self, server, n, bucket):
        self.counts = [dict.fromkeys(self.MARKS, 0) for _ in range(n)]
        self.rest = [b""] * n
        self.selector = selectors.DefaultSelector()
        self.conns = []
        request = server.s3.build("GET", listen_target(bucket, PUTS, ping=10))
        for i in range(n):
            c = server.raw()
            c.send(request)
            c.sock.setblocking(False)
            self.selector.register(c.sock, selectors.EVENT_READ, i)
            self.conns.append(c)

    def read(self, mark, n, deadline=60):
        """Reads until everybody who is read has heard that mark n times."""
        end = time.monotonic() + deadline * SCALE
        waiting = {k.data for k in self.selector.get_map().values() if self.counts[k.data][mark] < n}
        while waiting:
            assert time.monotonic() < end, f"{len(waiting)} listeners still wait for {mark}"
            for key, _ in self.selector.select(1):
                try:
                    data = key.fileobj.recv(1 << 20)
                except BlockingIOError:
                    continue
                assert data, "a listener's connection ended"
                self._count(key.data, data)
                if self.counts[key.data][mark] >= n:
                    waiting.discard(key.data)

    def _count(self, i, data):
        text = self.rest[i] + data
        end = text.rfind(b"\n") + 1
        for mark in self.MARKS:
            self.counts[i][mark] += text.count(mark, 0, end)
        self.rest[i] = text[end:]

    def stop_reading(self, some):
        for i in some:
            self.selector.unregister(self.conns[i].sock)

    def close(self):
        for c in self.conns:
            c.close()


def test_a_thousand_listeners(make_server):
    """Each hears each event; ten that do not read cost the others and the requests nothing, and memory stays bounded."""
    n = 200 if SANITIZED else 1000
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("bkt")
    before = server.rss()
    many = Many(server, n, "bkt")
    try:
        many.read(b'"Position"', 1)
        idle = server.rss() - before
        assert SANITIZED or idle < n * 32 * 1024, f"{idle // n} bytes per idle listener"
        s3.put("bkt", "first")
        many.read(b'"key":"first"', 1)
        many.stop_reading(range(10))
        slowest = 0
        for i in range(100):
            started = time.monotonic()
            assert s3.put("bkt", f"wide{i}", headers=WIDE if i % 2 else ()).status == 200
            slowest = max(slowest, time.monotonic() - started)
        assert SANITIZED or slowest < 2, f"a PUT took {slowest:.2f} s"
        s3.put("bkt", "last")
        many.read(b'"key":"last"', 1)
        for counts in many.counts[10:]:
            assert counts[b'"key":"wide'] == 100 and counts[b'"Missed"'] == 0
        assert SANITIZED or server.rss() - before < 400 << 20
    finally:
        many.close()
    wait_for(lambda: server.open_files() < 200, 20, "the connections to be closed")


def test_the_first_listener_joins_under_load(make_server):
    """Interest begins in the middle of the load: of every request that begins after the listener's head it hears."""
    for round in range(4):
        server = make_server().start()
        server.s3.make_bucket("bkt")
        begun, stop = [], threading.Event()

        def put(worker):
            with server.raw() as c:
                i = 0
                while not stop.is_set():
                    key = f"w{worker}-{i:06}"
                    begun.append((time.monotonic(), key))
                    assert server.s3.put("bkt", key, conn=c).status == 200
                    i += 1

        workers = [threading.Thread(target=put, args=(w,)) for w in range(8)]
        for w in workers:
            w.start()
        wait_for(lambda: len(begun) > 100)
        with Listener(server, "bkt", PUTS, ping=600) as l:
            since = time.monotonic()
            wait_for(lambda: len(l.records) > 200)
            stop.set()
            for w in workers:
                w.join()
            want = {key for when, key in begun if when > since}
            wait_for(lambda: want <= set(l.keys), 10, "every event since the head")
            assert len(l.keys) == len(set(l.keys))
        server.stop()


def test_history_is_trimmed(make_server):
    """The folder does not grow with events that nobody can have any more."""
    server = make_server(env={"BELFRY_LISTEN_HISTORY": "64"}).start()
    server.s3.make_bucket("bkt")
    place = listen_and_leave(server, "bkt")
    for i in range(5):
        count_up(server.s3, "bkt", i * 100, 100)
        server.restart()
    with Listener(server, "bkt", PUTS, resume=place, ping=600) as l:
        wait_for(lambda: l.missed)
        assert 500 - 64 - 2 <= l.missed <= 500 - 64
        holds_for(lambda: len(l.records) <= 66, 0.1)
    server.stop()
    done = run("check", server.directory)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(SANITIZED, reason="looks through 4 million events")
def test_many_who_are_late_do_not_slow_requests(make_server):
    """They look through all of the history at once, for nothing that is theirs. Listings, which need a worker, too, have their
    turn between: one of the listeners reads at a time, and each reads many times."""
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("bkt")
    gone = ("s3:ObjectRemoved:*",)
    with Listener(server, "bkt", gone, ping=600) as l:
        place = wait_for(lambda: l.position)
    for n in range(40):
        body = "".join(f"<Object><Key>{n}-{i}</Key></Object>" for i in range(1000))
        body = f"<Delete><Quiet>true</Quiet>{body}</Delete>".encode()
        md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
        assert s3.request("POST", "/bkt?delete=", body=body, headers=[("Content-MD5", md5)]).status == 200
    late, listed, end = [], 0, threading.Event()

    def list_all():
        nonlocal listed
        while not end.is_set():
            assert s3.request("GET", "/bkt?list-type=2").status == 200
            listed += 1
    lister = threading.Thread(target=list_all)
    lister.start()
    try:
        late = [Listener(server, "bkt", gone, prefix="theirs/", resume=place, ping=600) for _ in range(100)]
        s3.delete("bkt", "theirs/x")
        for l in late:
            l.wait(1, 60)
            assert not l.missed
    finally:
        end.set()
        lister.join()
        for l in late:
            l.close()
    assert listed > len(late), f"{listed} listings while {len(late)} listeners caught up"
