# SPDX-License-Identifier: Apache-2.0
"""What the guide's sections have in common: the mc client with the alias `myminio`, and the two ways to make a target."""
import os
import shutil
import subprocess

import pytest

from .server import clean_env
from .wait import SCALE, wait_for

VARIABLES, MC = "variables", "mc"


def _binary():
    cache = os.environ.get("BELFRY_CACHE") or os.path.expanduser("~/.cache/belfry")
    for path in (os.environ.get("BELFRY_MC"), os.path.join(cache, "bin", "mc"), shutil.which("mc")):
        if path and os.access(path, os.X_OK):
            return path
    pytest.skip("mc is not installed (scripts/install-test-tools)")


class Guide:
    """One server, set up as the guide says: by variables, or by `mc admin config set`."""

    def __init__(self, server, directory):
        self.server, self.directory = server, str(directory)
        os.makedirs(self.directory, exist_ok=True)

    def mc(self, *args):
        """What mc prints, as a person sees it."""
        done = self._run(*args)
        assert done.returncode == 0, (args, done)
        return done.stdout

    def refused(self, *args):
        """What mc prints when it is told no."""
        done = self._run(*args)
        assert done.returncode != 0, (args, done)
        return done.stdout + done.stderr

    def _run(self, *args):
        s = self.server
        env = clean_env({"MC_CONFIG_DIR": self.directory, "HOME": self.directory,
                         "MC_HOST_myminio": f"{s.scheme}://{s.user}:{s.password}@{s.host}:{s.port}"})
        return subprocess.run([_binary(), *map(str, args)], env=env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=60 * SCALE, check=False)

    def start(self, how, subsystem, **keys):
        """A running server with target 1 of the sub-system."""
        upper = subsystem.upper()
        if how == VARIABLES:
            self.server.env = {f"MINIO_{upper}_ENABLE_1": "on",
                               **{f"MINIO_{upper}_{k.upper()}_1": v for k, v in keys.items()}}
            self.server.start()
        else:
            self.server.start()
            if self.server.s3.request("GET", f"/minio/admin/v3/get-config-kv?key={subsystem}").status in (404, 426, 501):
                pytest.skip("this server has no mc admin config")
            self.mc("admin", "config", "set", "myminio", f"{subsystem}:1", *(f'{k}="{v}"' if " " in v else f"{k}={v}" for k, v in keys.items()))
        kind = subsystem.removeprefix("notify_")
        kind = {"postgres": "postgresql"}.get(kind, kind)
        if how == MC:
            self.server.restart()
        wait_for(lambda: f"SQS ARNs: arn:minio:sqs::1:{kind} " in self.server.log(), 10, "the ARN in the start-up text")

    def photo(self):
        path = os.path.join(self.directory, "myphoto.jpg")
        with open(path, "wb") as f:
            f.write(os.urandom(2586))
        return path
