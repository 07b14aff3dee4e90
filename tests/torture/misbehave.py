# SPDX-License-Identifier: Apache-2.0
"""Receivers that misbehave on command: a webhook receiver that can say anything on its sockets, and a wire between the server
and a receiver, which passes, holds, cuts, repeats or invents bytes."""
import random
import socket
import threading
import time

from support.ports import free_port
from support.receiver import Answer, Receiver


class Raw:
    """An answer made by hand: say(sock, post, over) with `over` an Event that is set when the fault ends. It returns
    whether the connection is kept; accepted: whether that was a whole 2xx."""

    def __init__(self, say, accepted=False):
        self.say, self.accepted = say, accepted


class BadReceiver(Receiver):
    """Behaves by `fault(post)` while there is one (None: as a good one, after a moment of work)."""

    def __init__(self, **kwargs):
        super().__init__(behave=self._choose, **kwargs)
        self.fault, self.over = None, threading.Event()
        self.hold_accept, self.work = False, True
        self.on_accept = self._held
        self.intervals = []                             # (key, sequencer, begin, end) of what was accepted
        self.random = random.Random(1)

    def _held(self, number):
        if self.hold_accept:
            self.over.wait(120)

    def _choose(self, post):
        action = self.fault(post) if self.fault is not None else None
        if action is not None:
            return action
        if self.work:
            time.sleep(self.random.random() * 0.003)
        return Answer()

    def _answer(self, sock, post, action):
        ended = time.monotonic()                        # it is done with the event before it says so
        if isinstance(action, Raw):
            try:
                keep = action.say(sock, post, self.over)
            except OSError:                             # cut by a peer that had heard enough: its status line was said
                if not action.accepted:
                    raise
                keep = False
            if action.accepted:
                post.answered = 200
        else:
            keep = super()._answer(sock, post, action)
        if post.answered is not None and post.answered < 300:
            with self.lock:
                self.intervals.append((post.key, post.sequencer, post.time, ended))
        return keep

    def misbehave(self, fault):
        self.over.clear()
        self.fault = fault

    def behave_well(self):
        self.fault, self.hold_accept = None, False
        self.over.set()

    def overlaps(self):
        """Keys of which an event was accepted that came while another one of the key was under way."""
        found, last = [], {}
        for key, seq, begin, end in sorted(self.intervals, key=lambda i: i[2]):
            before, until = last.get(key, (seq, 0.0))
            if begin < until and seq != before:
                found.append(key)
            last[key] = seq, max(end, until)
        return found


class Wire:
    """Between the server and a receiver. mode: a name of MODES, changed while bytes flow."""

    MODES = ("pass", "hold-requests", "hold-answers", "half-answer", "cut-answer", "garbage", "twice", "late", "drip",
             "drop", "say")

    def __init__(self, upstream, late=0.3, saying=b"", host="127.0.0.1", port=None):
        self.upstream, self.host, self.port = upstream, host, port or free_port()
        self.mode, self.late, self.saying = "pass", late, saying
        self.connections, self.lock, self.open = 0, threading.Lock(), set()
        self.listener = None

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.host, self.port))
        self.listener.listen(256)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def refuse(self):
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self):
        with self.lock:
            now, self.open = self.open, set()
        for s in now:
            shut(s)

    def stop(self):
        self.refuse()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.upstream))
            except OSError:
                if self.listener is not listener:
                    return
                continue
            with self.lock:
                self.connections += 1
                self.open |= {client, server}
            dead = threading.Event()                    # a dropped connection stays so after the fault
            for a, b, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(a, b, answers, dead), daemon=True).start()

    def _pump(self, a, b, answers, dead):
        try:
            while True:
                data = a.recv(65536)
                if dead.is_set():
                    if not data:
                        dead.wait(0.05)
                        return                          # without a FIN to the other side
                    continue
                if not data:
                    break
                if not self._pass(a, b, data, answers, dead):
                    break
        except OSError:
            pass
        if not dead.is_set():
            shut(a)
            shut(b)

    def _pass(self, a, b, data, answers, dead):
        """One piece, by the mode of now. False: the connection is over."""
        mode = self.mode
        if mode == "drop":
            dead.set()
            return True
        if mode == "hold-requests" and not answers or mode == "hold-answers" and answers:
            return True                                 # swallowed: whoever waits for it waits
        if mode == "say" and not answers:
            a.sendall(self.saying)                      # in the receiver's place, which sees nothing
            return True
        if not answers or mode in ("pass", "hold-requests", "say"):
            b.sendall(data)
        elif mode == "half-answer":
            b.sendall(data[:max(1, len(data) // 2)])
        elif mode == "cut-answer":
            b.sendall(data[:max(1, len(data) // 2)])
            return False
        elif mode == "garbage":
            b.sendall(b"\x00\xff\x7f no such protocol\r\n\r\n")
        elif mode == "twice":
            b.sendall(data + data)
        elif mode == "late":
            time.sleep(self.late)
            b.sendall(data)
        elif mode == "drip":
            for i in range(len(data)):
                b.sendall(data[i:i + 1])
                time.sleep(0.005)
        return True


def shut(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
