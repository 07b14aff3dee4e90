# SPDX-License-Identifier: Apache-2.0
"""Ten targets at once, of which one hangs, one refuses and one takes ten events a second: what is left to the other seven, and to
PUT, compared with a server that has only the seven."""
import concurrent.futures
import contextlib
import os
import statistics
import threading
import time

from backlog import Targets
from servers import DeadPort, Listener
from targets import KINDS, TOGETHER

KEEP, TIMES = 0.9, 2        # goals: of each target's rate; of the p99 of PUT
RATE = 500                  # PUTs offered per second
GAP = 0.1


class Slow(Listener):
    """A webhook receiver that answers ten requests a second, over all connections."""

    def __init__(self):
        super().__init__()
        self.turn, self.answered = threading.Lock(), 0

    def serve(self, s):
        def answer(_):
            with self.turn:
                time.sleep(GAP)
                self.answered += 1
        self.posts(s, answer)


class Together:
    def __init__(self, o, say):
        self.o, self.say = o, say
        self.results = {'events': o.together_events, 'alone': [], 'beside': []}

    def run(self, directory):
        with contextlib.ExitStack() as stack:
            with concurrent.futures.ThreadPoolExecutor(len(TOGETHER)) as pool:
                def start(name):
                    return KINDS[name].up(os.path.join(directory, name[:4] + name[-2:]), self.o)
                ready = [pool.submit(start, name) for name in TOGETHER]
                concurrent.futures.wait(ready)
            for f in ready:
                if not f.exception():
                    stack.callback(f.result().down)
            self.well = [f.result() for f in ready]
            hang, refuse, slow = stack.enter_context(Listener()), stack.enter_context(DeadPort()), stack.enter_context(Slow())
            self.ill = {'HANGS:redis': {'ADDRESS': f'127.0.0.1:{hang.port}', 'KEY': 'k', 'FORMAT': 'namespace'},
                        'REFUSES:nsq': {'NSQD_ADDRESS': f'127.0.0.1:{refuse.port}', 'TOPIC': 't'},
                        'SLOW:webhook': {'ENDPOINT': f'http://127.0.0.1:{slow.port}/'}}
            self.once('alone', 'warm', max(1, self.o.together_events // 5), 1)      # not counted: programs of Java have to warm up
            for turn in range(self.o.together_rounds):
                for which in ('alone', 'beside') if turn % 2 == 0 else ('beside', 'alone'):
                    before = slow.answered
                    one = self.once(which, f't{turn}{which[0]}', self.events(turn), self.o.together_seconds)
                    one['slow_answered'] = slow.answered - before
                    self.results[which].append(one)
                    self.say(f'together, {which}: ' + ', '.join(f'{n} {r or 0:.0f}/s' for n, r in one['rates'].items()) +
                             f'; PUT p99 {one["put"]["latency_us"]["p99"] / 1000:.2f} ms')
        return self.results

    def events(self, turn):
        """Of each target: 70 to 130 %, over the turns. When the store sorts what it has depends on how much that is: with one length
        it would do so while the one are drained, and before the others are."""
        last = max(1, self.o.together_rounds - 1)
        return round(self.o.together_events * (0.7 + 0.6 * turn / last)) if self.o.together_rounds > 1 else self.o.together_events

    def once(self, which, place, events, seconds):
        env, names = {}, []
        for kind in self.well:
            kind.make(place)
            env.update(kind.env(kind.settings(place)))
            names.append(f'BENCH:{kind.kind}')
        well = list(names)
        for name, settings in self.ill.items() if which == 'beside' else ():
            target, kind = name.split(':')
            env.update(KINDS[kind].env(settings, target))
            names.append(name)
        with Targets(self.o, env, names) as server:
            for name in well:
                server.test(name)
            server.pile_up(events)
            took = server.drained(well, 60 + events / 100)
            for name in well:
                if took[name] is None:
                    self.say(server.why(name))
            os.sync()
            put = server.put(16, '--rate', RATE, '--seconds', seconds, '--start', 1 << 30)
        for kind in self.well:
            kind.drop(place)
        rates = {kind.name: took[name] and events / took[name] for kind, name in zip(self.well, well)}
        return {'rates': rates, 'put': put}


def judge(results):
    """[(target, rate alone, rate beside, ratio, met)], and the same of PUT's p99 in ms."""
    rows = []
    for name in TOGETHER:
        alone, beside = ([one['rates'][name] for one in results[which]] for which in ('alone', 'beside'))
        if not alone or not beside or None in alone + beside:
            rows.append((name, None, None, None, False))
            continue
        a, b = statistics.median(alone), statistics.median(beside)
        rows.append((name, a, b, b / a, b >= KEEP * a))
    p99 = [statistics.median([one['put']['latency_us']['p99'] / 1000 for one in results[which]]) for which in ('alone', 'beside')]
    return rows, (*p99, p99[1] / p99[0], p99[1] <= TIMES * p99[0])
