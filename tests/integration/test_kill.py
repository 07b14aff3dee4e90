# SPDX-License-Identifier: Apache-2.0
"""The kill run as a test, and the proof that it sees what it is there to see."""
import os
import random
import shutil
import subprocess

import pytest
from kill import chaos
from kill.run import KillRun
from support.server import ROOT
from support.wait import SCALE

KILLS = int(os.environ.get("BELFRY_KILLS", "15"))
SEED = os.environ.get("BELFRY_SEED") or str(random.SystemRandom().randrange(1 << 32))


@pytest.mark.kills
@pytest.mark.timeout(3600)
def test_kills(tmp_path):
    print(f"BELFRY_SEED={SEED}")
    run = KillRun(str(tmp_path), SEED, KILLS)
    try:
        problems = run.run()
    finally:
        run.server.kill()
        run.receiver.stop()
        run.mirrors.stop()
    assert not problems, f"BELFRY_SEED={SEED}: " + "\n".join(problems[:30])
    shutil.rmtree(run.server.directory, ignore_errors=True)


@pytest.mark.kills
def test_crash_points_are_known():
    assert len(chaos.crash_points()) >= 8


# Safeguards that a SIGKILL alone can show to be missing; each is left out by a build of its own, and the run must then
# fail. The others (a sync left out) need a power cut: the page cache survives the process.
MUTATIONS = ["no-t-row", "no-high-water"]


def build(directory, name, *options):
    """A build with one safeguard left out."""
    if not shutil.which("meson"):
        pytest.skip("meson is not installed")
    path = str(directory / name)
    subprocess.run(["meson", "setup", path, ROOT, f"-Dmutate={name}", *options], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", path], check=True, capture_output=True, timeout=1200 * SCALE)
    return path


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_safeguard_is_seen(tmp_path, name):
    binary = os.path.join(build(tmp_path, name, "-Dtests=false"), "belfry")
    for attempt in range(4):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        run = KillRun(str(directory), f"{SEED}-{attempt}", 20, binary_path=binary)
        run.patience = 15
        try:
            problems = run.run()
        finally:
            run.server.kill()
            run.receiver.stop()
        run.mirrors.stop()
        if problems:
            print(f"{name}: seen by run {attempt + 1}: {problems[0]}")
            return
    pytest.fail(f"{name}: four runs saw nothing; BELFRY_SEED={SEED}")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_missing_pin_is_seen(tmp_path):
    """A reader opens the one file of its object at once, and an open file outlives its name: so only objects of several
    files, which no request of this version makes, can lose a body to a janitor that ignores pins. The unit tests have
    such objects."""
    path = build(tmp_path, "no-pin")
    done = subprocess.run(["meson", "test", "-C", path, "--no-rebuild", "blob", "store"], capture_output=True, text=True,
                          timeout=600 * SCALE, check=False)
    assert done.returncode != 0 and "FAIL" in done.stdout, done.stdout
