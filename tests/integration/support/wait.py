# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition with a deadline: the tests' only way to let time pass."""
import os
import time

# Sanitizer builds are several times slower; deadlines grow with this factor.
SANITIZED = bool(os.environ.get("BELFRY_SANITIZED"))
SCALE = float(os.environ.get("BELFRY_TIME_SCALE", "1"))


def wait_for(condition, deadline=10.0, what="condition"):
    """Poll condition() until it is true; return its value, or fail after the deadline (seconds)."""
    end = time.monotonic() + deadline * SCALE
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline * SCALE:.1f} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def holds_for(condition, seconds, what="condition"):
    """Fail as soon as condition() is false within so many seconds: for 'nothing more arrives'."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"stopped holding: {what}"
        time.sleep(0.01)
