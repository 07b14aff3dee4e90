# SPDX-License-Identifier: Apache-2.0
"""From the results of bench/target to its tables and its section of docs/benchmarks.md."""
import statistics

import together
from table import TARGETS_BEGIN, grid, number
from targets import KINDS

GOAL_SHARE, GOAL_RATE = 0.8, 100_000
LOAD_SHARE = 0.25
ARRIVAL_MS = 10
NEAR = 0.3          # of what the library did elsewhere
MET = {True: 'yes', False: 'no', None: ''}

# Why a library's figure may lie elsewhere than on the machine of the reference.
APART = {
    'kafka': 'nothing to compare with: what there is was measured against a mock that stores nothing',
    'elasticsearch': 'nothing to compare with',
    'nats-streaming': 'nothing to compare with',
    'nsq': 'nothing to compare with: what there is was measured against a mock that stores nothing',
}


def median(values):
    return statistics.median(values) if values else None


def rates(result):
    return median(result.get('belfry')), median(result.get('bare'))


def goal(name, bare):
    return max(KINDS[name].floor, min(GOAL_SHARE * bare, GOAL_RATE))


def drain_met(name, result):
    ours, theirs = rates(result)
    return ours >= goal(name, theirs) if ours and theirs else None


def load_met(result):
    """None: not measured. A queue that is empty got all there was."""
    ours, load = median(result.get('belfry')), result.get('load')
    if not ours or not load:
        return None
    return load['queued'] == 0 or load['rate'] >= LOAD_SHARE * min(ours, GOAL_RATE)


def latency_met(result):
    return result['latency']['reply']['p99'] <= ARRIVAL_MS if 'latency' in result else None


def known(name, result):
    """What the library does on another machine, and whether that is near."""
    bare, span = median(result.get('bare')), KINDS[name].known
    if span is None:
        return APART.get(name, '')
    text = f'{span[0]:,}–{span[1]:,}'
    if bare is None:
        return text
    return text + (', near' if (1 - NEAR) * span[0] <= bare <= (1 + NEAR) * span[1] else ', apart')


def short(failure):
    return failure.splitlines()[0][:160].replace('|', '/')


def drain_rows(results):
    for name, result in results['targets'].items():
        if not any(k in result for k in ('belfry', 'bare', 'load')) and not result.get('failed'):
            continue
        ours, theirs = rates(result)
        load = result.get('load', {})
        spread = f' ({min(result["belfry"]):,.0f}–{max(result["belfry"]):,.0f})' if len(result.get('belfry', ())) > 1 else ''
        yield (name, number(ours) + spread, number(theirs), number(ours and theirs and ours / theirs, 2),
               number(theirs and goal(name, theirs)), MET[drain_met(name, result)], number(load.get('rate')),
               number(load.get('put')), MET[load_met(result)])


def library_rows(results):
    for name, result in results['targets'].items():
        if 'tried' in result:
            others = '; '.join(f'{what} {rate:,.0f}' for what, rate in result['tried'].items())
            yield name, result['way'], others, known(name, result)


def latency_rows(results):
    for name, result in results['targets'].items():
        if 'latency' in result:
            reply, commit = result['latency']['reply'], result['latency']['commit']
            yield (name, number(reply['p50'], 2), number(reply['p99'], 2), number(reply['max'], 2), MET[latency_met(result)],
                   number(commit['p50'], 2), number(commit['p99'], 2), KINDS[name].poll or 'told')


def failures(results):
    found = [(name, part, text) for name, result in results['targets'].items() for part, text in result.get('failed', {}).items()]
    found += [('together', part, text) for part, text in results.get('together', {}).get('failed', {}).items()]
    return [f'- **{name}, {part}, failed**: {short(text)}' for name, part, text in found]


def have_together(results):
    t = results.get('together', {})
    return t if t.get('alone') and t.get('beside') else None


def together_text(results):
    t = have_together(results)
    if not t:
        return []
    rows, put = together.judge(t)
    body = [(name, number(a), number(b), number(ratio, 2), MET[met]) for name, a, b, ratio, met in rows]
    total = [median([sum(r or 0 for r in one['rates'].values()) for one in t[which]]) for which in ('alone', 'beside')]
    body.append(('the seven, added up', number(total[0]), number(total[1]), number(total[1] / total[0], 2), ''))
    body.append(('PUT at 500/s, p99 in ms', number(put[0], 2), number(put[1], 2), number(put[2], 2), MET[put[3]]))
    return ['### Ten targets at once', '',
            f'A backlog of {t["events"]:,} events for each of seven (70 to 130 % of that, over the turns), drained at the same time; beside '
            'them a Redis that hangs, an NSQ that refuses, and a webhook that takes ten events a second, each with the same backlog. Events/s, medians of '
            f'{len(t["alone"])} turns each. Goal: 90 % of the rate, at most twice the p99.', '',
            grid(('', 'the seven alone', 'with the three', 'ratio', 'met'), body), '']


def tables(results):
    out = []
    if any(k in r for r in results['targets'].values() for k in ('belfry', 'bare', 'load')):
        out += ['### Draining', '',
                grid(('target', 'Belfry, events/s', 'bare library, events/s', 'ratio', 'goal', 'met', 'under full PUT load, events/s',
                      'PUTs/s meanwhile', '≥ a quarter'), drain_rows(results)), '',
                grid(('target', 'the fastest way of the bare library', 'ways tried, on a tenth of the events (events/s)',
                      'elsewhere'), library_rows(results)), '']
    if any('latency' in r for r in results['targets'].values()):
        out += ['### From the commit to the consumer', '',
                grid(('target', "p50 ms after the PUT's reply", 'p99', 'longest', '≤ 10 ms', 'p50 ms after the commit began', 'p99',
                      'the consumer is'), latency_rows(results)), '']
    out += together_text(results)
    failed = failures(results)
    return '\n'.join(out + (failed + [''] if failed else []))


def missed(results):
    found = []
    for name, result in results['targets'].items():
        found += [f'{name} {what}' for what, met in (('drain', drain_met(name, result)), ('load', load_met(result)),
                                                     ('latency', latency_met(result))) if met is False]
        found += [f'{name} {part} failed' for part in result.get('failed', {})]
    t = have_together(results)
    if t:
        rows, put = together.judge(t)
        found += [f'together {row[0]}' for row in rows if not row[4]] + ([] if put[3] else ['together PUT'])
    elif 'together' in results:
        found.append('together')
    return found


TEXT = '''## Targets

Written by `bench/target`. Each kind of target against the real receiver on the same machine, beside a program that has nothing to do
but to send messages of the same bytes through the client library, and waits for the same confirmations (`bench/bare_NAME`).

{tables}
### What the figures mean

- **Belfry**: a backlog of {events:,} events (records of {envelope} bytes with their envelope, {records} without) piled up while the
  target was paused; from its resumption, connecting included, until the last event was confirmed by the receiver and resolved.
  {rounds}, in turns with the library. A namespace is mirrored where the kind knows formats. Everything runs on the same
  {cores} cores: the server, the receiver and whoever asks for the length of the queue, every 20 ms.
- **bare library**: in that batch or window of those tried that was fastest. Goal: 80 % of it or 100,000/s, whichever is less; for
  the webhook at least 8,000/s, for Redis 30,000/s. *Elsewhere*: what the library reached in an earlier measurement on another
  machine; *near*: within 30 % of it. MQTT: Belfry has a client of its own, which is faster than Paho.
- **under full PUT load**: the same backlog, resumed while 64 connections PUT as fast as they can, each adding an event. Goal: a
  quarter of what the target drains without load (or of 100,000/s).
- **From the commit to the consumer**: {samples} PUTs, one every 20 ms (Elasticsearch: 60), on an idle server, and a consumer in the
  receiver's usual way.
  The reply to a PUT says that its commit is on the disk: from there (an event may well be earlier than the reply: that is 0). The
  record's `sequencer` is taken before the commit is synced: from there the disk's time is part of it. Nothing waits for the reply.

What a confirmation is worth depends on the receiver, here:

{syncs}

### The machine

{machine}

### How to repeat it

    make bench TARGET=all                       # everything, and this section; {minutes:.0f} minutes here
    make bench TARGET=all BENCH="--events 50000 --rounds 1 --samples 150 --minutes 9"   # in 12 at most
    make bench TARGET=kafka                     # one target (names: {names})
    bench/target --latency kafka mqtt           # one part; also --together, --parts drain,load
    bench/target --help

Tables and raw results also go to `build/bench-targets.md` and `build/bench-targets.json`, after each target.
'''


def machine_text(results):
    m = results['machine']
    lines = [f'- {m["cpu"]["model"]}, {m["cpu"]["cores"]} cores, {m["memory_gb"]} GB; {m["system"]}, kernel {m["kernel"]}',
             f'- the disk: fdatasync after 4 KiB appended {number(results["disk"]["append"])}/s (one writer)',
             f'- Belfry at {results["commit"]}; {m["date"]}; load average before the run {m["load_before"]:.2f}']
    if results['state']:
        lines.append(f'- **{results["state"]}**')
    return '\n'.join(lines)


def page(results):
    rounds = results['rounds']
    envelope, records = results.get('sizes', (0, 0))
    syncs = '\n'.join(f'- {name}: {kind.syncs}' for name, kind in KINDS.items() if kind.syncs)
    return TEXT.format(tables=tables(results), events=results['events'], envelope=envelope, records=records,
                       rounds='One round' if rounds == 1 else f'Medians of {rounds} rounds', cores=results['machine']['cpu']['cores'],
                       samples=results['samples'], syncs=syncs, machine=machine_text(results), minutes=results.get('minutes', 0),
                       names=' '.join(KINDS))


def write_section(path, text):
    with open(path, encoding='utf-8') as f:
        before = f.read().partition(TARGETS_BEGIN)[0].rstrip('\n')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'{before}\n\n{TARGETS_BEGIN}\n{text}')
