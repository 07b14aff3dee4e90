# SPDX-License-Identifier: Apache-2.0
"""Replies as they were stored, and what they cost while nobody reads them."""
import contextlib

import pytest

from support.wait import SANITIZED, wait_for


def test_long_metadata_names_come_back_whole(s3, bucket):
    name = "x-amz-meta-" + "n" * 700
    assert s3.put(bucket, "k", b"x", {name: "v", name + "2": "w"}).status == 200
    reply = s3.head(bucket, "k")
    assert (reply.get(name), reply.get(name + "2")) == ("v", "w")


@pytest.mark.skipif(SANITIZED, reason="sanitizers use memory of their own")
def test_listings_that_nobody_reads_hold_no_metadata(server, s3, bucket):
    """A page's rows are far larger than its reply; what a slow reader holds is the reply."""
    meta = {"x-amz-meta-m": "v" * 1900, "Content-Disposition": "d" * 4000}
    n, readers = 300, 40
    with server.raw() as c:
        for i in range(n):
            assert s3.put(bucket, f"{i:04}" + "k" * 800, b"", meta, conn=c).status == 200
    page = s3.request("GET", f"/{bucket}?list-type=2")
    assert page.status == 200 and len(page.body) > n * 800
    with contextlib.ExitStack() as stack:
        before = server.rss()
        conns = [stack.enter_context(server.raw()) for _ in range(readers)]
        for c in conns:
            c.send(s3.build("GET", f"/{bucket}?list-type=2") * 20)
            c.readable(10)
        grown = server.rss() - before
        for c in conns[:2]:
            assert c.reply().body == page.body
    wait_for(server.alive, 1, "the server")
    assert grown < readers * 6 * len(page.body), f"{grown} bytes for {readers} replies of {len(page.body)}"
