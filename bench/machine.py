# SPDX-License-Identifier: Apache-2.0
"""Facts about the machine that decide what a benchmark's figures are worth, and what a server syncs for a PUT."""
import os
import platform
import re
import shutil
import signal
import subprocess
import time

FLAGS = ('sha_ni', 'avx2', 'avx512f', 'bmi2', 'vaes', 'sse4_2')


def cpu():
    model, flags, count = '?', '', 0
    with open('/proc/cpuinfo') as f:
        for line in f:
            name, _, value = line.partition(':')
            name = name.strip()
            count += name == 'processor'
            if name == 'model name':
                model = value.strip()
            elif name in ('flags', 'Features'):
                flags = value
    present = flags.split()
    return {'model': model, 'cores': count, 'flags': [f for f in FLAGS if f in present]}


def openssl_speed(name):
    """MB/s of one core by block size; an empty dict where the tool is missing."""
    rates = {}
    if shutil.which('openssl') is None:
        return rates
    for size in (1024, 16384):
        done = subprocess.run(['openssl', 'speed', '-seconds', '1', '-bytes', str(size), '-evp', name],
                              capture_output=True, text=True)
        found = re.findall(r'([\d.]+)k\s*$', done.stdout, re.M)
        if found:
            rates[str(size)] = round(float(found[-1]) / 1000)
    return rates


def fdatasync_rates(directory, seconds=1.0):
    """Syncs per second: 4 KiB appended each time, and 4 KiB written over the same place."""
    path = os.path.join(directory, 'fdatasync.probe')
    block = os.urandom(4096)
    rates = {}
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for how in ('append', 'overwrite'):
            count, begin = 0, time.monotonic()
            while time.monotonic() - begin < seconds:
                os.pwrite(fd, block, count * 4096 if how == 'append' else 0)
                os.fdatasync(fd)
                count += 1
            rates[how] = count / (time.monotonic() - begin)
    finally:
        os.close(fd)
        os.unlink(path)
    return rates


def file_system(directory):
    path, best = os.path.realpath(directory) + '/', ('', '?', '')
    with open('/proc/self/mounts') as f:
        for line in f:
            _, point, kind, options = line.split()[:4]
            if path.startswith(point.rstrip('/') + '/') and len(point) >= len(best[0]):
                best = (point, kind, options)
    return {'type': best[1], 'options': best[2]}


def memory_gb():
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30


def facts(directory):
    return {'date': time.strftime('%Y-%m-%d', time.gmtime()), 'cpu': cpu(), 'memory_gb': round(memory_gb(), 1),
            'kernel': platform.release(), 'system': system_name(), 'file_system': file_system(directory),
            'load_before': os.getloadavg()[0],
            'sha256_mb_s': openssl_speed('sha256'), 'md5_mb_s': openssl_speed('md5')}


def system_name():
    try:
        with open('/etc/os-release') as f:
            return next(line.split('=', 1)[1].strip().strip('"') for line in f if line.startswith('PRETTY_NAME='))
    except (OSError, StopIteration):
        return platform.system()


CALLS = 'fsync,fdatasync,sync_file_range,syncfs,sync,openat,creat,rename,renameat,renameat2,pwritev2'


def traced_syncs(server, work, count):
    """Calls per PUT while work() makes `count` of them, by strace; None where it is missing or not allowed."""
    if shutil.which('strace') is None:
        return None
    trace = server.directory + '.strace'
    command = ['strace', '-f', '-qq', '-e', 'trace=' + CALLS, '-o', trace, '-p', str(server.process.pid)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while not is_traced(server.process.pid):
            if tracer.poll() is not None or time.monotonic() > end:
                return None
            time.sleep(0.02)
        work()
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
    with open(trace, errors='replace') as f:
        tally = count_calls(f)
    os.unlink(trace)
    return {name: round(n / count, 2) for name, n in tally.items() if n > 0}


def is_traced(pid):
    with open(f'/proc/{pid}/status') as f:
        return not any(line.split() == ['TracerPid:', '0'] for line in f)


def count_calls(lines):
    tally = dict.fromkeys(('fdatasync', 'fsync', 'sync_file_range', 'syncfs', 'open O_SYNC/O_DSYNC', 'open O_DIRECT',
                           'rename'), 0)
    for line in lines:
        found = re.match(r'\d+\s+(\w+)\(', line)
        if found is None or '= -1' in line:
            continue
        name = found.group(1)
        if name in ('openat', 'creat'):
            tally['open O_SYNC/O_DSYNC'] += 'O_SYNC' in line or 'O_DSYNC' in line
            tally['open O_DIRECT'] += 'O_DIRECT' in line
        else:
            name = 'rename' if name.startswith('rename') else name
            tally[name] = tally.get(name, 0) + 1
    return tally
