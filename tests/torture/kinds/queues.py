# SPDX-License-Identifier: Apache-2.0
"""Brokers that pass messages on: RabbitMQ, Kafka, Mosquitto, NATS in its three forms, nsqd."""
import contextlib
import json
import struct
import urllib.error
import urllib.request

from support.amqp import Rabbit, amqp_env
from support.brokers import PASSWORD, USER
from support.kafka import Topic, kafka_env
from support.mqtt import Subscription, mqtt_env
from support.nats import CLUSTER, LOOP, Stream, nats_env
from support.nats import Consumer as NatsConsumer
from support.nsq import Consumer as NsqConsumer
from support.nsq import Nsq, nsq_env
from support.wait import wait_for

from .base import JOURNAL, Kind


class Amqp(Kind):
    name = target = "amqp"
    broker_name = "rabbitmq"

    def env(self):
        url = f"amqp://{USER}:{PASSWORD}@{self.address}"
        return amqp_env(url, *self.ids, exchange=JOURNAL, durable="on", delivery_mode=2, mandatory="on")

    def prepare(self):
        self.rabbit, self.taken = Rabbit(self.broker), []
        self.queue().close()

    def queue(self):
        return self.rabbit.queue(JOURNAL, exchange_durable=True, name=JOURNAL, durable=True)

    def bodies(self):
        queue = self.queue()
        for method, _, body in queue.channel.consume(JOURNAL, auto_ack=True, inactivity_timeout=0.5):
            if method is None:
                break
            self.taken.append(body)
        queue.close()
        return self.taken

    def lose(self, run):
        """The exchange: Belfry makes it anew, and waits until a queue is bound to it."""
        queue = self.queue()
        queue.channel.exchange_delete(JOURNAL)
        run.pause(1.5)
        queue.close()
        self.queue().close()

    def later(self):
        """Short of memory, it takes nothing from those who publish."""
        self.rabbit.run("vm_memory_monitor:set_vm_memory_high_watermark(0.00001).")

    def later_over(self):
        self.rabbit.run("vm_memory_monitor:set_vm_memory_high_watermark(0.4).")

    def nack(self):
        """The queue is full. In two steps: with both at once it would drop what it has, before it learns not to."""
        for policy in ('{"overflow": "reject-publish"}', '{"max-length": 1, "overflow": "reject-publish"}'):
            self.rabbit.control("set_policy", "full", JOURNAL, policy, "--apply-to", "queues")

    def nack_over(self):
        self.rabbit.control("clear_policy", "full")


class Kafka(Kind):
    name = target = broker_name = "kafka"
    window = at_kill = 512
    once = "lives"

    def env(self):
        return kafka_env(self.broker, JOURNAL, *self.ids, brokers=self.address)

    def start(self):
        self.broker.settings["ADVERTISE"] = str(self.wire.port)
        super().start()

    def bodies(self):
        return [m.body for m in Topic(self.broker, JOURNAL).messages()]

    def count(self):
        return Topic(self.broker, JOURNAL).last()

    def admin(self):
        from kafka.admin import KafkaAdminClient
        return KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{self.broker.port}")

    def lose(self, run):
        with run.still(self):
            self.save()
            admin = self.admin()
            admin.delete_topics([JOURNAL])
            admin.close()

    def configure(self, **config):
        from kafka.admin import ConfigResource, ConfigResourceType
        admin = self.admin()
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, JOURNAL, config)])
        admin.close()

    def later(self):
        """Fewer replicas than it is told to want."""
        self.configure(**{"min.insync.replicas": "2"})

    def later_over(self):
        self.configure(**{"min.insync.replicas": "1"})


class Mqtt(Kind):
    name = target = broker_name = "mqtt"
    window = at_kill = 100
    forgets = True

    def later(self):
        """MQTT 3.1.1 has such a thing in the answer to CONNECT alone, 3: server unavailable. PUBACK has no place for it."""
        self.wire.busy(b"MQTT", b"\x20\x02\x00\x03")

    def later_over(self):
        self.wire.busy_over()

    def env(self):
        return mqtt_env(f"tcp://{self.address}", *self.ids, topic=JOURNAL)

    def prepare(self):
        self.consumer = Subscription(self.broker, JOURNAL)
        self.consumer.__enter__()

    def listen(self):
        if hasattr(self, "consumer"):
            wait_for(self.consumer.ready.is_set, 30, "the consumer to be back")

    def kill(self):
        super().kill()
        self.consumer.ready.clear()

    def stop(self):
        super().stop()
        self.consumer.ready.clear()

    def shut(self):
        self.consumer.__exit__()

    def bodies(self):
        return [m.payload for m in list(self.consumer.raw)]

    def count(self):
        return len(self.consumer.raw)


class Nats(Kind):
    """NATS has no answer to a message that means 'later', only one to a client that is one too many. (A full stream of JetStream
    has; a channel of Streaming drops its oldest.)"""

    def later(self):
        self.wire.busy(b"CONNECT {", b"-ERR 'maximum connections exceeded'\r\n")

    def later_over(self):
        self.wire.busy_over()


class NatsCore(Nats):
    name, target, broker_name = "nats-core", "nats", "nats"
    forgets = True

    def env(self):
        return nats_env(self.address, *self.ids, subject=JOURNAL)

    def prepare(self):
        self.consumer = NatsConsumer(self.broker, JOURNAL)
        self.consumer.__enter__()

    def listen(self):
        if hasattr(self, "consumer"):
            wait_for(lambda: self.consumer.nc.is_connected, 30, "the consumer to be back")
            LOOP(self.consumer.nc.flush())

    def shut(self):
        self.consumer.__exit__()

    def bodies(self):
        return list(self.consumer.bodies)


class JetStream(Kind):
    name, target, broker_name = "nats-jetstream", "nats", "nats"
    once = "always"

    def env(self):
        return nats_env(self.address, *self.ids, subject=JOURNAL, jetstream="on")

    def prepare(self):
        self.stream = Stream(self.broker, JOURNAL).add()

    def bodies(self):
        return [e.data for e in self.stream.read_all()]

    def count(self):
        return self.stream.count()

    def lose(self, run):
        with run.still(self):
            self.save()
            self.stream.delete()
        run.pause(1)
        self.stream.add()

    def limit(self, n):
        from nats.js.api import DiscardPolicy, StreamConfig
        config = StreamConfig(name=self.stream.name, subjects=[JOURNAL], max_msgs=n, discard=DiscardPolicy.NEW)
        self.stream._call(lambda js: js.update_stream(config))      # noqa: SLF001

    def later(self):
        """It is full."""
        self.limit(self.count())

    def later_over(self):
        self.limit(-1)


class Streaming(Nats):
    name, target, broker_name = "nats-streaming", "nats", "stan"

    def env(self):
        return nats_env(self.address, *self.ids, subject=JOURNAL, streaming="on", streaming_async="on", streaming_cluster_id=CLUSTER)

    def count(self):
        url = f"http://127.0.0.1:{self.broker.port + 1}/streaming/channelsz?channel={JOURNAL}"
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as reply:
                return json.loads(reply.read())["msgs"]
        except urllib.error.HTTPError:
            return 0

    def bodies(self):
        with NatsConsumer(self.broker, JOURNAL, "stan") as c:
            n = self.count()
            wait_for(lambda: len(c.bodies) >= n, 60, f"{n} messages")
            return list(c.bodies)


class NsqTail(NsqConsumer):
    """Keeps what nsqd says of a message, too: its id (a message that it hands out twice is one), and when it took it."""

    def __init__(self, port, into):
        self.into = into
        super().__init__(port, JOURNAL, "torture")

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                size, kind = struct.unpack(">II", self._take(8))
                data = self._take(size - 4)
                if kind == 2:
                    name = data[10:26]
                    self.into.setdefault(name, (int.from_bytes(data[:8], "big"), data[26:]))
                    self.sock.sendall(b"FIN %s\n" % name)
                elif data == b"_heartbeat_":
                    self.sock.sendall(b"NOP\n")


def nsq_error(text):
    return struct.pack(">II", 4 + len(text), 1) + text


class NsqKind(Kind):
    name = target = broker_name = "nsq"
    window = at_kill = 1000
    forgets = True

    def later(self):
        """As when its disk is full."""
        self.wire.busy(b"PUB %s\n" % JOURNAL.encode(), nsq_error(b"E_MPUB_FAILED MPUB failed no space left on device"))

    def later_over(self):
        self.wire.busy_over()

    def env(self):
        return nsq_env(self.address, *self.ids, topic=JOURNAL)

    def prepare(self):
        self.nsq, self.taken, self.consumer = Nsq(self.broker), {}, None
        self.listen()

    def listen(self):
        if hasattr(self, "taken"):
            self.shut()
            self.consumer = NsqTail(self.broker.port, self.taken)

    def shut(self):
        if self.consumer:
            self.consumer.close()
            self.consumer = None

    def bodies(self):
        """nsqd promises no order to consumers; the order in which it took them is told by itself."""
        return [body for _, body in sorted(self.taken.values(), key=lambda m: m[0])]

    def count(self):
        return len(self.taken)

    def lose(self, run):
        with run.still(self):
            self.nsq.http(f"/topic/delete?topic={JOURNAL}", b"")
        self.listen()
