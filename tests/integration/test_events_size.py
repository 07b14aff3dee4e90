# SPDX-License-Identifier: Apache-2.0
"""Records as long as a head allows, for many targets at once: a closure's limits hold whatever a client sends."""
import pytest
from support.ops import delete_body, delete_many, md5_header
from support.ports import free_port
from support.receiver import webhook_env
from support.s3raw import arn, rule

TARGETS = 24
# '<' takes six bytes in JSON, and the address stands in a record twice: about 90 KiB.
LONG = {"X-Forwarded-For": "<" * 7500}


@pytest.fixture(scope="module")
def many(module_dir):
    from support.server import Server
    env = {}
    for i in range(TARGETS):
        env.update(webhook_env(f"http://127.0.0.1:{free_port()}/", f"t{i}"))
    s = Server(module_dir / "many", env=env).start()
    s.s3.make_bucket("many")
    rules = [rule(arn(f"t{i}")) for i in range(TARGETS)]
    assert s.s3.set_rules("many", *rules).status == 200
    yield s
    s.stop()


def test_put_and_copy_are_refused(many):
    reply = many.s3.put("many", "k", b"x", LONG)
    assert (reply.status, reply.code) == (400, "MetadataTooLarge")
    assert many.s3.get("many", "k").status == 404
    reply = many.s3.put("many", "large", b"x" * 300_000, LONG)
    assert (reply.status, reply.code) == (400, "MetadataTooLarge")
    assert many.s3.put("many", "k", b"x").status == 200
    reply = many.s3.put("many", "copy", b"", {"x-amz-copy-source": "/many/k", **LONG})
    assert (reply.status, reply.code) == (400, "MetadataTooLarge")
    assert many.alive()


def test_deletes_are_refused(many):
    assert many.s3.put("many", "gone", b"x").status == 200
    assert many.s3.request("DELETE", "/many/gone", LONG).status == 400
    body = delete_body(["gone", "other"])
    assert delete_many(many.s3, "many", body, {**md5_header(body), **LONG}).status == 400
    assert many.s3.get("many", "gone").status == 200
    assert many.s3.request("DELETE", "/many/gone").status == 204
    assert many.alive()


def test_reads_are_answered(many):
    assert many.s3.put("many", "read", b"x").status == 200
    for _ in range(3):
        assert many.s3.get("many", "read", LONG).status == 200
        assert many.s3.head("many", "read", LONG).status == 200
    assert many.s3.put("many", "after", b"x").status == 200
    assert many.alive()


def test_long_keys_fill_closures_of_a_delete(many):
    """Keys, bucket and old rows count as well as the records."""
    keys = [f"{i:04d}" + "<" * 1020 for i in range(60)]
    for k in keys:
        assert many.s3.put("many", k, b"x", {"X-Amz-Meta-Long": "y" * 2000}).status == 200
    body = delete_body(keys)
    padded = {**md5_header(body), "X-Forwarded-For": "<" * 2300}
    assert delete_many(many.s3, "many", body, padded).status == 200
    assert many.alive()
