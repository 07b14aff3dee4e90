# SPDX-License-Identifier: Apache-2.0
"""From the raw results of bench/run to the table of goals and the page docs/benchmarks.md."""
import collections
import os
import statistics

OPS = ('put1', 'put16', 'put64', 'get', 'head', 'delete')
NAMES = {'put1': 'PUT, 1 connection', 'put16': 'PUT, 16 connections', 'put64': 'PUT, 64 connections',
         'get': 'GET, 16 connections', 'head': 'HEAD, 16 connections', 'delete': 'DELETE, 16 connections'}
TITLES = {'belfry': 'Belfry, rule, target up', 'belfry-unreachable': 'Belfry, rule, target unreachable',
          'belfry-norule': 'Belfry, no rule', 'minio': 'MinIO, no rule'}
RATIO_GOALS = {'put1': 2.5, 'put16': 5, 'put64': 6, 'get': 2.5, 'head': 2.5, 'delete': 2}
RULE_COST_GOAL = 15   # percent, target unreachable
DELIVERY_GOAL_MS = 10
DRAIN_GOAL = 4000
REDIS_PUT_GOAL = 4
REDIS_DRAIN_GOAL = 20_000
LISTING_GOAL = 3
TARGETS_BEGIN = '<!-- written by bench/target -->'
MULTIPART_GOAL = 1
IDLE_GOAL_MB = 50
READY_GOAL_MS = 100

# One goal: texts for the columns, and whether it is met (None: no goal, or nothing to compare).
Row = collections.namedtuple('Row', 'what belfry minio ratio goal met')


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def of_rounds(results, variant, *path):
    found = []
    for one in results['speed'].get(variant, []):
        for name in path:
            one = one.get(name) if one is not None else None
        found.append(one)
    return median(found)


def number(value, digits=0, unit=''):
    return '–' if value is None else f'{value:,.{digits}f}{unit}'


def compare(results, op):
    ours, theirs = (of_rounds(results, v, op, 'rate') for v in ('belfry', 'minio'))
    ratio = ours / theirs if ours and theirs else None
    goal = RATIO_GOALS[op]
    return Row(NAMES[op], number(ours, 0, '/s'), number(theirs, 0, '/s'), number(ratio, 2, '×'), f'≥ {goal}×',
               None if ratio is None else ratio >= goal)


def rule_cost(results, variant, n):
    """Percent of the PUT rate that a matching rule costs; compared round by round, because the disk drifts."""
    costs = []
    for with_rule, without in zip(results['speed'].get(variant, []), results['speed'].get('belfry-norule', [])):
        costs.append(100 * (1 - with_rule[f'put{n}']['rate'] / without[f'put{n}']['rate']))
    return median(costs)


def limit(what, ours, theirs, goal, met):
    return Row(what, ours, theirs, '', goal, met)


def rows(results):
    """Every goal, in the order of the page."""
    out = [compare(results, op) for op in OPS] if any(results['speed'].values()) else []
    for n in (1, 16, 64):
        cost = rule_cost(results, 'belfry-unreachable', n)
        if cost is not None:
            out.append(limit(f'A rule costs PUT with {n} connections, target unreachable', number(cost, 1, ' %'), '',
                             f'≤ {RULE_COST_GOAL} %', cost <= RULE_COST_GOAL))
    for n in (1, 16, 64):
        cost = rule_cost(results, 'belfry', n)
        if cost is not None:
            out.append(limit(f'… with {n} connections, target up on the same machine', number(cost, 1, ' %'), '', '',
                             None))
    p50, p99 = (median([one['delivery_us'][p] / 1000 for one in results['latency']]) for p in ('p50', 'p99'))
    if p99 is not None:
        out.append(limit('Commit to delivery on an idle server, p50', number(p50, 2, ' ms'), '', '', None))
        out.append(limit('Commit to delivery on an idle server, p99', number(p99, 2, ' ms'), '',
                         f'≤ {DELIVERY_GOAL_MS} ms', p99 <= DELIVERY_GOAL_MS))
    drain = median([one['rate'] for one in results['backlog']])
    if drain is not None:
        out.append(limit(f'Backlog of {results["backlog_events"]:,} events, drained at', number(drain, 0, '/s'), '',
                         f'≥ {DRAIN_GOAL:,}/s', drain >= DRAIN_GOAL))
    out += [*redis_rows(results), *task_rows(results)]
    for what, name, goal, unit in (('Resident memory, idle', 'idle_mb', IDLE_GOAL_MB, ' MB'),
                                   ('Resident memory after the load', 'loaded_mb', None, ' MB'),
                                   ('From exec to ready, empty directory', 'ready_ms', READY_GOAL_MS, ' ms')):
        ours, theirs = (of_rounds(results, v, name) for v in ('belfry', 'minio'))
        if ours is not None or theirs is not None:
            out.append(limit(what, number(ours, 0, unit), number(theirs, 0, unit), f'≤ {goal}{unit}' if goal else '',
                             ours <= goal if goal and ours is not None else None))
    return out


def against(what, ours, theirs, unit, goal):
    ratio = ours / theirs if ours and theirs else None
    return Row(what, number(ours, 0, unit), number(theirs, 0, unit), number(ratio, 2, '×'), f'≥ {goal}×',
               None if ratio is None else ratio >= goal)


def redis_rows(results):
    rates = {kind: median([one[kind]['rate'] for one in results.get('redis', []) if kind in one]) for kind in ('belfry', 'minio')}
    if rates['belfry']:
        yield against('PUT, 16 connections, the rule is to Redis', rates['belfry'], rates['minio'], '/s', REDIS_PUT_GOAL)
    drain = median([one['rate'] for one in results.get('redis_backlog', [])])
    if drain is not None:
        yield limit(f'Backlog of {results["backlog_events"]:,} events for Redis, drained at', number(drain, 0, '/s'), '',
                    f'≥ {REDIS_DRAIN_GOAL:,}/s', drain >= REDIS_DRAIN_GOAL)


def task_rows(results):
    for what, part, unit, goal in ((f'{results.get("listing_keys", 0):,} keys listed by 1,000', 'listing', ' keys/s', LISTING_GOAL),
                                   (f'{results.get("upload_mib", 0)} MiB uploaded in parts of 8', 'multipart', ' MiB/s', MULTIPART_GOAL)):
        rates = {kind: median(v) for kind, v in results.get(part, {}).items()}
        if any(rates.values()):
            yield against(what, rates.get('belfry'), rates.get('minio'), unit, goal)


def mark(met):
    return '' if met is None else ('yes' if met else '**no**')


def grid(head, body):
    lines = ['| ' + ' | '.join(head) + ' |', '|' + ' --- |' * len(head)]
    return '\n'.join(lines + ['| ' + ' | '.join(map(str, line)) + ' |' for line in body])


def goals_grid(results):
    return grid(('', 'Belfry', 'MinIO', 'ratio', 'goal', 'met'),
                [(r.what, r.belfry, r.minio, r.ratio, r.goal, mark(r.met)) for r in rows(results)])


def summary(results):
    lines = []
    for r in rows(results):
        lines.append(f'{r.what:58} {r.belfry:>12} {r.minio:>12} {r.ratio:>8}  {r.goal:>10} '
                     f'{ {None: "", True: "ok", False: "MISSED"}[r.met]}')
    return '\n'.join(lines)


def detail_grid(results):
    body = []
    for variant, title in TITLES.items():
        for op in OPS:
            rate = of_rounds(results, variant, op, 'rate')
            if rate is None:
                continue
            p50, p99 = (of_rounds(results, variant, op, 'latency_us', p) for p in ('p50', 'p99'))
            rates = [one[op]['rate'] for one in results['speed'][variant]]
            body.append((title, NAMES[op], number(rate), f'{min(rates):,.0f}–{max(rates):,.0f}',
                         number(p50 / 1000, 2), number(p99 / 1000, 2),
                         number(of_rounds(results, variant, op, 'server_cpu_us')),
                         number(of_rounds(results, variant, op, 'cpu_us_per_request'))))
    return grid(('server', 'operation', 'per second', 'lowest–highest round', 'p50 ms', 'p99 ms', 'server CPU µs',
                 'generator CPU µs'), body)


def hash_rates(machine):
    found = []
    for title, name in (('SHA-256', 'sha256_mb_s'), ('MD5', 'md5_mb_s')):
        rates = [f'{rate:,} MB/s in blocks of {int(size):,}' for size, rate in machine[name].items()]
        if rates:
            found.append(f'{title} ' + ', '.join(rates))
    return '; '.join(found) or 'not measured'


def machine_list(results):
    m, versions = results['machine'], results['versions']
    cpu, disk = m['cpu'], m['file_system']
    append, overwrite = (median([one[how] for one in results['disk']]) for how in ('append', 'overwrite'))
    return '\n'.join((
        f'- {cpu["model"]}, {cpu["cores"]} cores, {m["memory_gb"]} GB; flags that matter: {" ".join(cpu["flags"])}',
        f'- {m["system"]}, kernel {m["kernel"]}, {disk["type"]} ({disk["options"]})',
        f'- one core, by `openssl speed`: {hash_rates(m)}',
        f'- the disk: fdatasync after 4 KiB appended {number(append)}/s, after 4 KiB overwritten {number(overwrite)}/s '
        '(one writer, median over the rounds)',
        f'- Belfry at {versions["commit"]}; MinIO {versions.get("minio", "not measured")}',
        f'- {m["date"]}; load average before the run {m["load_before"]:.2f}'))


def sync_text(results):
    lines = []
    for kind, title in (('belfry', 'Belfry'), ('minio', 'MinIO')):
        seen = results['syncs'].get(kind)
        if seen is not None:
            calls = ', '.join(f'{name} {n:g}' for name, n in seen.items())
            lines.append(f'- {title}: {calls or "none of the calls that sync"}')
    if not lines:
        return 'Not observed in this run (strace was not there or not allowed).'
    return 'Calls per PUT seen by strace (200 PUTs, one connection; background work counts too):\n\n' + '\n'.join(lines)


def others_section(path):
    """What bench/target wrote at the end of the page: it stays."""
    if not os.path.exists(path):
        return ''
    with open(path, encoding='utf-8') as f:
        _, mark, rest = f.read().partition(TARGETS_BEGIN)
    return '\n' + mark + rest if mark else ''


PAGE = '''# Benchmarks

Written by `bench/run`; do not edit. Objects of {size:,} bytes, requests signed (SigV4, the body's hash included),
kept-alive connections, load generator on the same machine. Medians of {rounds} rounds.

**Belfry has a webhook rule that matches every PUT and delivers every event to a receiver on the same machine; MinIO
has no rule.** Both run with their defaults, with one directory on the same disk.

{goals}

## Details

{details}

CPU is user and system time of the process per request, for Belfry with delivery.

## The machine

{machine}

## What is synced

Belfry answers a PUT or DELETE after fdatasync: the object, its events and its place in the index are then one record of
the log, and requests that wait together share one sync. MinIO is measured as it comes, on one directory: it keeps a
small object inside its metadata file, which it opens O_DSYNC and then renames into place; no sync of a directory was
seen.

{syncs}

## How it is measured

- One server is alive at a time, on an empty directory; the variants take turns within a round, and their order moves on
  from round to round. Each figure is {seconds:g} s of load.
- Keys are spread over the hash range, not in order. GET and HEAD choose among 2,000 keys at random; every GET's body is
  compared. A reply other than 2xx ends the run.
- Before GET, HEAD and DELETE the receiver must have every event of the PUTs, otherwise the run fails.
- "Target unreachable" is a port that refuses connections. What a rule costs is compared round by round.
- Commit to delivery is the receiver's clock minus the record's `sequencer`, which is taken before the commit's sync; a
  PUT every 20 ms on an idle server.
- The backlog is put while the target's port is closed; the rate is from the first to the last arrival after it opens.
- Redis runs with appendonly, synced every second; PUT goes to a hash, whose entries are counted before the run goes on, the
  backlog to a list, timed from the first to the last entry that is seen there.
- Listing: ListObjectsV2 over one connection. Upload: four parts at a time, hashes of the parts made before.
- MinIO's console and update check are switched off.

## How to repeat it

    make bench                  # everything; {minutes:.0f} minutes here, on a machine that should do nothing else
    bench/run --quick           # one short round, no page
    bench/run --help            # parts, variants, other disks (--dir), other sizes

Raw results: `build/bench.json`.
'''


def page(results):
    return PAGE.format(size=results['size'], rounds=results['rounds'], seconds=results['seconds'],
                       minutes=results.get('minutes', 0), goals=goals_grid(results), details=detail_grid(results),
                       machine=machine_list(results), syncs=sync_text(results))
