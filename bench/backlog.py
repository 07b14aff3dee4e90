# SPDX-License-Identifier: Apache-2.0
"""A server of Belfry with targets that are measured: paused and resumed, looked at, and how fast they are drained."""
import contextlib
import json
import os
import subprocess
import time

import probe
from servers import Failed, Load, Server

LOOK = 0.02     # seconds between two looks at the queues
CALM = 0.5      # so long next to nothing is done when it is at rest


class Targets(Server):
    """env: of the targets; names: theirs, ID:TYPE."""

    def __init__(self, o, env, names):
        super().__init__('belfry', o.belfry, os.path.join(o.dir, 'store'))
        self.o, self.names = o, names
        self.env.update(env)

    def __enter__(self):
        super().__enter__()
        try:
            self.load = Load(self.o.load, self)
            self.load.make_bucket()
            self.load.set_rules([f'arn:minio:sqs::{name}' for name in self.names])
            self.admin = probe.Client(self)
        except BaseException:
            self.__exit__()
            raise
        return self

    def ask(self, method, call, *query):
        _, body = self.admin.must(method, '/minio/admin/v3/' + call, list(query))
        return json.loads(body)

    def test(self, name):
        """The receiver has to take a record: what it makes by itself is made, and a wrong setting found."""
        said = self.ask('POST', 'target-test', ('target', name))
        if not said.get('ok'):
            raise Failed(f'{name}: {json.dumps(said)}')

    def pause(self):
        for name in self.names:
            self.ask('POST', 'target-pause', ('target', name))

    def resume(self):
        for name in self.names:
            self.ask('POST', 'target-resume', ('target', name))

    def now(self):
        return {t['target']: t for t in self.ask('GET', 'targets')['targets']}

    def put(self, connections, *more):
        return self.load.run('put', connections, '--size', self.o.size, *more)

    def pile_up(self, events):
        """A backlog in every queue, and a disk that has nothing left to do."""
        self.pause()
        self.put(64, '--requests', events)
        for name, now in self.now().items():
            if name in self.names and now['queued'] < events:
                raise Failed(f'{events} objects were put, {now["queued"]} events are queued for {name}')
        self.settle()
        os.sync()

    def settle(self):
        """Waits until the store has written and sorted what came, which it does behind the replies: how much that is depends on
        how many queues there are."""
        end, before = time.monotonic() + 60, self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(CALM)
            now = self.cpu_seconds()
            if now - before <= 0.02 * CALM + 1 / os.sysconf('SC_CLK_TCK'):
                return
            before = now
        raise Failed('the server does not come to rest')

    def drained(self, names, most):
        """Resumes all; seconds until each of the names has an empty queue, None where it has not by then (seconds)."""
        begin, took = time.monotonic(), {}
        self.resume()
        while len(took) < len(names):
            found, at = self.now(), time.monotonic() - begin
            took.update({name: at for name in names if name not in took and found[name]['queued'] == 0})
            if at > most:
                break
            time.sleep(LOOK)
        return {name: took.get(name) for name in names}

    def why(self, name):
        now = self.now()[name]
        return f'{name}: {now["queued"]} events are still queued: {now.get("lastError", "no error")}'

    @contextlib.contextmanager
    def full_load(self, seconds, start):
        """PUTs on 64 connections meanwhile; the yielded list has belfry-load's report afterwards."""
        argv = [*self.load.base, '--op', 'put', '--connections', '64', '--size', str(self.o.size), '--seconds', str(seconds), '--start',
                str(start)]
        process, report = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True), []
        try:
            yield report
            out = process.communicate(timeout=seconds + 60)[0]
            if process.returncode:
                raise Failed(f'belfry-load: status {process.returncode}: {out[-400:]}')
            report.append(json.loads(out))
        finally:
            process.kill()
            process.wait()
