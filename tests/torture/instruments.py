# SPDX-License-Identifier: Apache-2.0
"""What measures: the programs of bench/ and native/ beside the server, and what the kernel and the store's folder tell."""
import contextlib
import json
import os
import re
import subprocess
import sys
import time

from support.wait import SCALE, wait_for

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.append(os.path.join(ROOT, "bench"))
from servers import Sink                                    # noqa: E402 - the path is set above

TICKS = os.sysconf("SC_CLK_TCK")


def tool(ctx, path):
    """A program of the build: beside the server under test, or where the server is one of the mutants, in build/."""
    for folder in (ctx.build, os.path.join(ROOT, "build")):
        if os.access(os.path.join(folder, path), os.X_OK):
            return os.path.join(folder, path)
    raise FileNotFoundError(f"{path} is not built: ninja -C build")


def sink(ctx, port=0):
    """belfry-sink, a webhook receiver that takes whatever comes; with `with`."""
    return Sink(tool(ctx, "bench/belfry-sink"), port)


class Load:
    """belfry-load on one bucket of one server; each call is a process."""

    def __init__(self, ctx, server, bucket):
        self.base = [tool(ctx, "bench/belfry-load"), "--endpoint", server.endpoint, "--access-key", server.user,
                     "--secret-key", server.password, "--bucket", bucket]

    def start(self, op, connections, **options):
        """The process; options as of the program, with _ for -."""
        args = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
        return subprocess.Popen(self.base + ["--op", op, "--connections", str(connections), *args],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def result(process, timeout=600):
        """Its report (a dict; latency_us in it)."""
        out, err = process.communicate(timeout=timeout * SCALE)
        if process.returncode == 1 or not out:
            raise AssertionError(f"belfry-load ended with {process.returncode}: {err[-500:]}")
        return json.loads(out)

    def run(self, op, connections, **options):
        return self.result(self.start(op, connections, **options))


@contextlib.contextmanager
def running(process):
    """Ends it, whatever happens."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def memory(server):
    """Bytes by name: VmRSS; RssAnon alone is what the process itself has taken."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        return {n: int(kb) * 1024 for n, kb in re.findall(r"(\w+):\s+(\d+) kB", f.read())}


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def queued(server):
    """Events that wait, over all targets. The server's metrics must be public."""
    reply = server.s3.request("GET", "/minio/v2/metrics/cluster", sign=False)
    found = re.findall(r"^minio_notify_target_queue_length\{.*\} (\S+)$", reply.body.decode(), re.M)
    assert found, reply
    return sum(map(float, found))


def disk(directory):
    """Bytes of the store's folder by kind: log, sst, bodies in rows (blob), bodies in files, all."""
    sizes = {"log": 0, "sst": 0, "blob": 0, "files": 0, "all": 0}
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                n = os.stat(os.path.join(folder, name)).st_size
            except FileNotFoundError:
                continue
            end = name.rpartition(".")[2]
            kind = end if os.path.basename(folder) == "kv" and end in sizes else \
                "files" if "blobs" in folder else None
            sizes["all"] += n
            if kind:
                sizes[kind] += n
    return sizes


def until(seconds, *alive):
    """Lets time pass, unless one of these processes ends before."""
    end = time.monotonic() + seconds
    with contextlib.suppress(AssertionError):
        wait_for(lambda: time.monotonic() >= end or any(p.poll() is not None for p in alive), seconds / SCALE + 5)


def slope(points):
    """Least squares: how fast y grows with x, over (x, y)."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    below = sum((x - mx) ** 2 for x, _ in points)
    return sum((x - mx) * (y - my) for x, y in points) / below if below else 0.0


def median(values):
    v = sorted(values)
    return (v[len(v) // 2] + v[(len(v) - 1) // 2]) / 2
