# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo runs: the story of one object and its event, and of a kill. Standard library only."""
import ctypes
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import jpeg
from s3client import S3Client, S3Error

USER, PASSWORD, BUCKET, ARN = "demo-user", "demo-secret-key", "pictures", "arn:minio:sqs::demo:webhook"
THREADS, KILL_AFTER, RECEIVER_MS = 8, 400, 25
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
BOLD, GREEN, RED, DIM, PLAIN = ("\33[1m", "\33[32m", "\33[31m", "\33[2m", "\33[0m") if COLOUR else ("",) * 5


class DemoError(Exception):
    """Something that the demo relies on did not happen."""


def say(text=""):
    print(text, flush=True)


def title(text):
    say(f"\n{BOLD}{text}{PLAIN}")


def wait_for(condition, seconds, what):
    """Until condition() is true; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise DemoError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.005)


def die_with_parent():
    """In a child before exec: should this script be killed, its children end too (PR_SET_PDEATHSIG)."""
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    except (OSError, AttributeError):
        pass


def start(command, **kwargs):
    return subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, **kwargs)


def end(process, seconds=12):
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def choose_port(wanted=9000):
    """The default port where it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("0.0.0.0", port))
                return s.getsockname()[1]
            except OSError:
                continue
    raise DemoError("no port is free")


class Receiver:
    """The webhook receiver, a process of its own, and what it has received."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "events.jsonl")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "receiver.py")
        self.process = start([sys.executable, script, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise DemoError("the receiver did not start")
        self.port = int(line)
        self.at, self.events = 0, []

    def read(self):
        """New events, which also go to self.events."""
        with open(self.path, encoding="utf-8") as f:
            f.seek(self.at)
            text = f.read()
        text = text[:text.rfind("\n") + 1]
        self.at += len(text.encode())
        new = [json.loads(line) for line in text.splitlines()]
        self.events += new
        return new

    def find(self, key):
        self.read()
        return next((e for e in self.events if e["key"] == key), None)

    def keys(self):
        self.read()
        return [e["key"] for e in self.events]

    def slow_down(self, ms):
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        conn.request("PUT", f"/delay/{ms}")
        conn.getresponse().read()
        conn.close()


class Server:
    """belfry server on a directory of its own."""

    def __init__(self, binary, directory, webhook):
        self.binary, self.directory, self.port = binary, os.path.join(directory, "data"), choose_port()
        self.log = os.path.join(directory, "server.log")
        self.process = None
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("MINIO_", "BELFRY_"))}
        self.env.update({
            "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD, "MINIO_NOTIFY_WEBHOOK_ENABLE_demo": "on",
            "MINIO_NOTIFY_WEBHOOK_ENDPOINT_demo": f"http://127.0.0.1:{webhook}/events", "no_proxy": "127.0.0.1"})
        self.command = [binary, "server", "--address", f"127.0.0.1:{self.port}", self.directory]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        """Starts it; milliseconds until it was ready."""
        began = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = start(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self.ready, 20, "the server to be ready")
        return (time.monotonic() - began) * 1000

    def ready(self):
        if self.process.poll() is not None:
            raise DemoError(f"the server ended with exit code {self.process.returncode}:\n{self.tail()}")
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            conn.request("GET", "/minio/health/ready")
            return conn.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            conn.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def client(self):
        return S3Client("127.0.0.1", self.port, USER, PASSWORD)

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-2000:]


def upload_files(server, receiver):
    title("2. A bucket, a rule, three files")
    client = server.client()
    client.make_bucket(BUCKET)
    client.notify(BUCKET, ARN, "s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    say(f"   bucket {BUCKET}; whatever is created or removed in it is told to {ARN}")
    files = [("bell.jpg", jpeg.picture(), "image/jpeg"), ("notes/hello.txt", b"Good news travels.\n", "text/plain"),
             ("big.bin", os.urandom(12 << 20), "application/octet-stream")]
    for key, body, kind in files:
        began = time.monotonic_ns()
        etag = client.put(BUCKET, key, body, kind)
        replied = time.monotonic_ns()
        event = wait_for(lambda: receiver.find(f"{BUCKET}/{key}"), 20, f"the event of {key}")
        if client.get(BUCKET, key) != body or etag != hashlib.md5(body).hexdigest():
            raise DemoError(f"{key} does not come back as it was")
        late = (event["came"] - replied) / 1e6
        when = f"{late:.1f} ms after the 200" if late > 0 else "before the client had read its 200"
        say(f"   {key:16} {len(body):>9,} bytes  stored in {(replied - began) / 1e6:6.1f} ms, "
            f"event delivered {BOLD}{when}{PLAIN}")
    client.close()
    say(f"\n   The record that arrived for {files[0][0]}:")
    for line in json.dumps(receiver.find(f"{BUCKET}/bell.jpg")["event"], indent=2).splitlines():
        say(f"   {DIM}{line}{PLAIN}")


def upload_until_dead(server, number, acknowledged, stop):
    """One connection that stores small objects until it breaks. key -> body of those that were acknowledged."""
    client = server.client()
    try:
        for i in range(100000):
            if stop.is_set():
                break
            key = f"burst/{number}-{i:05}"
            body = f"object {i} of uploader {number}".encode() * 40
            client.put(BUCKET, key, body)
            acknowledged[key] = body
    except (OSError, http.client.HTTPException, S3Error):
        pass                # the server is gone: this object was never acknowledged
    finally:
        client.close()


def burst_and_kill(server, receiver):
    """Everything that was acknowledged before the kill."""
    title(f"3. SIGKILL in the middle of a burst: {THREADS} uploaders, a receiver that takes {RECEIVER_MS} ms for each event")
    receiver.slow_down(RECEIVER_MS)
    stop, shares = threading.Event(), [{} for _ in range(THREADS)]
    threads = [threading.Thread(target=upload_until_dead, args=(server, n, shares[n], stop)) for n in range(THREADS)]
    for t in threads:
        t.start()
    try:
        wait_for(lambda: sum(map(len, shares)) >= KILL_AFTER, 60, f"{KILL_AFTER} uploads")
        server.kill()
    finally:
        stop.set()
        for t in threads:
            t.join()
    acknowledged = {k: body for share in shares for k, body in share.items()}
    had = len(set(receiver.keys()) & {f"{BUCKET}/{k}" for k in acknowledged})
    say(f"   killed after {len(acknowledged)} acknowledged uploads; {had} of their events had been delivered by then")
    receiver.slow_down(0)
    return acknowledged


def count_after_restart(server, receiver, acknowledged):
    say(f"   started again on the same directory, ready in {server.start():.0f} ms")
    wanted = {f"{BUCKET}/{k}" for k in acknowledged}
    try:
        wait_for(lambda: wanted <= set(receiver.keys()), 60, "the events")
    except DemoError:
        pass                # counted below
    client, lost = server.client(), 0
    for key, body in acknowledged.items():
        try:
            lost += client.get(BUCKET, key) != body
        except S3Error:
            lost += 1
    client.close()
    came = [k for k in receiver.keys() if k in wanted]
    missing = len(wanted - set(came))
    colour = RED if missing or lost else GREEN
    say(f"   acknowledged objects   {len(wanted):6}")
    say(f"   lost or changed        {colour}{BOLD}{lost:6}{PLAIN}")
    say(f"   with their event       {len(set(came)):6}")
    say(f"   {colour}{BOLD}missing events         {missing:6}{PLAIN}")
    say(f"   delivered twice        {len(came) - len(set(came)):6}   (at least once: what was in flight may come again)")
    if missing or lost:
        raise DemoError("something that was acknowledged is gone: this is a bug, please report it")


def stay(server, receiver):
    title("The server stays up: try it")
    curl = f"curl -sS --aws-sigv4 aws:amz:us-east-1:s3 -u {USER}:{PASSWORD} -H x-amz-content-sha256:UNSIGNED-PAYLOAD"
    say(f"   address {BOLD}{server.url}{PLAIN}   access key {BOLD}{USER}{PLAIN}   secret key {BOLD}{PASSWORD}{PLAIN}\n")
    say(f"   {curl} -T README.md {server.url}/{BUCKET}/readme.md")
    say(f"   {curl} '{server.url}/{BUCKET}?list-type=2&max-keys=3'")
    say(f"   mc alias set belfry {server.url} {USER} {PASSWORD} && mc event list belfry/{BUCKET}")
    say("\n   Events appear here as they arrive. Ctrl-C ends everything and removes what was stored.\n")
    receiver.read()
    while server.process.poll() is None:
        for event in receiver.read():
            say(f"   {time.strftime('%H:%M:%S')}  {event['name']:28} {event['key']}")
        time.sleep(0.1)
    raise DemoError(f"the server ended with exit code {server.process.returncode}:\n{server.tail()}")


def run(binary, directory, things):
    title("1. A webhook receiver and a server")
    receiver = Receiver(directory)
    things.append(receiver.process)
    server = Server(binary, directory, receiver.port)
    things.append(server)
    ready = server.start()
    say(f"   receiver on http://127.0.0.1:{receiver.port}/events")
    say(f"   belfry server on {server.url}, ready in {ready:.0f} ms, told of the receiver by two variables:")
    for name in sorted(n for n in server.env if n.startswith("MINIO_NOTIFY")):
        say(f"     {name}={server.env[name]}")
    upload_files(server, receiver)
    count_after_restart(server, receiver, burst_and_kill(server, receiver))
    if os.environ.get("ONCE", "") in ("", "0"):
        stay(server, receiver)


def main():
    def interrupt(*_):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    directory, things, status = tempfile.mkdtemp(prefix="belfry-demo-"), [], 0
    try:
        run(sys.argv[1], directory, things)
    except KeyboardInterrupt:
        say("\nstopping")
    except (DemoError, S3Error, OSError, http.client.HTTPException) as e:
        say(f"\n{RED}demo: {e}{PLAIN}")
        status = 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)      # what follows is short
        for thing in reversed(things):
            end(thing.process if isinstance(thing, Server) else thing)
        shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
