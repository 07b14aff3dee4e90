# SPDX-License-Identifier: Apache-2.0
"""The safeguards that can be left out by a build switch, and the rows that must notice each."""
import os
import shutil
import subprocess

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

# name of the switch -> what is left out, rows that are to see it (the first that does ends the search)
MUTATIONS = {
    "no-t-row": ("the row that names a body's file before it is written", ["kills"]),
    "no-key-order": ("the hold of a key's later events while an earlier one is unresolved", ["receivers", "brokers-webhook"]),
    "no-segment-name": ("the row that names a segment's file before it is written", ["segments-kills"]),
    "no-sync-segment": ("the sync of a segment's file before its rows are removed", ["power-cut"]),
    "no-sync-segment-dir": ("the sync of the folder of a segment's file", ["power-cut"]),
    "no-sync-segment-removal": ("the sync of a segment row's removal before its file is removed", ["power-cut"]),
    "no-segment-progress": ("the bits of a segment's events that are delivered", ["segments-kills"]),
    "no-high-water": ("the sequencer's high-water mark across restarts", ["kills"]),
    "no-removal": ("the removal of events from the outbox after their confirmation", ["kills", "brokers-quick"]),
    "remove-before-send": ("that an event stays in the outbox until its confirmation", ["kills", "brokers-quick"]),
    "no-pin": ("the pin that keeps a body's files while it is read", ["races"]),
    "no-generation-check": ("the look whether an upload has changed since its parts were read", ["races"]),
    # what tells damage from what is good, or from what a crash leaves
    "no-block-check": ("the checksum of a body's block", ["flipped-bits"]),
    "no-blob-id-check": ("that a body's file names the body that it is", ["torn-files"]),
    "no-row-check": ("the checksums of rows and small bodies", ["flipped-bits"]),
    "no-mark-check": ("the marks in the log, by which damage is told from a torn end", ["flipped-bits"]),
    # every sync there is
    "no-sync-file": ("the fdatasync of a body's file", ["power-cut"]),
    "no-sync-dir": ("the fsync of the folder that a body's file was made in", ["power-cut"]),
    "no-sync-removed": ("the fsync of a folder that a body's file was removed from", ["power-cut"]),
    "no-sync-blob-folders": ("the fsync of blobs/, which holds the folders of bodies", ["power-cut"]),
    "no-sync-blobs": ("the fsync of the folder that holds blobs/", ["power-cut"]),
    "no-sync-kv": ("the fsync of the folder that holds kv/", ["power-cut"]),
    "no-sync-parent": ("the fsync of the folder that the store's own folder was made in", ["power-cut"]),
    "no-sync-format": ("the fsync of the file that says what the folder is", ["power-cut"]),
    "no-sync-format-dir": ("the fsync of the folder that this file was made in", ["power-cut"]),
    "no-sync-commit": ("the sync of a batch of rows", ["power-cut"]),
    "no-sync-t-row": ("the sync of the rows that name bodies being written", ["power-cut"]),
    "no-sync-close": ("the sync at a clean stop", ["power-cut"]),
    "no-sync-queue-dir": ("the fsync of a folder of MinIO's event files after they were taken in", ["power-cut"]),
}


def build(directory, name):
    """The program with one safeguard left out, as a path."""
    folder = os.path.join(directory, name)
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        env = dict(os.environ, CCACHE_NOHASHDIR="1")    # what one mutant compiled serves the others
        if shutil.which("ccache") and "CC" not in env:
            env["CC"] = "ccache gcc"
        subprocess.run(["meson", "setup", folder, ROOT, f"-Dmutate={name}", "-Dtests=false"], check=True,
                       capture_output=True, env=env)
    subprocess.run(["ninja", "-C", folder], check=True, capture_output=True, env=dict(os.environ, CCACHE_NOHASHDIR="1"))
    return os.path.join(folder, "belfry")
