# SPDX-License-Identifier: Apache-2.0
"""A consumer of Mosquitto (paho-mqtt): a session that outlives it, so that nothing is missed."""
import json
import threading
import uuid

from paho.mqtt import client as paho

from .brokers import PASSWORD, USER
from .wait import wait_for

# Ports of tests/brokers/start mqtt.
TCP, WS, SSL, WSS, MUTUAL = range(5)


class Message:
    """One message of a topic: what a consumer sees of it."""

    def __init__(self, message):
        self.topic, self.qos, self.retain, self.body = message.topic, message.qos, message.retain, message.payload
        self.envelope = json.loads(self.body)
        (self.record,) = self.envelope["Records"]
        self.event, self.key = self.envelope["EventName"], self.envelope["Key"]
        self.sequencer = self.record["s3"]["object"]["sequencer"]


class Subscription:
    """with Subscription(broker, "topic") as s: what is published from then on; it survives a restart of the broker."""

    def __init__(self, broker, topic, login=False):
        self.raw, self.ready, self.topic = [], threading.Event(), topic
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"test-{uuid.uuid4().hex[:12]}", clean_session=False)
        if login:
            self.client.username_pw_set(USER, PASSWORD)
        self.client.on_connect = lambda c, *_: c.subscribe(topic, 2)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda _c, _u, m: self.raw.append(m)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", broker.port + TCP)
        self.client.loop_start()

    def __enter__(self):
        assert self.ready.wait(20), "no subscription"
        return self

    def __exit__(self, *exc):
        self.client.disconnect()
        self.client.loop_stop()

    def wait(self, n, deadline=20):
        wait_for(lambda: len(self.raw) >= n, deadline, f"{n} messages")
        return [Message(m) for m in list(self.raw)]

    def wait_distinct(self, n, deadline=60):
        """Until n different changes have come."""
        wait_for(lambda: len(self.raw) >= n and len({Message(m).sequencer for m in list(self.raw)}) >= n, deadline, f"{n} changes")
        return [Message(m) for m in list(self.raw)]


def mqtt_env(broker_or_url, target_id="1", **keys):
    """Environment of one MQTT target; keys such as topic, qos."""
    url = broker_or_url if isinstance(broker_or_url, str) else f"tcp://127.0.0.1:{broker_or_url.port}"
    keys = {"broker": url, "topic": "minio", "qos": 1, **keys}
    suffix = f"_{target_id}" if target_id else ""
    env = {f"MINIO_NOTIFY_MQTT_ENABLE{suffix}": "on"}
    env.update({f"MINIO_NOTIFY_MQTT_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
    return env
