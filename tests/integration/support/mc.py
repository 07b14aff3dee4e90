# SPDX-License-Identifier: Apache-2.0
"""The real mc client."""
import json
import os
import shutil
import subprocess

from .server import clean_env
from .wait import SCALE


def mc_binary():
    named = os.environ.get("BELFRY_MC")
    cache = os.environ.get("BELFRY_CACHE") or os.path.expanduser("~/.cache/belfry")
    for path in (named, os.path.join(cache, "bin", "mc"), shutil.which("mc")):
        if path and os.access(path, os.X_OK):
            return path
    return None


class Mc:
    """mc with a configuration directory of its own and one alias, 'b'."""

    def __init__(self, directory, server):
        self.directory, self.server = str(directory), server

    def run(self, *args, check=True, data=None, json_form=True):
        env = clean_env({"MC_CONFIG_DIR": self.directory, "HOME": self.directory,
                         "MC_HOST_b": f"{self.server.scheme}://{self.server.user}:{self.server.password}@"
                                      f"{self.server.host}:{self.server.port}"})
        done = subprocess.run([mc_binary(), *(["--json"] if json_form else []), *map(str, args)], env=env, capture_output=True, input=data,
                              timeout=60 * SCALE, check=False)
        assert not check or done.returncode == 0, (args, done)
        return done

    def lines(self, *args):
        return [json.loads(line) for line in self.run(*args).stdout.splitlines() if line.strip()]

    def text(self, *args, data=None):
        """What mc prints for people."""
        return self.run(*args, json_form=False, data=data).stdout.decode()
