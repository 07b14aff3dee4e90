# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports, taken below the range the kernel uses for outgoing connections.

A port from that range could be taken by somebody's outgoing connection while the
server under test is down (a client retrying a dead port can even connect to itself),
and the restart on the same port would fail for a reason that is not the server's. Each
process gives ports of a slice of its own: of two that run beside each other none may take
the port that the other was given, and does not use at this moment."""
import fcntl
import os
import random
import socket
import tempfile

SLICES = 64
_random = random.SystemRandom()
_given = None                   # (first, past the last, last given, process); the lock lives as long as the process
_lock = None


def _ephemeral_start():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
            return int(f.read().split()[0])
    except OSError:
        return 32768


def _take_slice(first, end):
    """A slice that no other process has; all of the range when there is none left."""
    global _lock
    size = (end - first) // SLICES
    for i in _random.sample(range(SLICES), SLICES):
        try:
            lock = os.open(os.path.join(tempfile.gettempdir(), f"belfry-ports-{i}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        _lock = lock
        return first + i * size, first + (i + 1) * size
    return first, end


def free_port():
    """A port on loopback that nobody listens on at this moment."""
    global _given
    if _given is None or _given[3] != os.getpid():
        first, end = _take_slice(10000, max(_ephemeral_start(), 12000))
        _given = first, end, _random.randrange(first, end), os.getpid()
    first, end, port, pid = _given
    for _ in range(end - first):
        port = port + 1 if port + 1 < end else first
        _given = first, end, port, pid
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port found")
