# SPDX-License-Identifier: Apache-2.0
"""Processes of a benchmark: the servers under test, the receivers of events, and the load generator."""
import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
import time

USER, PASSWORD = 'benchuser', 'benchpassword'
BUCKET = 'bench'
RULE = ('<QueueConfiguration><Id>bench{number}</Id><Queue>{arn}</Queue><Event>s3:ObjectCreated:*</Event>'
        '</QueueConfiguration>')
REDIS_KEY = 'bench'


class Failed(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class DeadPort:
    """A port that refuses connections and that nobody else can take, until close()."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()


class Listener:
    """A receiver in threads: each connection is served by `serve`."""

    def __init__(self):
        self.socket = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port, self.open, self.ended = self.socket.getsockname()[1], [], False

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended = True
        for s in (self.socket, *self.open):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def accept(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            self.open.append(s)
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        """It hangs: takes what comes and says nothing."""
        with contextlib.suppress(OSError):
            while s.recv(65536):
                pass

    def posts(self, s, take):
        """HTTP requests of a connection: take(body), then 200."""
        with contextlib.suppress(OSError, ValueError), s.makefile('rb') as f:
            while not self.ended:
                length = 0
                for line in iter(f.readline, b'\r\n'):
                    if not line:
                        return
                    if line.lower().startswith(b'content-length:'):
                        length = int(line.split(b':')[1])
                take(f.read(length))
                s.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')


class Server:
    """One run of a server on an empty directory. kind is 'belfry' or 'minio'. redis: port and format of a Redis target."""

    def __init__(self, kind, program, directory, webhook_port=None, redis=None):
        self.kind, self.directory = kind, directory
        self.port = free_port()
        self.log = directory + '.log'
        self.argv = [program, 'server', '--address', f'127.0.0.1:{self.port}', directory]
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(('MINIO_', 'BELFRY_'))}
        self.env.update(MINIO_ROOT_USER=USER, MINIO_ROOT_PASSWORD=PASSWORD)
        if kind == 'minio':
            # The console and the look for updates are no part of what is compared.
            self.env.update(MINIO_BROWSER='off', MINIO_UPDATE='off', MINIO_CALLHOME_ENABLE='off')
        if webhook_port is not None:
            self.env.update(MINIO_NOTIFY_WEBHOOK_ENABLE_BENCH='on',
                            MINIO_NOTIFY_WEBHOOK_ENDPOINT_BENCH=f'http://127.0.0.1:{webhook_port}/')
        if redis is not None:
            self.env.update(MINIO_NOTIFY_REDIS_ENABLE_BENCH='on', MINIO_NOTIFY_REDIS_KEY_BENCH=REDIS_KEY,
                            MINIO_NOTIFY_REDIS_ADDRESS_BENCH=f'127.0.0.1:{redis[0]}',
                            MINIO_NOTIFY_REDIS_FORMAT_BENCH=redis[1])
        self.process = None
        self.ready_ms = None

    @property
    def endpoint(self):
        return f'http://127.0.0.1:{self.port}'

    def __enter__(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        os.sync()  # what the run before left behind is written now, not during this one
        with open(self.log, 'wb') as log:
            begin = time.monotonic()
            self.process = subprocess.Popen(self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_ready(begin)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def wait_ready(self, begin):
        request = f'GET /minio/health/ready HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n'
        while time.monotonic() - begin < 60:
            if self.process.poll() is not None:
                raise Failed(f'{self.kind} ended with {self.process.returncode}:\n{self.log_tail()}')
            try:
                with socket.create_connection(('127.0.0.1', self.port), timeout=5) as s:
                    s.sendall(request.encode())
                    if s.recv(64).split(b' ', 2)[1:2] == [b'200']:
                        self.ready_ms = (time.monotonic() - begin) * 1000
                        return
            except OSError:
                pass
            time.sleep(0.001)
        raise Failed(f'{self.kind} is not ready after 60 s:\n{self.log_tail()}')

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def log_tail(self):
        with open(self.log, errors='replace') as f:
            return ''.join(f.readlines()[-15:])

    def rss_mb(self):
        with open(f'/proc/{self.process.pid}/status') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('VmRSS:')) / 1024

    def cpu_seconds(self):
        with open(f'/proc/{self.process.pid}/stat') as f:
            fields = f.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Sink:
    """belfry-sink on a port: 0 picks one."""

    def __init__(self, program, port=0):
        self.process = subprocess.Popen([program, '--port', str(port)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline() or 0)
        if self.port == 0:
            raise Failed('belfry-sink did not start')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def ask(self, method, path):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)
        try:
            connection.request(method, path, '' if method == 'POST' else None)
            return connection.getresponse().read()
        finally:
            connection.close()

    def stats(self):
        return json.loads(self.ask('GET', '/stats'))

    def reset(self):
        self.ask('POST', '/reset')

    def wait_distinct(self, count, seconds):
        """Waits until that many different events are here, or until the time is over; returns the statistics."""
        end = time.monotonic() + seconds
        while True:
            stats = self.stats()
            if stats['distinct'] >= count or time.monotonic() > end:
                return stats
            time.sleep(0.05)


class Redis:
    """redis-server on a port, in an empty directory: 0 picks a port. Appends to its log, which it syncs every second."""

    def __init__(self, directory, port=0):
        self.port = port or free_port()
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        self.process = subprocess.Popen(
            ['redis-server', '--port', str(self.port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly',
             'yes', '--appendfsync', 'everysec'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.socket = None

    def __enter__(self):
        end = time.monotonic() + 20
        while True:
            try:
                self.socket = socket.create_connection(('127.0.0.1', self.port), timeout=30)
                return self
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Failed('redis-server did not start') from None
                time.sleep(0.002)

    def __exit__(self, *_):
        if self.socket is not None:
            self.socket.close()
        self.process.terminate()
        self.process.wait()

    def count(self, command):
        """HLEN or LLEN of the key."""
        self.socket.sendall(f'{command} {REDIS_KEY}\r\n'.encode())
        reply = b''
        while not reply.endswith(b'\r\n'):
            reply += self.socket.recv(4096)
        return int(reply[1:]) if reply[:1] == b':' else 0

    def wait_count(self, command, count, seconds):
        """Waits for so many; how many came within how long, from the first look that saw any to the last."""
        end, first = time.monotonic() + seconds, None
        while True:
            there, now = self.count(command), time.monotonic()
            if there and first is None:
                first, before = now, there
            if there >= count:
                return there - before, now - first
            if now > end:
                raise Failed(f'{count} objects were put, Redis has {there} of their events after {seconds:.0f} s')
            time.sleep(0.005)


class Load:
    """belfry-load against one server."""

    def __init__(self, program, server):
        self.base = [program, '--endpoint', server.endpoint, '--access-key', USER, '--secret-key', PASSWORD,
                     '--bucket', BUCKET]
        self.server = server

    def call(self, args, text=None):
        done = subprocess.run(self.base + args, input=text, capture_output=True, text=True, timeout=3600)
        if done.returncode != 0:
            raise Failed(f'{self.server.kind}: belfry-load {" ".join(args)}: status {done.returncode}\n'
                         f'{done.stdout[-600:]}{done.stderr[-1200:]}\nthe server said:\n{self.server.log_tail()}')
        return done.stdout

    def make_bucket(self):
        """A server may say that it is ready and answer 503 'not initialized' for a moment more (MinIO does)."""
        end = time.monotonic() + 10
        while True:
            try:
                self.call(['--op', 'raw', '--method', 'PUT'])
                return
            except Failed as e:
                if 'NotInitialized' not in str(e) or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def set_rule(self, kind='webhook'):
        self.set_rules([f'arn:minio:sqs::BENCH:{kind}'])

    def set_rules(self, arns):
        rules = ''.join(RULE.format(number=number, arn=arn) for number, arn in enumerate(arns))
        self.call(['--op', 'raw', '--method', 'PUT', '--query', 'notification', '--body-file', '-'],
                  f'<NotificationConfiguration>{rules}</NotificationConfiguration>')

    def run(self, op, connections, *more):
        """One measurement; what the server's process spent on it comes along."""
        before = self.server.cpu_seconds()
        result = json.loads(self.call(['--op', op, '--connections', str(connections), *map(str, more)]))
        spent = self.server.cpu_seconds() - before
        result['server_cpu_us'] = spent * 1e6 / max(1, result['requests'])
        return result
