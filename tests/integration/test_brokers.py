# SPDX-License-Identifier: Apache-2.0
"""The brokers of the tests themselves: each starts, is killed, comes back on the same ports, and is stopped."""
import socket

import pytest

# Those that take long to start are killed and started again by their targets' own tests, too.
NAMES = [pytest.param(name, marks=pytest.mark.long) for name in ("kafka", "elasticsearch", "rabbitmq")] + [
    "nsq", "nats", "stan", "mqtt", "redis", "postgres", "mariadb"]


def reachable(broker):
    try:
        socket.create_connection(("127.0.0.1", broker.port), 5).close()
    except OSError:
        return False
    return True


@pytest.mark.brokers
@pytest.mark.parametrize("name", NAMES)
def test_starts_again_after_a_kill(start_broker, name):
    broker = start_broker(name)
    assert reachable(broker)
    broker.kill()
    assert not reachable(broker)
    broker.start()
    assert reachable(broker)
    broker.stop()
    assert not reachable(broker)
