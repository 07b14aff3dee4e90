# SPDX-License-Identifier: Apache-2.0
"""Other people's command line clients, as scripts/install-test-tools installs them."""
import os
import shutil
import subprocess

import pytest

from .server import clean_env
from .wait import SCALE


def tool(name):
    """The path of a client; the test is skipped where it is not installed."""
    cache = os.environ.get("BELFRY_CACHE") or os.path.expanduser("~/.cache/belfry")
    for path in (os.path.join(cache, "venv", "bin", name), os.path.join(cache, "bin", name), shutil.which(name)):
        if path and os.access(path, os.X_OK):
            return path
    pytest.skip(f"{name} is not installed (scripts/install-test-tools --clients)")
    return None


class Client:
    """One client with a home of its own. env: what it needs to find the server."""

    def __init__(self, name, home, env, args=()):
        self.path, self.home, self.args = tool(name), str(home), list(args)
        os.makedirs(self.home, exist_ok=True)
        self.env = clean_env({"HOME": self.home, "LANG": "C.UTF-8", **env})

    def run(self, *args, check=True, data=None):
        done = subprocess.run([self.path, *self.args, *map(str, args)], env=self.env, capture_output=True, input=data,
                              timeout=90 * SCALE, check=False, cwd=self.home)
        assert not check or done.returncode == 0, (args, done.returncode, done.stdout[-2000:], done.stderr[-4000:])
        return done

    def out(self, *args, **kwargs):
        return self.run(*args, **kwargs).stdout.decode()


def make_tree(directory, files):
    """files: {relative path: bytes} below a directory; the directory."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def read_tree(directory):
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}
