# SPDX-License-Identifier: Apache-2.0
"""What needs no broker of its own: webhooks, and librdkafka's mock cluster."""
import os
import subprocess
import threading

from support.kafka import kafka_env
from support.receiver import OK, Answer, Receiver, webhook_env

from .base import JOURNAL, Kind


class Hook(Receiver):
    """A webhook receiver with the life of a broker."""

    def kill(self):
        self.stop()

    def freeze(self):
        self.thawed = threading.Event()
        self.behave = lambda post: Answer(wait=self.thawed)

    def thaw(self):
        self.thawed.set()
        self.behave = lambda post: OK


class Webhook(Kind):
    name = target = "webhook"
    window, at_kill = 1, 3 * 32         # each of 32 connections has one event in flight

    def make(self):
        self.broker = Hook()

    def env(self):
        return webhook_env(f"http://{self.address}/hook", *self.ids)

    def bodies(self):
        return [p.body for p in self.broker.snapshot()]

    def count(self):
        return len(self.broker.posts)

    def later(self):
        self.broker.behave = lambda post: Answer(503, [("Retry-After", "1")])

    def later_over(self):
        self.broker.behave = lambda post: OK


class NoWire:
    """Where clients are told other addresses anyway."""

    mode, in_flight = "pass", 0

    def start(self):
        return self

    settle = refuse = stop = start


class KafkaMock(Kind):
    """A cluster of librdkafka's own making (native/kafka_mock.c), whose partitions change their leaders. It forgets what it was
    given once it is ended, and does not recognise repeats."""

    name, target = "kafka-leaders", "kafka"
    window, at_kill, brokers, partitions = 512, 512, 3, 8

    def __init__(self, directory, program):
        self.program = program
        super().__init__(directory)
        self.wire = NoWire()

    def make(self):
        self.broker = self
        self.port = 0
        os.makedirs(self.directory)

    def start(self):
        self.process = subprocess.Popen([self.program, str(self.brokers), str(self.partitions), JOURNAL], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.bootstraps, self.up = self.process.stdout.readline().strip(), True

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n", words

    def env(self):
        return kafka_env(None, JOURNAL, *self.ids, brokers=self.bootstraps)

    def bodies(self):
        done = subprocess.run(["kcat", "-b", self.bootstraps, "-q", "-C", "-t", JOURNAL, "-o", "beginning", "-e", "-u", "-D", "\n"],
                              capture_output=True, timeout=120, check=True)
        return done.stdout.splitlines()
