# SPDX-License-Identifier: Apache-2.0
"""One request has one host, the one that was signed."""
import pytest

from support.multipart import document
from support.server import Server


@pytest.fixture(scope="module")
def virtual(module_dir):
    s = Server(module_dir / "virtual", env={"MINIO_DOMAIN": "s3.test"}).start()
    for name in ("open-bucket", "shut-bucket"):
        s.s3.make_bucket(name)
        assert s.s3.put(name, "k", name.encode()).status == 200
    yield s
    s.stop()


def test_a_signature_for_one_virtual_host_opens_no_other(virtual):
    """The host of an absolute-form target counts for the bucket, so it is the one that must have been signed."""
    host = "open-bucket.s3.test"
    target = virtual.s3.signer.presign("GET", "/k", host)
    with virtual.raw() as c:
        c.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert c.reply().body == b"open-bucket"
        c.send(f"GET http://{host}{target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert c.reply().body == b"open-bucket"
        c.send(f"GET http://shut-bucket.s3.test{target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        reply = c.reply()
    assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch"), reply


def test_where_a_finished_upload_is(virtual):
    """Under the host by which the client named the bucket, the bucket is not in the path as well."""
    for host, path in ((None, "/open-bucket/k"), ("open-bucket.s3.test", "/k")):
        def ask(method, query, body=b"", host=host, path=path):
            return virtual.s3.request(method, path + query, {}, body, host=host)
        upload = ask("POST", "?uploads=").xml.findtext("UploadId")
        etag = ask("PUT", f"?partNumber=1&uploadId={upload}", b"x").get("etag")
        done = ask("POST", f"?uploadId={upload}", document([(1, etag)]))
        assert done.xml.findtext("Location") == f"http://{host or virtual.s3.host}{path}"
