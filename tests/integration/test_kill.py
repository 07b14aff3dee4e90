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
    assert not problems, f"BELFRY_SEED={SEED}: " + "\n".join(problems[:30])
    shutil.rmtree(run.server.directory, ignore_errors=True)


@pytest.mark.kills
def test_crash_points_are_known():
    assert len(chaos.crash_points()) >= 8


# Safeguards that a SIGKILL alone can show to be missing. The others (a sync left out) need a power cut: the page
# cache survives the process. Each is left out by a build of its own, and the run must then fail.
MUTATIONS = ["no-t-row", "no-pin", "no-high-water"]


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    if not shutil.which("meson"):
        pytest.skip("meson is not installed")
    return tmp_path_factory.mktemp("builds")


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_safeguard_is_seen(builds, tmp_path, name):
    build = builds / name
    subprocess.run(["meson", "setup", str(build), ROOT, f"-Dmutate={name}", "-Dtests=false"], check=True, capture_output=True)
    subprocess.run(["ninja", "-C", str(build), "belfry"], check=True, capture_output=True, timeout=1200 * SCALE)
    problems = []
    for attempt in range(4):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        run = KillRun(str(directory), f"{SEED}-{attempt}", 20, binary_path=str(build / "belfry"))
        try:
            problems = run.run()
        finally:
            run.server.kill()
            run.receiver.stop()
        if problems:
            print(f"{name}: seen after {attempt + 1} runs: {problems[0]}")
            return
    pytest.fail(f"{name}: four runs saw nothing; BELFRY_SEED={SEED}")
