#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runner behind `make test`, with stages of its own: what runs behind stands still while something is measured and
no test runs beside it, what lacks its needs is not run, and nothing is left when a command takes too long."""
import contextlib
import importlib.machinery
import importlib.util
import io
import os
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')


def load(folder):
    """scripts/test, its files in a folder of ours."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader('stages', os.path.join(ROOT, 'scripts', 'test'))
    m = importlib.util.module_from_spec(importlib.util.spec_from_loader('stages', loader))
    loader.exec_module(m)
    m.LOGS, m.MEASURING, m.ROOT = folder, os.path.join(folder, 'measuring'), folder
    return m


def wait_for(condition):
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise AssertionError('not within 20 s')
        time.sleep(0.01)


def count(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        m, ticks, pid, gone, seen = load(folder), folder + '/ticks', folder + '/pid', folder + '/gone', {}

        def behind(s):
            # In a group of its own, as ninja runs its commands. Where it stands still before bash does, bash's `wait` is over.
            s.check('bash', '-c', f'set -m; (while [ ! -e {gone} ]; do printf x >>{ticks}; sleep 0.02; done) & '
                    f'while [ ! -e {gone} ]; do wait; done; wait')

        def measures(s):
            wait_for(lambda: count(ticks))
            s.check('sh', '-c', f'>{m.MEASURING}; sleep 0.3; stat -c %s {ticks}; sleep 0.5; stat -c %s {ticks}')
            with open(s.log_path, encoding='ascii') as f:
                before, after = [int(line) for line in f if line.strip().isdigit()]
            seen['still'] = before == after

        def goes_on(s):
            before = count(ticks)
            wait_for(lambda: count(ticks) > before + 3)
            s.check('true')
            open(gone, 'w').close()

        def hangs(s):
            s.check('bash', '-c', f'set -m; sleep 600 & echo $! >{pid}; wait', timeout=0.5)
            with open(pid, encoding='ascii') as f:
                left = int(f.read())
            wait_for(lambda: not os.path.exists(f'/proc/{left}/cmdline') or not open(f'/proc/{left}/cmdline').read())

        def beside(s):
            s.check('mktemp', '-d')
            with open(s.log_path, encoding='ascii') as f:
                seen['in-memory'] = not m.SCRATCH or f.read().split()[-1].startswith(m.SCRATCH + '/')
            wait_for(lambda: 'meanwhile' in seen)
            time.sleep(0.3)  # longer than `alone` takes to begin when it does not wait
            seen['beside'] = True

        def meanwhile(s):
            wait_for(lambda: 'in-memory' in seen)
            s.check('true')
            seen['meanwhile'] = True

        def alone(s):
            seen['alone'] = 'beside' in seen
            s.check('true')

        def never(s):
            seen['never'] = True

        m.BEHIND, m.BESIDE, m.ALONE = {'behind', 'never-behind'}, {'beside'}, {'alone'}
        m.STAGES = [('beside', beside, ['behind'], False), ('behind', behind, [], False), ('measures', measures, [], False), ('goes-on', goes_on, [], False),
                    ('hangs', hangs, [], False), ('never-behind', never, ['hangs'], False),
                    ('never', never, ['never-behind'], False), ('raises', lambda s: 1 / 0, [], False),
                    ('needs-behind', lambda s: s.check('true'), ['behind'], False), ('meanwhile', meanwhile, [], False),
                    ('alone', alone, [], False)]
        out, sys.argv = io.StringIO(), ['test']
        with contextlib.redirect_stdout(out):
            code = m.main()
        lines = out.getvalue().splitlines()
        assert code == 1 and lines[-1] == '7 passed, 4 failed', lines
        assert seen == {'still': True, 'in-memory': True, 'meanwhile': True, 'beside': True, 'alone': True}, seen
        assert not m.SCRATCH or not os.path.exists(m.SCRATCH)
        ended = {line.split()[1]: line.split()[0] for line in lines if line[:4].strip() in ('ok', 'FAIL', '--')}
        assert ended == {'behind': 'ok', 'measures': 'ok', 'goes-on': 'ok', 'hangs': 'FAIL', 'never-behind': '--',
                         'never': '--', 'raises': 'FAIL', 'needs-behind': 'ok', 'beside': 'ok', 'meanwhile': 'ok',
                         'alone': 'ok'}, ended


if __name__ == '__main__':
    main()
