# SPDX-License-Identifier: Apache-2.0
"""The instrument of `make bench TARGET=…`: that it measures at all, and that it says no where a goal is missed."""
import json
import os
import subprocess
import sys

import pytest
from support.server import ROOT, binary

BENCH = os.path.join(ROOT, "bench")


@pytest.fixture(scope="module")
def table():
    sys.path.insert(0, BENCH)
    try:
        import targets_table
        yield targets_table
    finally:
        sys.path.remove(BENCH)


@pytest.mark.brokers
@pytest.mark.long
def test_one_target_is_measured(tmp_path):
    build = os.path.dirname(binary())
    done = subprocess.run([os.path.join(BENCH, "target"), "redis", "--events", "1000", "--rounds", "1", "--samples", "20",
                           "--load-seconds", "0.3", "--build", build, "--dir", tmp_path / "d", "--out", tmp_path / "out"],
                          capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    redis = found["targets"]["redis"]
    assert not redis["failed"]
    assert redis["belfry"][0] > 0 and redis["bare"][0] > 0 and redis["way"] in redis["tried"]
    assert redis["load"]["put"] > 0 and redis["latency"]["n"] == 20
    assert 0 < redis["latency"]["commit"]["p50"] <= redis["latency"]["commit"]["p99"] and redis["latency"]["reply"]["p99"] >= 0
    assert 700 < found["sizes"][1] < found["sizes"][0] < 1100
    assert "| redis |" in done.stdout and "## Targets" in (tmp_path / "out.md").read_text()


@pytest.mark.parametrize("name, ours, bare, met", [
    ("kafka", 80_000, 100_000, True), ("kafka", 79_000, 100_000, False),    # 80 % of the library
    ("nats", 100_000, 900_000, True), ("nats", 99_000, 900_000, False),     # or 100,000/s
    ("webhook", 7_900, 5_000, False), ("webhook", 8_100, 5_000, True),      # the floors
    ("redis", 29_000, 20_000, False)])
def test_goals_of_draining(table, name, ours, bare, met):
    result = {"belfry": [ours], "bare": [bare]}
    assert table.drain_met(name, result) is met
    assert (f"{name} drain" in table.missed({"targets": {name: result}})) is not met


def test_goals_under_load(table):
    for rate, queued, met in ((24_000, 5, False), (26_000, 5, True), (1_000, 0, True)):
        assert table.load_met({"belfry": [100_000], "load": {"rate": rate, "queued": queued}}) is met
    assert table.load_met({"belfry": [100_000]}) is None


def test_goals_of_ten_at_once(table):
    def turn(rate, p99):
        return {"rates": dict.fromkeys(table.together.TOGETHER, rate), "put": {"latency_us": {"p99": p99 * 1000}}}
    for beside, p99, good in ((91, 3, True), (89, 3, False), (None, 3, False), (91, 5, False)):
        found = {"targets": {}, "together": {"alone": [turn(100, 2)], "beside": [turn(beside, p99)]}}
        assert (not table.missed(found)) is good
    assert table.missed({"targets": {}, "together": {"failed": {"together": "x"}}})


def test_what_fails_is_said(table):
    found = {"targets": {"kafka": {"failed": {"start": "AssertionError: kafka ended at start"}}}}
    assert "kafka start failed" in table.missed(found)
    assert "kafka ended at start" in table.tables(found)


def test_each_part_of_the_page_outlives_the_other(table, tmp_path):
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n")
    table.write_section(page, "one\n")
    table.write_section(page, "two\n")
    assert page.read_text() == f"# Benchmarks\n\n{table.TARGETS_BEGIN}\ntwo\n"
    import table as mine
    assert mine.others_section(page) == f"\n{table.TARGETS_BEGIN}\ntwo\n"
