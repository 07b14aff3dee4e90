# SPDX-License-Identifier: Apache-2.0
"""Settings are secrets in files."""
import os


def test_nobody_else_may_read_the_store(make_server):
    before = os.umask(0)
    try:
        server = make_server().start()
        server.s3.make_bucket("bucket")
        assert server.s3.put("bucket", "large", b"x" * 100000).status == 200
    finally:
        os.umask(before)
    paths = [os.path.join(d, n) for d, ds, fs in os.walk(server.directory) for n in ds + fs]
    assert len(paths) > 5
    for path in paths:
        mode = os.stat(path).st_mode & 0o777
        assert mode == (0o700 if os.path.isdir(path) else 0o600), f"{path}: {mode:o}"
