# SPDX-License-Identifier: Apache-2.0
"""Consumers of NATS, JetStream and NATS Streaming (nats.py and its streaming client), and settings of the target."""
import asyncio
import json
import os
import ssl
import threading
import uuid

# The streaming client's messages were generated for a protobuf of before 4.0.
os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "python")
import nats  # noqa: E402
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig  # noqa: E402
from stan.aio import client as stan  # noqa: E402

from .brokers import PASSWORD, USER  # noqa: E402
from .wait import SCALE, wait_for  # noqa: E402

CLUSTER = "test-cluster"


class OlderAsyncio:
    """The streaming client is of a time when queues were told their loop."""

    def __getattr__(self, name):
        return getattr(asyncio, name)

    @staticmethod
    def Queue(maxsize=0, loop=None):    # noqa: N802 - asyncio's name
        del loop
        return asyncio.Queue(maxsize)


stan.asyncio = OlderAsyncio()


class Loop:
    """asyncio in a thread, so that tests can be written in order."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def __call__(self, coroutine, seconds=30):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds * SCALE)


LOOP = Loop()


def trusting(ca, cert=None, key=None):
    context = ssl.create_default_context(cafile=ca)
    if cert:
        context.load_cert_chain(cert, key)
    return context


async def _silence(error):
    """Instead of nats.py's own handler, which writes to the log."""
    del error


class Consumer:
    """Takes what is published to a subject: `with Consumer(broker, "events") as c`, then c.wait(3).
    login: as nats.connect takes it. kind: "core" (from now on), "stan" (all there is in the channel)."""

    def __init__(self, broker, subject="events", kind="core", tls=None, **login):
        self.subject, self.kind = subject, kind
        self.url, self.tls, self.login = f"nats://127.0.0.1:{broker.port}", tls, login
        self.bodies, self.headers = [], []

    async def _take(self, msg):
        self.bodies.append(getattr(msg, "data", b""))
        self.headers.append(getattr(msg, "headers", None))

    async def _open(self):
        self.nc = await nats.connect(self.url, tls=self.tls, error_cb=_silence, max_reconnect_attempts=600,
                                     reconnect_time_wait=0.1, **self.login)
        try:
            return await self._subscribe()
        except BaseException:
            await self.nc.close()
            raise

    async def _subscribe(self):
        if self.kind == "stan":
            self.nc._loop = asyncio.get_running_loop()      # noqa: SLF001 - the streaming client wants it, and this:
            self.nc.publish_request = lambda subject, reply, data: self.nc.publish(subject, data, reply)
            self.sc = stan.Client()
            await self.sc.connect(CLUSTER, "consumer-" + uuid.uuid4().hex[:8], nats=self.nc)
            await self.sc.subscribe(self.subject, cb=self._take, deliver_all_available=True)
        else:
            await self.nc.subscribe(self.subject, cb=self._take)
            await self.nc.flush()
        return self

    async def _close(self):
        await self.nc.close()

    def __enter__(self):
        return LOOP(self._open())

    def __exit__(self, *exc):
        LOOP(self._close())

    @property
    def events(self):
        return [Event(b) for b in list(self.bodies)]

    def wait(self, n, deadline=20):
        wait_for(lambda: len(self.bodies) >= n, deadline, f"{n} messages in {self.subject}")
        return self.events

    def wait_keys(self, keys, deadline=20):
        def missing():
            return set(keys) ^ {e.key for e in self.events}
        try:
            wait_for(lambda: not missing(), deadline, "exactly these keys")
        except AssertionError as e:
            raise AssertionError(f"{e}: of {len(self.bodies)} messages, wrong or missing: {sorted(missing())[:20]}") from None
        return self.events


class Event:
    """One message's envelope."""

    def __init__(self, data):
        envelope = json.loads(data)
        assert list(envelope) == ["EventName", "Key", "Records"] and len(envelope["Records"]) == 1
        self.data, self.name, self.key, self.record = data, envelope["EventName"], envelope["Key"], envelope["Records"][0]
        assert self.record["eventName"] == self.name
        self.sequencer = self.record["s3"]["object"]["sequencer"]


class Stream:
    """A JetStream stream of one subject."""

    def __init__(self, broker, subject="events", tls=None, **config):
        self.subject, self.name, self.config = subject, "S" + uuid.uuid4().hex[:8], config
        self.url, self.tls = f"nats://127.0.0.1:{broker.port}", tls

    def _call(self, action):
        async def call():
            nc = await nats.connect(self.url, tls=self.tls, connect_timeout=10, error_cb=_silence)
            try:
                return await action(nc.jetstream())
            finally:
                await nc.close()
        return LOOP(call())

    def add(self):
        self._call(lambda js: js.add_stream(StreamConfig(name=self.name, subjects=[self.subject], **self.config)))
        return self

    def delete(self):
        self._call(lambda js: js.delete_stream(self.name))

    def purge(self):
        self._call(lambda js: js.purge_stream(self.name))

    def count(self):
        return self._call(lambda js: js.stream_info(self.name)).state.messages

    def messages(self):
        """All that is stored, in order, with their headers."""
        async def read(js):
            info = await js.stream_info(self.name)
            return [await js.get_msg(self.name, seq) for seq in range(info.state.first_seq, info.state.last_seq + 1)]
        return self._call(read)

    def events(self):
        return [Event(m.data) for m in self.messages()]

    def read_all(self, seconds=120):
        """All that is stored, in order, of a long stream."""
        async def read():
            nc = await nats.connect(self.url, tls=self.tls, error_cb=_silence)
            try:
                js, out = nc.jetstream(), []
                total = (await js.stream_info(self.name)).state.messages
                sub = await js.pull_subscribe(self.subject, stream=self.name, config=ConsumerConfig(ack_policy=AckPolicy.NONE))
                while len(out) < total:
                    out += [Event(m.data) for m in await sub.fetch(min(1000, total - len(out)), timeout=20)]
                return out
            finally:
                await nc.close()
        return LOOP(read(), seconds)

    def wait(self, n, deadline=20):
        wait_for(lambda: self.count() >= n, deadline, f"{n} messages in the stream")
        return self.events()


def nats_env(broker, target_id="1", **keys):
    """Environment of one NATS target; keys such as subject, tls, jetstream. broker: or an address."""
    address = broker if isinstance(broker, str) else f"127.0.0.1:{broker.port}"
    suffix = f"_{target_id}" if target_id else ""
    keys = {"address": address, "subject": "events", **keys}
    env = {f"MINIO_NOTIFY_NATS_ENABLE{suffix}": "on"}
    env.update({f"MINIO_NOTIFY_NATS_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
    return env


def logins(broker, auth):
    """What the target and nats.py have to be told where the broker asks for that kind of login."""
    folder = os.path.join(broker.directory, "nats")
    seed, creds = os.path.join(folder, "user.nk"), os.path.join(folder, "user.creds")
    return {"userpass": ({"username": USER, "password": PASSWORD}, {"user": USER, "password": PASSWORD}),
            "token": ({"token": PASSWORD}, {"token": PASSWORD}),
            "nkey": ({"nkey_seed": seed}, {"nkeys_seed": seed}),
            "creds": ({"user_credentials": creds}, {"user_credentials": creds})}[auth]
