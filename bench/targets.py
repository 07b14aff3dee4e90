# SPDX-License-Identifier: Apache-2.0
"""What bench/target measures: each kind of target with its broker, the settings that name it, its bare program, and a consumer."""
import json
import os

import arrivals
from servers import Failed, Sink
from support.brokers import PASSWORD, USER, Broker

ELASTIC_MAPPING = {'mappings': {'date_detection': False, 'properties': {'Records': {'properties': {
    'eventTime': {'type': 'date'},
    's3': {'properties': {'object': {'properties': {'userMetadata': {'type': 'object', 'enabled': False}}}}}}}}}}
EXCHANGE = {'EXCHANGE_TYPE': 'fanout', 'MANDATORY': 'on', 'DURABLE': 'on', 'DELIVERY_MODE': '2'}


class Kind:
    """One row. place: the queue, topic, table … of one measurement; each has one of its own, dropped afterwards."""

    broker = None       # as tests/brokers/start knows it, with its settings
    broker_settings = {}
    records_only = False        # the message is {"Records":[…]}, without EventName and Key
    known = None        # lowest and highest figure of the library by an earlier measurement on another machine
    floor = 0           # events/s that have to be reached whatever the library does
    syncs = ''          # what the receiver has done when it confirms
    overwrites = False  # the consumer looks at what becomes of objects that are there
    gap_ms = 20         # between two PUTs whose arrival is looked for
    poll = ''           # how the consumer learns of an arrival, when it is not told

    def __init__(self, name, kind):
        self.name, self.kind = name, kind       # kind: as an ARN ends

    def up(self, directory, o):
        """Starts the receiver; down() ends it."""
        del o
        self.at = Broker(self.broker, directory, **self.broker_settings).start()
        return self

    def down(self):
        self.at.stop()

    @property
    def address(self):
        return f'127.0.0.1:{self.at.port}'

    def settings(self, place):
        raise NotImplementedError

    def journal(self, place):
        """Settings where every event is to be seen."""
        return self.settings(place)

    def bare(self, place):
        """The ways that are tried, the fastest is measured: what it is, and the words for bare_…"""
        raise NotImplementedError

    def make(self, place):
        """Before Belfry is started."""

    def drop(self, place):
        """What was measured is in nobody's way any more."""

    def consumer(self, place):
        """Something of arrivals.py."""
        raise NotImplementedError

    def env(self, settings, target='BENCH'):
        # notify_postgres is the one sub-system whose name is not that of its kind
        subsys = {'postgresql': 'POSTGRES'}.get(self.kind, self.kind.upper())
        return {f'MINIO_NOTIFY_{subsys}_{key}_{target}': value for key, value in {'ENABLE': 'on', **settings}.items()}


class Amqp(Kind):
    broker = 'rabbitmq'

    def __init__(self, name, queue, known, syncs):
        super().__init__(name, 'amqp')
        self.queue, self.known, self.syncs = queue, known, syncs

    @property
    def url(self):
        return f'amqp://{USER}:{PASSWORD}@{self.address}'

    def settings(self, place):
        return {'URL': self.url, 'EXCHANGE': place, **EXCHANGE}

    def make(self, place):
        arrivals.amqp_queue(self.at.port, place, self.queue)

    def drop(self, place):
        arrivals.amqp_drop(self.at.port, place)

    def bare(self, place):
        return [(f'librabbitmq, window {n:,}', ['--window', n, '--exchange', place, '--mandatory', self.url]) for n in (256, 1000, 4000)]

    def consumer(self, place):
        return arrivals.Amqp(self.at.port, place)


class Kafka(Kind):
    broker, broker_settings = 'kafka', {'HEAP': '512m'}
    syncs = 'the log file is written, and synced when the system does (the default)'

    def settings(self, place):
        return {'BROKERS': self.address, 'TOPIC': place}

    def bare(self, place):
        return [(f'librdkafka, linger {linger} ms, window {window:,}', ['--linger', linger, '--window', window, self.address, place])
                for linger, window in ((0, 100_000), (5, 100_000), (5, 10_000))]

    def consumer(self, place):
        return arrivals.Lines(['kcat', '-C', '-b', self.address, '-t', place, '-o', 'end', '-u', '-q'])


class Mqtt(Kind):
    broker, known = 'mqtt', (17_700, 22_000)
    syncs = 'Mosquitto has it in memory'

    @property
    def url(self):
        return f'tcp://{self.address}'

    def settings(self, place):
        return {'BROKER': self.url, 'TOPIC': place, 'QOS': '1'}

    def bare(self, place):
        return [(f'Paho (async), window {n}', ['--window', n, '--topic', place, self.url]) for n in (20, 100, 1000)]

    def consumer(self, place):
        return arrivals.Mqtt(self.at.port, place)


class Nats(Kind):
    broker = 'nats'

    def __init__(self, name, mode, known, syncs):
        super().__init__(name, 'nats')
        self.mode, self.known, self.syncs = mode, known, syncs
        self.broker = 'stan' if mode == 'streaming' else 'nats'

    def settings(self, place):
        more = {'core': {}, 'jetstream': {'JETSTREAM': 'on'},
                'streaming': {'STREAMING': 'on', 'STREAMING_ASYNC': 'on', 'STREAMING_CLUSTER_ID': 'test-cluster'}}[self.mode]
        return {'ADDRESS': self.address, 'SUBJECT': place, **more}

    def make(self, place):
        if self.mode == 'jetstream':
            arrivals.nats_stream(self.at.port, place)

    def drop(self, place):
        if self.mode == 'jetstream':
            arrivals.nats_stream(self.at.port, place, delete=True)

    def bare(self, place):
        windows = {'core': (256, 4096), 'jetstream': (256, 1000, 4096), 'streaming': (256, 1000, 4096)}[self.mode]
        what = 'flush after' if self.mode == 'core' else 'window'
        return [(f'cnats, {what} {n:,}', ['--mode', self.mode, '--window', n, '--subject', place, self.address]) for n in windows]

    def consumer(self, place):
        return arrivals.Nats(self.at.port, place, self.mode)


class Nsq(Kind):
    broker = 'nsq'
    syncs = 'nsqd has it: the first 10,000 in memory, the rest in a file synced after every 2,500 (the defaults)'
    poll = 'nsq_tail -consumer-opt=output_buffer_size,-1; by default nsqd lets a consumer wait for up to 250 ms'

    def settings(self, place):
        return {'NSQD_ADDRESS': self.address, 'TOPIC': place}

    def bare(self, place):
        return [(f'MPUB of {n} (there is no library)', ['--batch', n, '--topic', place, self.address]) for n in (64, 256, 1024)]

    def drop(self, place):
        arrivals.ask_once(self.at.port + 1, 'POST', f'/topic/delete?topic={place}')

    def consumer(self, place):
        return arrivals.nsq_tail(self.address, place)


class Database(Kind):
    broker_settings = {'SYNC': '1'}
    records_only = True
    poll = 'asked for new rows every ms'

    def drop(self, place):
        arrivals.sql(self.client(), f'DROP TABLE IF EXISTS {place}')

    def consumer(self, place):
        return arrivals.Sql(self.client(), place)


class Mysql(Database):
    broker, known = 'mariadb', (18_000, 34_000)
    syncs = 'each commit is synced (innodb_flush_log_at_trx_commit=1)'

    def settings(self, place, style='namespace'):
        return {'DSN_STRING': f'{USER}:{PASSWORD}@tcp({self.address})/notif', 'TABLE': place, 'FORMAT': style}

    def journal(self, place):
        return self.settings(place, 'access')

    def bare(self, place):
        where = ['127.0.0.1', self.at.port, USER, PASSWORD, 'notif', place]
        return [('libmariadb, arrays of 128', ['--bulk', '--batch', 128, *where]),
                ('libmariadb, arrays of 1,024', ['--bulk', '--batch', 1024, *where]),
                ('libmariadb, statements of 256 rows', ['--batch', 256, *where]),
                ('libmariadb, statements of 1,024 rows', ['--batch', 1024, *where])]

    def client(self):
        return ['mariadb', '--no-defaults', '-h', '127.0.0.1', '-P', str(self.at.port), '-u', USER, f'-p{PASSWORD}', '-N', '-B', '-r',
                '--unbuffered', 'notif']


class Postgres(Database):
    broker, known = 'postgres', (18_000, 29_100)
    syncs = 'each commit is synced (fsync=on)'

    def connection(self):
        return f'host=127.0.0.1 port={self.at.port} dbname=notif user={USER} password={PASSWORD} sslmode=disable'

    def settings(self, place, style='namespace'):
        return {'CONNECTION_STRING': self.connection(), 'TABLE': place, 'FORMAT': style}

    def journal(self, place):
        return self.settings(place, 'access')

    def bare(self, place):
        return [(f'libpq, {how} of {n:,}', [*more, '--batch', n, self.connection(), place])
                for how, more, sizes in (('pipelines', (), (128, 256, 1024)), ('arrays', ('--arrays',), (500, 1024))) for n in sizes]

    def client(self):
        return ['psql', '-X', '-q', '-A', '-t', '-d', self.connection()]


class Elastic(Kind):
    broker, broker_settings = 'elasticsearch', {'HEAP': '1g'}
    records_only = True
    syncs = 'its log is synced for each request (the default)'
    poll = 'GET _doc every ms, of an object that is overwritten'
    overwrites, gap_ms = True, 60      # a GET of what was just written takes it some ms

    def settings(self, place):
        return {'URL': f'http://{self.address}', 'INDEX': place, 'FORMAT': 'namespace'}

    def bare(self, place):
        return [(f'libcurl, _bulk of {n:,}, {c} at a time', ['--batch', n, '--connections', c, f'http://{self.address}', place])
                for n, c in ((256, 1), (1024, 1), (1024, 2), (4096, 1))]

    def make(self, place):
        """As Belfry makes it where there is none: the bare program's documents are to be the same work."""
        status, said = arrivals.ask_once(self.at.port, 'PUT', f'/{place}', ELASTIC_MAPPING)
        if status != 200:
            raise Failed(f'index {place}: {said[:300]}')

    def drop(self, place):
        arrivals.ask_once(self.at.port, 'DELETE', f'/{place}')

    def consumer(self, place):
        return arrivals.Elastic(self.at.port, place)


class Webhook(Kind):
    floor, known = 8_000, (21_000, 44_000)
    syncs = "the receiver's reply, 200: it only counts"

    def up(self, directory, o):
        self.at = Sink(os.path.join(o.build, 'bench', 'belfry-sink'))
        return self

    def down(self):
        self.at.__exit__()

    def settings(self, place):
        return {'ENDPOINT': f'http://{self.address}/{place}'}

    def bare(self, place):
        return [(f'libcurl (multi), {n} connections', ['--window', n, f'http://{self.address}/{place}']) for n in (4, 16, 64)]

    def journal(self, place):
        self.hook = arrivals.Hook()
        return {'ENDPOINT': f'http://127.0.0.1:{self.hook.listener.port}/{place}'}

    def consumer(self, place):
        return self.hook


class Redis(Kind):
    broker, broker_settings = 'redis', {'SYNC': '1'}
    records_only = True
    floor, known = 30_000, (127_000, 233_000)
    syncs = 'appended to its file, which is synced every second'
    poll = 'BLPOP, of a list (format access)'

    def settings(self, place, style='namespace'):
        return {'ADDRESS': self.address, 'KEY': place, 'FORMAT': style}

    def journal(self, place):
        return self.settings(place, 'access')

    def bare(self, place):
        return [(f'hiredis, HSET of {n} fields, {p} at a time', ['--batch', n, '--pipeline', p, '127.0.0.1', self.at.port, place])
                for n, p in ((64, 1), (256, 1), (1024, 1), (256, 4))]

    def drop(self, place):
        arrivals.redis(self.at.port, 'UNLINK', place)

    def consumer(self, place):
        return arrivals.Redis(self.at.port, place)


# In the guide's order.
KINDS = {kind.name: kind for kind in (
    Amqp('amqp', 'quorum', (17_000, 33_000), 'a quorum queue: its log is synced'),
    Amqp('amqp-classic', 'classic', (10_200, 14_200), 'a durable queue: its message store is synced'),
    Elastic('elasticsearch', 'elasticsearch'),
    Kafka('kafka', 'kafka'),
    Mqtt('mqtt', 'mqtt'),
    Mysql('mysql', 'mysql'),
    Nats('nats', 'core', (715_000, 1_080_000), 'nats-server has read it (PONG); nothing is stored'),
    Nats('nats-jetstream', 'jetstream', (78_000, 106_000), 'in the file store, synced every 2 minutes (the default)'),
    Nats('nats-streaming', 'streaming', None, 'in the file store, which is synced'),
    Nsq('nsq', 'nsq'),
    Postgres('postgresql', 'postgresql'),
    Redis('redis', 'redis'),
    Webhook('webhook', 'webhook'))}
# For all targets at once: the ones that are well. The other three kinds misbehave.
TOGETHER = ('amqp', 'elasticsearch', 'kafka', 'mqtt', 'mysql', 'nats-jetstream', 'postgresql')


def record_sizes(body):
    """Bytes of a message with its envelope, and of one without."""
    records = json.dumps({'Records': json.loads(body)['Records']}, separators=(',', ':'), ensure_ascii=False)
    return len(body), len(records.encode())

