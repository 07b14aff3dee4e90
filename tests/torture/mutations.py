# SPDX-License-Identifier: Apache-2.0
"""The safeguards that can be left out by a build switch, and the rows that must notice each."""
import os
import shutil
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

# name of the switch -> what is left out, rows that are to see it (the first that does ends the search)
MUTATIONS = {
    "no-t-row": ("the row that names a body's file before it is written", ["kills"]),
    "no-key-order": ("the hold of a key's later events while an earlier one is unresolved", ["receivers"]),
    "no-segment-name": ("the row that names a segment's file before it is written", ["segments-kills"]),
    "no-sync-segment": ("the sync of a segment's file before its rows are removed", ["power-cut"]),
    "no-sync-segment-dir": ("the sync of the folder of a segment's file", ["power-cut"]),
    "no-sync-segment-removal": ("the sync of a segment row's removal before its file is removed", ["power-cut"]),
    "no-segment-progress": ("the bits of a segment's events that are delivered", ["segments-kills"]),
    "no-high-water": ("the sequencer's high-water mark across restarts", ["kills"]),
    "no-removal": ("the removal of events from the outbox after their confirmation", ["kills"]),
    "remove-before-send": ("that an event stays in the outbox until its confirmation", ["kills"]),
    "no-pin": ("the pin that keeps a body's files while it is read", ["races"]),
    "no-generation-check": ("the look whether an upload has changed since its parts were read", ["races"]),
}


def build(directory, name):
    """The program with one safeguard left out, as a path."""
    folder = os.path.join(directory, name)
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        env = dict(os.environ)
        if shutil.which("ccache") and "CC" not in env:
            env["CC"] = "ccache gcc"
        subprocess.run(["meson", "setup", folder, ROOT, f"-Dmutate={name}", "-Dtests=false"], check=True,
                       capture_output=True, env=env)
    subprocess.run(["ninja", "-C", folder], check=True, capture_output=True)
    return os.path.join(folder, "belfry")
