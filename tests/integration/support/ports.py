# SPDX-License-Identifier: Apache-2.0
"""Free TCP ports, taken below the range the kernel uses for outgoing connections.

A port from that range could be taken by somebody's outgoing connection while the
server under test is down (a client retrying a dead port can even connect to itself),
and the restart on the same port would fail for a reason that is not the server's."""
import random
import socket

_random = random.SystemRandom()


def _ephemeral_start():
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
            return int(f.read().split()[0])
    except OSError:
        return 32768


def free_port():
    """A port on loopback that nobody listens on at this moment."""
    top = max(_ephemeral_start(), 12000)
    for _ in range(200):
        port = _random.randrange(10000, top)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port found")
