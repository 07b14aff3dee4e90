# SPDX-License-Identifier: Apache-2.0
"""Removals with conditions, and of everything below a name."""
import hashlib
import time
from email.utils import formatdate, parsedate_to_datetime

import pytest
from support.ops import delete_body, delete_many
from support.receiver import Receiver, webhook_env
from support.s3raw import arn, rule
from support.wait import wait_for

TAG = f'"{hashlib.md5(b"hello").hexdigest()}"'
FORCE = {"x-minio-force-delete": "true"}
OLD = formatdate(time.time() - 86400, usegmt=True)

CONDITIONS = [
    ({"If-Match": TAG}, 204), ({"If-Match": TAG.strip('"')}, 204), ({"If-Match": "*"}, 204), ({"If-Match": '"x"'}, 412),
    ({"If-Match": ""}, 412), ({"x-amz-if-match-size": "5"}, 204), ({"x-amz-if-match-size": "4"}, 412),
    ({"x-amz-if-match-size": "five"}, 400), ({"x-amz-if-match-last-modified-time": OLD}, 412),
    ({"x-amz-if-match-last-modified-time": "yesterday"}, 400), ({"If-Match": TAG, "x-amz-if-match-size": "4"}, 412),
    ({"If-None-Match": TAG}, 501), ({"If-None-Match": "*"}, 501),
]


@pytest.mark.sanitize
@pytest.mark.parametrize("headers,status", CONDITIONS, ids=[str(i) for i in range(len(CONDITIONS))])
def test_conditions_of_a_delete(s3, bucket, headers, status):
    assert s3.put(bucket, "k", b"hello").status == 200
    reply = s3.delete(bucket, "k", headers=headers)
    assert reply.status == status and (status != 412 or reply.code == "PreconditionFailed"), reply
    assert s3.head(bucket, "k").status == (404 if status == 204 else 200)


def test_condition_on_the_date(s3, bucket):
    assert s3.put(bucket, "k", b"hello").status == 200
    modified = s3.head(bucket, "k").get("last-modified")
    iso = parsedate_to_datetime(modified).strftime("%Y-%m-%dT%H:%M:%SZ")
    for form in (modified, iso):
        assert s3.put(bucket, "k", b"hello").status == 200
        modified = s3.head(bucket, "k").get("last-modified")
        form = modified if form.endswith("GMT") else parsedate_to_datetime(modified).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert s3.delete(bucket, "k", headers={"x-amz-if-match-last-modified-time": form}).status == 204


def test_condition_on_what_is_not_there(s3, bucket):
    assert s3.delete(bucket, "missing", headers={"If-Match": TAG}).status == 204


def test_a_conditional_delete_is_decided_at_the_commit(s3, bucket):
    """Of a delete and an overwrite at once, the overwrite survives, or there was nothing to overwrite."""
    import threading
    for i in range(20):
        assert s3.put(bucket, "k", b"hello").status == 200
        statuses = {}
        threads = [threading.Thread(target=lambda: statuses.update(put=s3.put(bucket, "k", b"new").status)),
                   threading.Thread(target=lambda: statuses.update(
                       delete=s3.delete(bucket, "k", headers={"If-Match": TAG}).status))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert statuses["put"] == 200 and statuses["delete"] in (204, 412)
        assert s3.get(bucket, "k").body == b"new"


def entry(key, **conditions):
    inner = "".join(f"<{n}>{v}</{n}>" for n, v in conditions.items())
    return f"<Object><Key>{key}</Key>{inner}</Object>"


def test_conditions_of_many(s3, bucket):
    for key in ("a", "b", "c", "d", "e", "f"):
        assert s3.put(bucket, key, b"hello").status == 200
    modified = s3.head(bucket, "a").get("last-modified")
    body = ("<Delete>" + entry("a", ETag=TAG, Size=5, LastModifiedTime=modified) + entry("b", ETag='"x"') +
            entry("c", Size=4) + entry("d", LastModifiedTime=OLD) + entry("e", Size="five") + entry("f") +
            entry("f", ETag=TAG) + entry("missing", ETag=TAG) + "</Delete>").encode()
    tree = delete_many(s3, bucket, body).xml
    assert [k.text for k in tree.iterfind("Deleted/Key")] == ["a", "f", "f", "missing"]
    assert [(e.findtext("Key"), e.findtext("Code")) for e in tree.findall("Error")] == [
        ("b", "PreconditionFailed"), ("c", "PreconditionFailed"), ("d", "PreconditionFailed"), ("e", "InvalidArgument")]
    assert [k.text for k in s3.request("GET", f"/{bucket}").xml.iter("Key")] == ["b", "c", "d", "e"]


def test_boto_conditions(boto, bucket):
    from botocore.exceptions import ClientError
    etag = boto.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        boto.delete_object(Bucket=bucket, Key="k", IfMatch='"no"')
    head = boto.head_object(Bucket=bucket, Key="k")
    reply = boto.delete_objects(Bucket=bucket, Delete={"Objects": [
        {"Key": "k", "ETag": etag, "Size": 1, "LastModifiedTime": head["LastModified"]}]})
    assert [d["Key"] for d in reply["Deleted"]] == ["k"] and "Errors" not in reply


# -- everything below a name ------------------------------------------------------------------------

def fill(s3, bucket, keys):
    with s3.server.raw() as c:
        for key in keys:
            assert s3.put(bucket, key, b"x", conn=c).status == 200


def left(s3, bucket):
    return [k.text for k in s3.request("GET", f"/{bucket}").xml.iter("Key")]


@pytest.mark.sanitize
@pytest.mark.parametrize("name,stays", [
    ("a", ["a!", "ab/c", "b"]), ("a/", ["a", "a!", "ab/c", "b"]), ("a/b", ["a", "a!", "a/bc", "ab/c", "b"]),
    ("missing", None), ("ab", ["a", "a!", "a/b", "a/b/c", "a/bc", "b"])])
def test_force_takes_a_name_and_what_is_below(s3, bucket, name, stays):
    keys = ["a", "a!", "a/b", "a/b/c", "a/bc", "ab/c", "b"]
    fill(s3, bucket, keys)
    assert s3.delete(bucket, name, headers=FORCE).status == 204
    assert left(s3, bucket) == (keys if stays is None else stays)


@pytest.mark.parametrize("version", ["null", "00000000-0000-0000-0000-000000000000"])
def test_force_means_no_version(s3, bucket, version):
    """One version of an object, and all that is below its name: nobody means both."""
    fill(s3, bucket, ["a", "a/b"])
    assert s3.request("DELETE", f"/{bucket}/a?versionId={version}", FORCE).code == "NotImplemented"
    assert left(s3, bucket) == ["a", "a/b"]
    assert s3.request("DELETE", f"/{bucket}/a?versionId=", FORCE).status == 204
    assert left(s3, bucket) == []


def test_without_the_word_it_is_one_object(s3, bucket):
    fill(s3, bucket, ["a", "a/b"])
    assert s3.delete(bucket, "a", headers={"x-minio-force-delete": "false"}).status == 204
    assert left(s3, bucket) == ["a/b"]
    assert s3.delete(bucket, "a", headers={**FORCE, "If-Match": "*"}).status == 501
    assert s3.delete("missing-bucket-x", "a", headers=FORCE).code == "NoSuchBucket"


def test_force_says_an_event_per_key(make_server, receiver):
    """Also for more than a page of the listing and a closure hold; nothing for a key that was not there."""
    server = make_server(env=webhook_env(receiver)).start()
    s3 = server.s3
    s3.make_bucket("force")
    keys = [f"d/{i:04d}" for i in range(700)]
    fill(s3, "force", ["c", *keys, "d!", "e"])
    assert s3.set_rules("force", rule(arn("1"), "s3:ObjectRemoved:*")).status == 200
    reply = s3.delete("force", "d", headers=FORCE)
    assert reply.status == 204
    assert left(s3, "force") == ["c", "d!", "e"]
    posts = receiver.wait_posts(len(keys))
    assert sorted(p.key for p in posts) == [f"force/{k}" for k in keys]
    assert {p.event for p in posts} == {"s3:ObjectRemoved:Delete"}
    assert {p.record["responseElements"]["content-length"] for p in posts} == {"0"}
    assert {p.record["responseElements"]["x-amz-request-id"] for p in posts} == {reply.get("x-amz-request-id")}
    s3.delete("force", "c")
    wait_for(lambda: len(receiver.snapshot()) > len(keys), 10, "the event behind them")
    assert receiver.snapshot()[-1].key == "force/c" and len(receiver.snapshot()) == len(keys) + 1


def test_a_client_that_goes_away(make_server, receiver):
    """Whatever is gone was said, whatever is there was not."""
    server = make_server(env=webhook_env(receiver)).start()
    s3 = server.s3
    s3.make_bucket("away")
    keys = {f"d/{i:05d}" for i in range(3000)}
    fill(s3, "away", sorted(keys))
    assert s3.set_rules("away", rule(arn("1"), "s3:ObjectRemoved:*")).status == 200
    with server.raw() as c:
        c.send(s3.build("DELETE", "/away/d", FORCE))
        wait_for(lambda: receiver.snapshot(), 10, "the first event")
        c.reset()

    def still():
        found, after = set(), ""
        while True:
            tree = s3.request("GET", f"/away?marker={after}").xml
            found |= {k.text for k in tree.iter("Key")}
            if tree.findtext("IsTruncated") == "false":
                return found
            after = tree.findtext("NextMarker")

    def agreed():
        there = still()
        said = [p.key[5:] for p in receiver.snapshot()]
        return len(said) == len(set(said)) and set(said) == keys - there
    wait_for(agreed, 20, "the listing and the events to agree")
    assert s3.delete("away", "d", headers=FORCE).status == 204
    wait_for(lambda: {p.key[5:] for p in receiver.snapshot()} == keys, 20, "the rest")
    assert still() == set()


def test_force_of_a_bucket(s3):
    s3.make_bucket("force-bucket")
    fill(s3, "force-bucket", [f"k{i}" for i in range(50)])
    assert s3.request("DELETE", "/force-bucket").code == "BucketNotEmpty"
    assert s3.request("DELETE", "/force-bucket", FORCE).status == 204
    assert s3.request("HEAD", "/force-bucket").status == 404
    s3.make_bucket("force-bucket")
    assert left(s3, "force-bucket") == [], "a bucket of the same name is another one"
    assert s3.request("DELETE", "/force-bucket").status == 204


def test_rules_that_change_during_a_force(make_server):
    """A closure that rules overtook is made again: every key is removed, and said to whom the rules then name."""
    with Receiver() as one, Receiver() as two:
        server = make_server(env=dict(webhook_env(one, "1"), **webhook_env(two, "2"))).start()
        s3 = server.s3
        s3.make_bucket("moving")
        keys = [f"d/{i:05d}" for i in range(2000)]
        fill(s3, "moving", keys)
        assert s3.set_rules("moving", rule(arn("1"), "s3:ObjectRemoved:*")).status == 200
        with server.raw(timeout=60) as c:
            c.send(s3.build("DELETE", "/moving/d", FORCE))
            for i in range(10):
                assert s3.set_rules("moving", rule(arn(str(1 + i % 2)), "s3:ObjectRemoved:*")).status == 200
            assert c.reply("DELETE").status == 204
        assert left(s3, "moving") == []
        wait_for(lambda: len(one.snapshot()) + len(two.snapshot()) >= len(keys), 20, "all events")
        assert sorted(p.key[7:] for p in one.snapshot() + two.snapshot()) == keys


def test_many_at_once_still_fit(s3, bucket):
    keys = [f"k{i:04d}" for i in range(1000)]
    fill(s3, bucket, keys)
    assert len(delete_many(s3, bucket, delete_body(keys)).xml.findall("Deleted")) == 1000
    assert left(s3, bucket) == []
