# SPDX-License-Identifier: Apache-2.0
"""A consumer of RabbitMQ (pika), and rabbitmqctl for what no client can do."""
import json
import os
import subprocess

import pika
from pika.exceptions import AMQPError

from .brokers import PASSWORD, USER
from .wait import SCALE, wait_for


class Message:
    """One message of a queue: what a consumer sees of it."""

    def __init__(self, method, properties, body):
        self.redelivered, self.routing_key, self.exchange = method.redelivered, method.routing_key, method.exchange
        self.properties, self.headers, self.body = properties, properties.headers, body
        self.envelope = json.loads(body)
        (self.record,) = self.envelope["Records"]
        self.event, self.key = self.envelope["EventName"], self.envelope["Key"]
        self.sequencer = self.record["s3"]["object"]["sequencer"]


class Queue:
    """A queue bound to the exchange, declared as the target declares it; messages are taken as they come."""

    def __init__(self, rabbit, exchange="bucketevents", kind="fanout", routing_key="", name="", vhost="/", bind=True,
                 exchange_durable=False, durable=False, arguments=None, binding=None):
        self.messages = []
        self.connection = rabbit.connect(vhost)
        self.channel = self.connection.channel()
        if exchange and kind:
            self.channel.exchange_declare(exchange, kind, durable=exchange_durable)
        self.exchange, self.routing_key = exchange, routing_key
        self.name = self.channel.queue_declare(name, durable=durable, exclusive=not name, arguments=arguments).method.queue
        if exchange and bind:
            self.bind(binding)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def bind(self, arguments=None):
        self.channel.queue_bind(self.name, self.exchange, self.routing_key, arguments)

    def unbind(self):
        self.channel.queue_unbind(self.name, self.exchange, self.routing_key)

    def close(self):
        try:
            self.connection.close()
        except AMQPError:
            pass

    def take(self):
        """What has come since, added to messages."""
        while True:
            method, properties, body = self.channel.basic_get(self.name, auto_ack=True)
            if method is None:
                return self.messages
            self.messages.append(Message(method, properties, body))

    def wait(self, n, deadline=20):
        wait_for(lambda: len(self.take()) >= n, deadline, f"{n} messages")
        return self.messages

    def wait_distinct(self, n, deadline=60):
        """Until n different changes have come."""
        wait_for(lambda: len({m.sequencer for m in self.take()}) >= n, deadline, f"{n} changes")
        return self.messages


class Rabbit:
    """A broker of the fixture start_broker, and its user alice."""

    def __init__(self, broker):
        self.broker, self.port = broker, broker.port

    @property
    def address(self):
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    def connect(self, vhost="/", user=USER, password=PASSWORD):
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.port, vhost, pika.PlainCredentials(user, password), heartbeat=600, socket_timeout=20))

    def queue(self, *args, **kwargs):
        return Queue(self, *args, **kwargs)

    def control(self, *args):
        """rabbitmqctl"""
        script = '. "$0/env"; exec /usr/lib/rabbitmq/bin/rabbitmqctl -q "$@"'
        done = subprocess.run(["bash", "-c", script, self.broker.directory, *args], capture_output=True, text=True,
                              timeout=60 * SCALE, check=False, env=dict(os.environ, LANG="C.UTF-8"))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run(self, erlang):
        return self.control("eval", erlang)

    def connections(self):
        """Of Belfry's."""
        return self.control("list_connections", "client_properties").count("connection_name")


def amqp_env(rabbit_or_url, target_id="1", **keys):
    """Environment of one AMQP target; keys such as exchange, mandatory."""
    url = rabbit_or_url if isinstance(rabbit_or_url, str) else rabbit_or_url.address
    keys = {"url": url, "exchange": "bucketevents", "exchange_type": "fanout", **keys}
    suffix = f"_{target_id}" if target_id else ""
    env = {f"MINIO_NOTIFY_AMQP_ENABLE{suffix}": "on"}
    env.update({f"MINIO_NOTIFY_AMQP_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
    return env
