# SPDX-License-Identifier: Apache-2.0
"""A server process under test: started, killed and restarted on one directory and port."""
import os
import re
import signal
import subprocess
import time

from .ports import free_port
from .rawhttp import RawConn
from .s3raw import RawS3
from .wait import SCALE, wait_for

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
USER, PASSWORD = "itestroot", "itest-secret-1"
CREDENTIALS = {"MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD}
SANITIZER = re.compile(r"ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
                       r"SUMMARY: \w+Sanitizer")
READY = b"GET /minio/health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def binary():
    """The server binary under test."""
    return os.path.abspath(os.environ.get("BELFRY_BIN", os.path.join(ROOT, "build", "belfry")))


def clean_env(extra=None):
    """An environment without any setting of the caller's shell, sanitizer options kept."""
    keep = ("PATH", "LANG", "TMPDIR", "LD_LIBRARY_PATH")
    env = {k: v for k, v in os.environ.items() if k in keep or k.endswith("SAN_OPTIONS") or k == "LLVM_PROFILE_FILE"}
    env["HOME"] = "/nonexistent"
    env.update(extra or {})
    return env


def run(*args, env=None, timeout=20, binary_path=None):
    """Run the binary to its end; CompletedProcess with text stdout and stderr."""
    return subprocess.run([binary_path or binary(), *map(str, args)], env=clean_env(env), text=True,
                          capture_output=True, timeout=timeout * SCALE, check=False, stdin=subprocess.DEVNULL)


def fails(*args, env=None, code=None, mentions=()):
    """The program ends by itself, not with 0, and says why on standard error."""
    done = run(*args, env=dict(CREDENTIALS, **(env or {})))
    text = done.stdout + done.stderr
    assert done.returncode > 0, f"exit code {done.returncode}: {text}"
    assert code is None or done.returncode == code, text
    for word in mentions:
        assert word.lower() in text.lower(), f"{word!r} not in: {text}"
    return done.returncode


class Server:
    """scheme and tls: 'https' with an SSL context that trusts the server's certificate."""

    def __init__(self, directory, port=None, env=None, args=(), user=USER, password=PASSWORD, log=None,
                 scheme="http", tls=None, host="127.0.0.1", binary_path=None, region="us-east-1"):
        self.directory, self.port = str(directory), port or free_port()
        self.env, self.args = dict(env or {}), list(args)
        self.user, self.password, self.region = user, password, region
        self.scheme, self.tls, self.host = scheme, tls, host
        self.log_path = str(log or self.directory.rstrip("/") + ".log")
        self.binary_path = binary_path
        self.process = None
        self.ready_after = None

    # -- life ---------------------------------------------------------------
    def command(self):
        return [self.binary_path or binary(), "server", "--address", f"{self.host}:{self.port}", *self.args,
                self.directory]

    def spawn(self, extra_env=None):
        """Start the process without waiting for it."""
        assert self.process is None, "already running"
        env = {"MINIO_ROOT_USER": self.user, "MINIO_ROOT_PASSWORD": self.password}
        env.update(self.env)
        env.update(extra_env or {})
        with open(self.log_path, "ab") as log:
            self.started_at = time.monotonic()
            self.process = subprocess.Popen(self.command(), env=clean_env(env), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT)
        return self

    def start(self, deadline=10, extra_env=None):
        os.makedirs(self.directory, exist_ok=True)
        self.spawn(extra_env)
        wait_for(self._ready, deadline, "the server to be ready")
        self.ready_after = time.monotonic() - self.started_at
        return self

    def _ready(self):
        code = self.process.poll()
        assert code is None, f"the server ended with {code} while starting:\n{self.log()[-4000:]}"
        try:
            with self.raw(timeout=5) as c:
                c.send(READY)
                return c.reply().status == 200
        except (OSError, AssertionError, Exception) as e:       # noqa: BLE001 - not up yet, whatever the reason
            if isinstance(e, AssertionError):
                raise
            return False

    def signal(self, number):
        os.kill(self.process.pid, number)

    def wait_exit(self, deadline=12):
        """Wait for the end; the exit code (negative: signal)."""
        code = self.process.wait(timeout=deadline * SCALE)
        self.process = None
        return code

    def stop(self, deadline=12):
        """SIGTERM; the exit must be clean and the log free of sanitizer reports."""
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        code = self.wait_exit(deadline)
        self.check_log()
        assert code == 0, f"SIGTERM led to exit code {code}:\n{self.log()[-4000:]}"

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self, **kwargs):
        self.stop()
        return self.start(**kwargs)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # -- looking at it --------------------------------------------------------
    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def check_log(self):
        found = SANITIZER.search(self.log())
        assert not found, f"sanitizer report in the log:\n{self.log()[found.start():found.start() + 6000]}"

    def rss(self):
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1]) * 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # -- talking to it ----------------------------------------------------------
    @property
    def endpoint(self):
        return f"{self.scheme}://{self.host}:{self.port}"

    def raw(self, timeout=15):
        return RawConn(self.host, self.port, timeout, self.tls)

    @property
    def s3(self):
        """A raw S3 client on this server."""
        return RawS3(self)

    def boto(self, **config):
        """A boto3 client: path style, no retries."""
        import boto3
        from botocore.config import Config
        verify = config.pop("verify", None)
        options = {"signature_version": "s3v4", "retries": {"total_max_attempts": 1}, "connect_timeout": 10,
                   "read_timeout": 60, "s3": {"addressing_style": "path"}}
        options.update(config)
        return boto3.session.Session().client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=self.user, aws_secret_access_key=self.password,
            region_name=self.region, config=Config(**options), verify=verify)
