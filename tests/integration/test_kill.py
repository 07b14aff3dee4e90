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
        run.stop_receivers()
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
            run.stop_receivers()
        if problems:
            print(f"{name}: seen by run {attempt + 1}: {problems[0]}")
            return
    pytest.fail(f"{name}: four runs saw nothing; BELFRY_SEED={SEED}")


# Safeguards against what happens in a window too short for the kill run to hit: the unit tests open it.
UNIT_MUTATIONS = [("no-pin", ["blob", "store", "store_upload"]), ("no-generation-check", ["store_upload"])]


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name,tests", UNIT_MUTATIONS, ids=[n for n, _ in UNIT_MUTATIONS])
def test_the_unit_tests_see_a_missing_safeguard(tmp_path, name, tests):
    path = build(tmp_path, name)
    done = subprocess.run(["meson", "test", "-C", path, "--no-rebuild", *tests], capture_output=True, text=True,
                          timeout=600 * SCALE, check=False)
    assert done.returncode != 0 and "FAIL" in done.stdout, done.stdout
