# SPDX-License-Identifier: Apache-2.0
"""Error documents are whole, whatever was asked."""
import pytest


@pytest.mark.parametrize("path", ["/b/" + "&" * 15000, "/b/" + "%01" * 5000, "/" + "&" * 15000])
def test_error_documents_hold_the_longest_path(server, path):
    with server.raw() as c:
        c.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        reply = c.reply()
    assert reply.status in (400, 403)
    assert reply.body.rstrip().endswith(b"</Error>"), reply.body[-200:]
