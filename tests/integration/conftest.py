# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by all integration tests."""
import contextlib
import itertools
import os
import shutil
import tempfile
import uuid

import pytest
from support.brokers import Broker
from support.certs import Authority
from support.receiver import Receiver, webhook_env
from support.server import Server, binary
from xdist.scheduler import LoadScopeScheduling

_numbers = itertools.count()
# Modules that take longest, the longest first: they begin before all others, so that none is left alone at the end.
LONGEST = ("test_redis_faults", "test_events_delivery", "test_config_mc", "test_s3_multipart_more", "test_clients_awscli",
           "test_events_webhook", "test_admin_config", "test_redis", "test_listen_history", "test_storage", "test_server",
           "test_server_stop", "test_elasticsearch", "test_amqp_faults", "test_sql", "test_nats", "test_mqtt", "test_amqp")
# Kinds whose broker starts slowly: all modules of one run one after the other in one process, and share it.
HEAVY = ("elasticsearch",)


class _Scopes(LoadScopeScheduling):
    """What runs together, in order: a module, or the modules of a heavy kind."""

    def _split_scope(self, nodeid):
        module = super()._split_scope(nodeid)
        return next((kind for kind in HEAVY if kind in module), module)


def pytest_xdist_make_scheduler(config, log):
    return _Scopes(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_collection_modifyitems(items):
    place = {name: n for n, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_configure(config):
    del config
    if not os.access(binary(), os.X_OK):
        raise pytest.UsageError(f"no server binary at {binary()} (set BELFRY_BIN)")


@pytest.fixture(scope="module")
def module_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("srv")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def server(module_dir):
    """One plain server for all tests of a module; ended cleanly, its log checked."""
    s = Server(module_dir / "data").start()
    yield s
    s.stop()


@contextlib.contextmanager
def _brokers():
    with contextlib.ExitStack() as stack:
        # Short, for a socket lies in it, and to be reached by ordinary users.
        folder = tempfile.mkdtemp(prefix="belfry-b", dir="/tmp")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        os.chmod(folder, 0o755)
        made = {}

        def start(name, **settings):
            known = (name, *sorted(settings.items()))
            if known not in made:
                made[known] = stack.enter_context(Broker(name, f"{folder}/{len(made)}", **settings))
            elif made[known].pid is None:
                made[known].start()
            made[known].thaw()
            return made[known]

        yield start


@pytest.fixture(scope="session")
def _start_heavy():
    with _brokers() as start:
        yield start


@pytest.fixture(scope="module")
def start_broker(_start_heavy):
    """Real brokers, shared by the tests of a module (those of HEAVY: of all modules of their kind): start_broker("nats",
    AUTH="token") starts it the first time it is asked for, later gives the same one; one that a test has stopped, killed or
    left frozen is up again."""
    with _brokers() as start:
        yield lambda name, **settings: (_start_heavy if name in HEAVY else start)(name, **settings)


@pytest.fixture
def make_server(tmp_path):
    """Servers of the test's own: make_server(env=…, args=…) (not started)."""
    made = []

    def make(name=None, **kwargs):
        s = Server(tmp_path / (name or f"data{len(made)}"), **kwargs)
        made.append(s)
        return s

    yield make
    failures = []
    for s in made:
        try:
            s.stop()
        except Exception as e:          # noqa: BLE001 - all servers must be ended, then the first failure shown
            s.kill()
            failures.append(e)
    for s in made:
        shutil.rmtree(s.directory, ignore_errors=True)
    if failures:
        raise failures[0]


@pytest.fixture
def receiver():
    with Receiver() as r:
        yield r


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def hook_receiver():
    """The receiver of the module's notified server."""
    with Receiver() as r:
        yield r


@pytest.fixture(scope="module")
def notified(module_dir, hook_receiver):
    """A server whose webhook target 1 is hook_receiver."""
    s = Server(module_dir / "notified", env=webhook_env(hook_receiver)).start()
    yield s
    s.stop()


@pytest.fixture
def bucket(server):
    """A fresh bucket on the module's server."""
    return server.s3.make_bucket(f"b{next(_numbers)}-{uuid.uuid4().hex[:8]}")


@pytest.fixture(scope="module")
def s3(server):
    return server.s3


@pytest.fixture(scope="module")
def boto(server):
    return server.boto()
