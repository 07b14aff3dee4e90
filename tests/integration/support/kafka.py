# SPDX-License-Identifier: Apache-2.0
"""A Kafka target's variables, and what kcat reads of a topic. Ports of the broker: see start_kafka in tests/brokers/start."""
import functools
import json
import subprocess
import uuid

from .brokers import PASSWORD, USER
from .wait import SCALE, wait_for

SASL, TLS, MUTUAL, SASL_TLS = 2, 3, 4, 5        # added to the broker's port


@functools.total_ordering
class Message:
    """What came: key, body, record; headers as a dict."""

    def __init__(self, line):
        m = json.loads(line)
        self.key, self.body, self.partition, self.offset = m["key"], m["payload"], m["partition"], m["offset"]
        names = m.get("headers") or []
        self.headers = dict(zip(names[::2], names[1::2]))
        self.record = json.loads(self.body)["Records"][0]
        self.event = self.record["eventName"]
        self.sequencer = self.record["s3"]["object"]["sequencer"]

    def __lt__(self, other):
        return (self.partition, self.offset) < (other.partition, other.offset)

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


def kcat(broker, *args, check=True):
    done = subprocess.run(["kcat", "-b", f"127.0.0.1:{broker.port}", "-q", *map(str, args)], capture_output=True, text=True,
                          timeout=60 * SCALE, check=False)
    assert not check or done.returncode == 0, done
    return done.stdout


class Topic:
    def __init__(self, broker, name=None):
        self.broker, self.name = broker, name or f"t-{uuid.uuid4().hex[:12]}"

    def messages(self):
        """All there are; none when there is no such topic."""
        lines = kcat(self.broker, "-C", "-t", self.name, "-o", "beginning", "-e", "-J", check=False).splitlines()
        return sorted(map(Message, lines))

    def wait(self, n, deadline=30):
        """All messages, once there are n different events."""
        found = []

        def there():
            found[:] = self.messages()
            return len({m.sequencer for m in found}) >= n

        wait_for(there, deadline, f"{n} events in topic {self.name}")
        return found

    def last(self):
        """How many messages were ever written, over all partitions, without reading them."""
        out = kcat(self.broker, "-Q", "-t", f"{self.name}:0:-1", check=False).split()
        return int(out[-1]) if out else 0


def kafka_env(broker, topic, target="1", *, extra=0, host="127.0.0.1", **keys):
    """extra: SASL, TLS, …: which of the broker's ports."""
    brokers = keys.pop("brokers", None) or f"{host}:{broker.port + extra}"
    keys = {"enable": "on", "brokers": brokers, "topic": getattr(topic, "name", topic), **keys}
    return {f"MINIO_NOTIFY_KAFKA_{k.upper()}_{target}": v for k, v in keys.items()}


def login(mechanism="plain", **more):
    return {"sasl": "on", "sasl_username": USER, "sasl_password": PASSWORD, "sasl_mechanism": mechanism, **more}
