# SPDX-License-Identifier: Apache-2.0
"""The real brokers: installed once (scripts/install-brokers), started by tests/brokers/start in a folder of their own.

with Broker("kafka", folder) as b:   b.port + 3 is its TLS port: the head of tests/brokers/start tells which is which
b.stop(), b.kill(), b.start()        away and back with its data
b.tls("ca.crt")                      a file of its certificates
"""
import contextlib
import functools
import os
import signal
import subprocess

from .ports import free_port
from .server import ROOT
from .wait import SCALE, wait_for

USER, PASSWORD = "alice", "alice-secret"
PORTS = 6               # that one broker may use, in a row
START = os.path.join(ROOT, "tests", "brokers", "start")
INSTALL = os.path.join(ROOT, "scripts", "install-brokers")


@functools.lru_cache(maxsize=None)
def prefix(*parts):
    """The folder that the brokers are in; the parts (without: those of make test) are installed if they are missing."""
    done = subprocess.run([INSTALL, "--print", *parts], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[-1]


def free_ports(n):
    """The first of n free ports in a row; all of them are given to nobody else while the broker is away."""
    for _ in range(100):
        ports = [free_port()]
        while len(ports) < n and ports[-1] == ports[0] + len(ports) - 1:
            ports.append(free_port())
        if ports[-1] == ports[0] + n - 1:
            return ports[0]
    raise RuntimeError(f"no {n} free ports in a row")


def _stat(path):
    try:
        with open(path + "/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()      # state, parent, …
    except OSError:
        return None


def family(pid):
    """A process and its descendants: a broker's helpers hold its sockets and its memory, too."""
    parents = {int(p): int(s[1]) for p in os.listdir("/proc") if p.isdigit() and (s := _stat(f"/proc/{p}"))}
    found = [pid]
    for p in found:
        found += [child for child, parent in parents.items() if parent == p]
    return found


def running(pid, over="ZX"):
    """Is a thread of it in another state than these? False also for one that has ended and that nobody has asked for yet; not
    while a thread of it still ends."""
    try:
        states = [_stat(f"/proc/{pid}/task/{t}") for t in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return False
    return any(s and s[0] not in over for s in states)


class Broker:
    """name: as tests/brokers/start knows it. settings: its variables (TLS, AUTH, KAFKA, ELASTIC, HEAP …). directory must
    be one that ordinary users can reach, and short (a socket lies in it)."""

    def __init__(self, name, directory, port=None, **settings):
        self.name, self.directory = name, str(directory)
        self.port = port or free_ports(PORTS)
        self.settings = {k: str(v) for k, v in settings.items()}
        self.pid, self.frozen = None, False

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def _run(self, *args):
        env = dict(os.environ, PREFIX=prefix(), **self.settings)
        done = subprocess.run([START, *map(str, args)], env=env, capture_output=True, text=True, timeout=180 * SCALE,
                              check=False)
        assert done.returncode == 0, f"{self.name}: {done.stdout[-500:]}{done.stderr[-3000:]}"
        return done.stdout

    def start(self):
        """When it returns the broker takes connections."""
        self.pid = int(self._run(self.name, self.directory, self.port).split()[-1])
        return self

    def stop(self):
        """In good order; what it was asked to keep is kept."""
        if self.pid is not None:
            self.thaw()
            self.pid = None
            self._run("stop", self.directory)

    def kill(self):
        """SIGKILL, as a crash of the broker."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGSTOP)       # or it makes another child meanwhile, which has its sockets
            pids, self.pid = family(self.pid), None
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not any(map(running, pids)), 20, f"{self.name} to be gone")
            os.remove(os.path.join(self.directory, "pid"))

    def freeze(self):
        """It keeps its connections and answers nothing, until thaw()."""
        self.frozen = True
        stopped, seen = set(), [self.pid]
        while new := [pid for pid in seen if pid not in stopped]:  # one may start another until it has stopped
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            wait_for(lambda new=new: not any(running(pid, "ZXT") for pid in new), 20, f"{self.name} to stop")
            stopped.update(new)
            seen = family(self.pid)

    def thaw(self):
        if not self.frozen or self.pid is None:
            return
        self.frozen = False
        for pid in family(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def tls(self, name):
        return os.path.join(self.directory, "tls", name)
