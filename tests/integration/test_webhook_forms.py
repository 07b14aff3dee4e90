# SPDX-License-Identifier: Apache-2.0
"""Keys of the webhook target that MinIO has not: signed bodies, CloudEvents, keys as they are."""
import hashlib
import hmac
import json
import re
import time
import urllib.parse

import pytest
from support.delivery import notify
from support.receiver import OK, Answer, webhook_env

KEY = "a b/ü\"%.jpg"


def sent(make_server, receiver, key=KEY, n=1, **keys):
    server = make_server(env=webhook_env(receiver, **keys)).start()
    notify(server)
    assert server.s3.put("events", key, b"x").status == 200
    return server, receiver.wait_posts(n)


@pytest.mark.sanitize
def test_signed(make_server, receiver):
    """Every request, a repeated one too, is signed with the time it is sent at."""
    first = []
    receiver.behave = lambda post: OK if first else first.append(post) or Answer(503)
    server, posts = sent(make_server, receiver, n=2, signature_secret="s3cret-value")
    for post in posts:
        at, mac = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", post.get("x-belfry-signature")).groups()
        assert abs(int(at) - time.time()) < 60
        assert mac == hmac.new(b"s3cret-value", at.encode() + b"." + post.body, hashlib.sha256).hexdigest()
    assert "s3cret-value" not in server.log()


@pytest.mark.sanitize
def test_cloudevents(make_server, receiver):
    _, (post,) = sent(make_server, receiver, payload="cloudevents")
    record = json.loads(post.body)
    assert record["eventName"] == "s3:ObjectCreated:Put", "the record without an envelope"
    assert post.get("content-type") == "application/json"
    assert post.get("ce-specversion") == "1.0" and post.get("ce-type") == "com.amazonaws.s3.ObjectCreated:Put"
    assert urllib.parse.unquote(post.get("ce-subject")) == KEY and post.get("ce-source") == "minio:s3..events"
    assert post.get("ce-time") == record["eventTime"] and re.fullmatch("[0-9A-F]{16}", post.get("ce-id"))


def test_an_event_keeps_its_id(make_server, receiver):
    first = []
    receiver.behave = lambda post: OK if first else first.append(post) or Answer(503)
    _, posts = sent(make_server, receiver, n=2, payload="cloudevents")
    assert posts[0].get("ce-id") == posts[1].get("ce-id")


def test_raw_keys(make_server, receiver):
    _, (post,) = sent(make_server, receiver, key_encoding="raw")
    body = json.loads(post.body)
    assert body["Records"][0]["s3"]["object"]["key"] == KEY and body["Key"] == f"events/{KEY}"


def test_the_secret_is_not_shown(make_server, receiver):
    """Not even where it is wrong."""
    server = make_server(env=webhook_env(receiver, payload="xml", signature_secret="s3cret-value")).start()
    assert "PAYLOAD_1" in server.log() and "s3cret-value" not in server.log()
