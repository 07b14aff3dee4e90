# SPDX-License-Identifier: Apache-2.0
"""Damage of rows: what cannot be read is not taken for absent."""
import glob
import os

import pytest
from support.ops import delete_body, delete_many

FILL = {"X-Amz-Meta-Fill": "f" * 1500}


def damage_row(directory, marker):
    """Flip bytes of the row whose key holds marker, in the sorted file that a restart wrote."""
    for path in glob.glob(os.path.join(directory, "kv", "*.sst")):
        with open(path, "r+b") as f:
            data = f.read()
            at = data.find(marker)
            if at >= 0:
                f.seek(at + len(marker) + 200)
                f.write(b"\xff" * 64)
                return True
    return False


@pytest.fixture
def damaged(make_server):
    """A server with 200 objects, of which k100 lies in a damaged block."""
    s = make_server().start()
    s.s3.make_bucket("bucket")
    for i in range(200):
        name = f"k{i:03d}" + ("-damaged-marker" if i == 100 else "")
        assert s.s3.put("bucket", name, b"old", FILL).status == 200
    s.restart()     # the rows of the log go to sorted files
    s.stop()
    assert damage_row(s.directory, b"damaged-marker")
    s.start()
    reply = s.s3.head("bucket", "k100-damaged-marker")
    assert reply.status == 500, reply
    yield s


def test_damaged_row_is_not_absent(damaged):
    s3, key = damaged.s3, "k100-damaged-marker"
    assert s3.get("bucket", key).status == 500
    assert s3.put("bucket", key, b"new", {"If-None-Match": "*"}).status == 500
    assert s3.put("bucket", key, b"new").status == 500
    assert s3.put("bucket", key, b"n" * 300_000).status == 500
    assert s3.delete("bucket", key).status == 500
    assert delete_many(s3, "bucket", delete_body(["k000", key])).status == 500
    assert s3.put("bucket", key, b"", {"x-amz-copy-source": "/bucket/k001"}).status == 500
    # Elsewhere life goes on.
    assert s3.put("bucket", "k001", b"new").status == 200
    assert s3.get("bucket", "k001").body == b"new"
    assert s3.delete("bucket", "k002").status == 204
