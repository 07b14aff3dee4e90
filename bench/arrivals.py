# SPDX-License-Identifier: Apache-2.0
"""Consumers, one for each kind of receiver: when did which event arrive there?

Each keeps `seen`: of every event its sequencer, which is the commit's wall clock in nanoseconds (taken before its sync, on this
machine), and the wall clock at its arrival."""
import asyncio
import http.client
import json
import logging
import os
import re
import subprocess
import threading
import time
import urllib.parse
import uuid

import pika
from paho.mqtt import client as paho
from support import nats as nats_support
from support.brokers import PASSWORD, USER, prefix
from support.redis import Client as RedisClient
from servers import Failed, Listener

logging.getLogger('asyncio').setLevel(logging.CRITICAL)      # the streaming client's tasks do not hear that it was closed
SEQUENCER = re.compile(rb'"sequencer"\s*:\s*"([0-9A-F]+)"')
PAUSE = 0.001


class Consumer:
    """with … as c: it listens; after that c.seen."""

    def __init__(self):
        self.seen, self.since, self.stopping, self.thread = [], 0, False, None

    def take(self, body, now=None):
        now = now or time.time_ns()
        self.seen += [(int(number, 16), now) for number in SEQUENCER.findall(body)]

    def begin(self):
        """What counts comes from now on."""
        self.since = time.time_ns()

    def arrivals(self):
        """Of each event since begin(), in the order of the commits: (sequencer, first arrival)."""
        first = {}
        for number, at in list(self.seen):
            if number >= self.since:
                first.setdefault(number, at)
        return sorted(first.items())

    def wait(self, n):
        """The same, once there are n."""
        end = time.monotonic() + 30
        while len(self.arrivals()) < n and time.monotonic() < end:
            time.sleep(0.01)
        found = self.arrivals()
        if len(found) != n:
            raise Failed(f'{len(found)} of {n} events arrived')
        return found

    def warmed(self, warm, n):
        """The first events (warm) are here, so everything is connected; n more come, from the same objects where they are overwritten."""
        del n
        self.wait(warm)

    def __enter__(self):
        self.open()
        if type(self).run is not Consumer.run:
            self.thread = threading.Thread(target=self.run, daemon=True)
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.close()
        if self.thread:
            self.thread.join(20)

    def open(self):
        pass

    def run(self):
        pass

    def close(self):
        pass


class Lines(Consumer):
    """A program that prints a line for each event."""

    def __init__(self, argv):
        super().__init__()
        self.argv, self.process = argv, None

    def open(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def run(self):
        for line in self.process.stdout:
            self.take(line)

    def close(self):
        self.process.terminate()
        self.process.wait()


def nsq_tail(address, topic):
    """nsqd keeps what it has for a consumer for 250 ms unless it asks for less."""
    return Lines([os.path.join(prefix(), 'bin', 'nsq_tail'), '-nsqd-tcp-address', address, '-topic', topic, '-channel', 'tail',
                  '-consumer-opt', 'output_buffer_size,-1'])


def amqp_connection(port):
    return pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', port, '/', pika.PlainCredentials(USER, PASSWORD),
                                                             heartbeat=600, socket_timeout=20))


def amqp_queue(port, name, kind):
    connection = amqp_connection(port)
    channel = connection.channel()
    channel.exchange_declare(name, 'fanout', durable=True)
    channel.queue_declare(name, durable=True, arguments={'x-queue-type': kind})
    channel.queue_bind(name, name)
    connection.close()


def amqp_drop(port, name):
    connection = amqp_connection(port)
    channel = connection.channel()
    channel.queue_delete(name)
    channel.exchange_delete(name)
    connection.close()


class Amqp(Consumer):
    def __init__(self, port, queue):
        super().__init__()
        self.port, self.queue, self.connection = port, queue, None

    def open(self):
        self.connection = amqp_connection(self.port)
        channel = self.connection.channel()
        channel.basic_consume(self.queue, lambda _c, _m, _p, body: self.take(body), auto_ack=True)

    def run(self):
        while not self.stopping:
            self.connection.process_data_events(0.2)
        self.connection.close()


class Mqtt(Consumer):
    def __init__(self, port, topic):
        super().__init__()
        self.port, self.topic, self.client = port, topic, None

    def open(self):
        ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f'bench-{uuid.uuid4().hex[:12]}')
        self.client.on_connect = lambda c, *_: c.subscribe(self.topic, 1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _c, _u, m: self.take(m.payload)
        self.client.connect('127.0.0.1', self.port)
        self.client.loop_start()
        if not ready.wait(20):
            raise Failed('no subscription')

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def nats_stream(port, name, delete=False):
    async def call():
        nc = await nats_support.nats.connect(f'nats://127.0.0.1:{port}', connect_timeout=10)
        try:
            js = nc.jetstream(timeout=30)
            if delete:
                await js.delete_stream(name)
            else:
                await js.add_stream(nats_support.StreamConfig(name=name, subjects=[name]))
        finally:
            await nc.close()
    nats_support.LOOP(call(), 60)


class Nats(Consumer):
    def __init__(self, port, subject, mode):
        super().__init__()
        self.url, self.subject, self.mode = f'nats://127.0.0.1:{port}', subject, mode

    async def message(self, msg):
        self.take(msg.data)

    async def subscribe(self):
        self.nc = await nats_support.nats.connect(self.url)
        if self.mode == 'streaming':
            self.nc._loop = asyncio.get_running_loop()      # the streaming client wants it, and this:
            self.nc.publish_request = lambda subject, reply, data: self.nc.publish(subject, data, reply)
            self.streaming = nats_support.stan.Client()
            await self.streaming.connect(nats_support.CLUSTER, 'bench-' + uuid.uuid4().hex[:8], nats=self.nc)
            await self.streaming.subscribe(self.subject, cb=self.message)
        elif self.mode == 'jetstream':
            await self.nc.jetstream().subscribe(self.subject, cb=self.message)
        else:
            await self.nc.subscribe(self.subject, cb=self.message)
        await self.nc.flush()

    def open(self):
        nats_support.LOOP(self.subscribe())

    async def end(self):
        if self.mode == 'streaming':
            await self.streaming.close()
        await self.nc.close()

    def close(self):
        nats_support.LOOP(self.end())


def sql(client, statement):
    done = subprocess.run(client, input=statement + ';\n', capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Failed(f'{statement}: {done.stderr}')


class Sql(Consumer):
    """Asks for the rows beyond those it has seen, again and again."""

    def __init__(self, client, table):
        super().__init__()
        self.client, self.table, self.process = client, table, None

    def open(self):
        self.process = subprocess.Popen(self.client, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self):
        while not self.stopping:
            question = f"SELECT event_data FROM {self.table} LIMIT 100000 OFFSET {len(self.seen)};\nSELECT 'asked';\n"
            self.process.stdin.write(question.encode())
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.strip() == b'asked':
                    break
                self.take(line)
            time.sleep(PAUSE)
        self.process.stdin.close()

    def close(self):
        self.thread.join(10)
        self.process.wait(10)


def web(port):
    return http.client.HTTPConnection('127.0.0.1', port, timeout=60)


def ask(connection, method, path, document=None):
    """Status and body. document: sent as JSON."""
    if document is None:
        connection.request(method, path)
    else:
        connection.request(method, path, json.dumps(document), {'Content-Type': 'application/json'})
    reply = connection.getresponse()
    return reply.status, reply.read()


def ask_once(port, method, path, document=None):
    connection = web(port)
    try:
        return ask(connection, method, path, document)
    finally:
        connection.close()


class Elastic(Consumer):
    """Objects are written, and after that overwritten in the same order: the document of each is fetched until it changes."""

    def __init__(self, port, index):
        super().__init__()
        self.port, self.index, self.ids, self.learned = port, index, [], threading.Event()

    def warmed(self, warm, n):
        """The last n of those that are there are overwritten next."""
        connection, end = web(self.port), time.monotonic() + 30
        while time.monotonic() < end:
            ask(connection, 'POST', f'/{self.index}/_refresh')
            status, text = ask(connection, 'GET', f'/{self.index}/_search?size=10000')
            hits = json.loads(text)['hits']['hits'] if status == 200 else []
            if len(hits) >= warm:
                break
            time.sleep(0.1)
        else:
            raise Failed(f'{len(hits)} of {warm} documents are there')
        found = sorted((int(h['_source']['Records'][0]['s3']['object']['sequencer'], 16), h['_id']) for h in hits)
        self.ids = [urllib.parse.quote(name, '') for _, name in found[-n:]]
        connection.close()
        self.learned.set()

    def run(self):
        connection = web(self.port)
        self.learned.wait()
        for name in self.ids:
            while not self.stopping:
                _, text = ask(connection, 'GET', f'/{self.index}/_doc/{name}')
                now = time.time_ns()
                if any(int(number, 16) >= self.since for number in SEQUENCER.findall(text)):
                    self.take(text, now)
                    break
                time.sleep(PAUSE)
        connection.close()

    def close(self):
        self.learned.set()


class Hook(Consumer):
    """A receiver of a webhook; it answers at once, as the target is tested before anybody listens."""

    def __init__(self):
        super().__init__()
        self.listener = Listener()
        self.listener.serve = lambda s: self.listener.posts(s, self.take)
        self.listener.__enter__()

    def close(self):
        self.listener.__exit__()


def redis(port, *command):
    with RedisClient(port) as client:
        return client(*command)


class Redis(Consumer):
    def __init__(self, port, key):
        super().__init__()
        self.port, self.key = port, key

    def run(self):
        with RedisClient(self.port) as client:
            while not self.stopping:
                found = client('BLPOP', self.key, '0.2')
                if found:
                    self.take(found[1])
