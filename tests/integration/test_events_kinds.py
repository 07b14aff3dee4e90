# SPDX-License-Identifier: Apache-2.0
"""Every kind of event that this server can emit, by the request that makes it, delivered to a webhook with its whole record;
and that none is forgotten. Details of each record are in test_events_record."""
import os
import re

import pytest
from support.multipart import Upload, etag_of
from support.ops import delete_body, delete_many, md5_header
from support.record import pattern
from support.s3raw import arn, key_path, rule
from support.server import ROOT
from test_events_record import AGENT, Bench
from test_s3_post import TYPE, form, policy_of, send, signed_v4

BODY = b"hello"
TAGS = b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>"


@pytest.fixture
def bench(notified, hook_receiver):
    return Bench(notified, hook_receiver)


def with_object(bench):
    """An object without an event."""
    assert bench.s3.set_rules(bench.bucket).status == 200
    assert bench.request("PUT", "k", body=BODY).status == 200
    assert bench.s3.set_rules(bench.bucket, rule(arn("1"))).status == 200


def put(bench):
    bench.request("PUT", "k", body=BODY)
    return bench.content(BODY)


def copy(bench):
    with_object(bench)
    reply = bench.request("PUT", "k", {"x-amz-copy-source": key_path(bench.bucket, "k"), "x-amz-metadata-directive": "REPLACE"})
    return {"content_length": len(reply.body), **bench.content(BODY)}


def post(bench):
    fields = dict({"key": "k"}, **signed_v4(bench.server, policy_of(bench.bucket)))
    assert send(bench.server, bench.bucket, form(fields), headers={"Content-Type": TYPE, "User-Agent": AGENT}).status == 204
    return {"principal": "", **bench.content(BODY)}


def complete(bench):
    up = Upload(bench.s3, bench.bucket, "k", {"User-Agent": AGENT})
    up.put(1, BODY)
    reply = bench.s3.request("POST", up.path(), {"User-Agent": AGENT},
                             b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part>"
                             b"</CompleteMultipartUpload>" % up.etags[1].encode())
    return dict(bench.content(BODY), content_length=len(reply.body), etag=etag_of([BODY]))


def get(bench):
    with_object(bench)
    bench.request("GET", "k")
    return {"content_length": 5, **bench.content(BODY)}


def head(bench):
    with_object(bench)
    bench.request("HEAD", "k")
    return {"content_length": 5, **bench.content(BODY)}


def attributes(bench):
    with_object(bench)
    reply = bench.request("GET", "k", {"x-amz-object-attributes": "ETag"}, target=key_path(bench.bucket, "k") + "?attributes")
    return {"content_length": len(reply.body), **bench.content(BODY)}


def put_tags(bench):
    with_object(bench)
    bench.request("PUT", "k", body=TAGS, target=key_path(bench.bucket, "k") + "?tagging")
    return {"content_length": 0, **bench.content(BODY)}


def delete_tags(bench):
    with_object(bench)
    bench.request("DELETE", "k", target=key_path(bench.bucket, "k") + "?tagging")
    return {"content_length": 0, **bench.content(BODY)}


def delete(bench):
    with_object(bench)
    bench.request("DELETE", "k")
    return {"content_length": 0}


def delete_several(bench):
    with_object(bench)
    body = delete_body(["k"])
    return {"content_length": len(delete_many(bench.s3, bench.bucket, body, {**md5_header(body), "User-Agent": AGENT}).body)}


def delete_by_force(bench):
    with_object(bench)
    bench.request("DELETE", "k", {"x-minio-force-delete": "true"})
    return {"content_length": 0}


def delete_nothing(bench):
    bench.request("DELETE", "k")
    return {}


def remove_bucket(bench):
    assert bench.s3.set_rules(bench.bucket, rule(arn("1"), "s3:BucketRemoved:*")).status == 200
    bench.request("DELETE", None, target=f"/{bench.bucket}")
    return {"content_length": 0, "key": ""}


def presigned(bench, method, body=b""):
    target = bench.s3.signer.presign(method, key_path(bench.bucket, "k"), bench.s3.host)
    reply = bench.s3.request(method, target, {"User-Agent": AGENT}, body, sign=False)
    assert reply.status == 200, reply


def presigned_put(bench):
    presigned(bench, "PUT", BODY)
    return bench.content(BODY)


def presigned_get(bench):
    with_object(bench)
    presigned(bench, "GET")
    return {"content_length": 5, **bench.content(BODY)}


KINDS = [
    ("s3:ObjectCreated:Put", put), ("s3:ObjectCreated:Put", presigned_put), ("s3:ObjectCreated:Copy", copy),
    ("s3:ObjectCreated:Post", post), ("s3:ObjectCreated:CompleteMultipartUpload", complete),
    ("s3:ObjectCreated:PutTagging", put_tags), ("s3:ObjectCreated:DeleteTagging", delete_tags),
    ("s3:ObjectAccessed:Get", get), ("s3:ObjectAccessed:Get", presigned_get), ("s3:ObjectAccessed:Head", head),
    ("s3:ObjectAccessed:Attributes", attributes), ("s3:ObjectRemoved:Delete", delete),
    ("s3:ObjectRemoved:Delete", delete_several), ("s3:ObjectRemoved:Delete", delete_by_force),
    ("s3:ObjectRemoved:NoOP", delete_nothing), ("s3:BucketRemoved:*", remove_bucket),
]
# No rule can be there before its bucket is: only listeners hear of it (test_listen).
LISTENED = {"s3:BucketCreated:*"}
# Operations that this server does not have yet: versions, locks, replication, tiers, lifecycle, the scanner.
NOT_BUILT = re.compile(r"GetRetention|GetLegalHold|PutRetention|PutLegalHold|DeleteMarkerCreated|DeleteAllVersions|"
                       r"s3:(Replication|ObjectRestore|ObjectTransition|Scanner|LifecycleDelMarkerExpiration):")


@pytest.mark.sanitize
@pytest.mark.parametrize("event,make", KINDS, ids=[f"{m.__name__}-{e[3:]}" for e, m in KINDS])
def test_kind(bench, event, make):
    fields = make(bench)
    principal = fields.pop("principal", bench.server.user)
    key = fields.pop("key", "k")
    found = bench.posts(1)[0]
    wanted = pattern(event, bench.bucket, key, key, principal, bench.server.endpoint, agent=AGENT, **fields)
    assert wanted.fullmatch(found.body.decode()), f"\n  got    {found.body.decode()}\n  wanted {wanted.pattern}"
    bench.s3.request("PUT", f"/{bench.bucket}")         # its bucket may be gone
    assert bench.s3.set_rules(bench.bucket, rule(arn("1"))).status == 200
    bench.request("PUT", "last", body=b"x")
    assert [p.key for p in bench.posts(2)] == [f"{bench.bucket}/{key}", f"{bench.bucket}/last"], "one event"


def test_no_kind_is_forgotten():
    with open(os.path.join(ROOT, "src", "event", "event.h"), encoding="utf-8") as f:
        names = set(re.findall(r'X\(\w+, "(s3:[\w:*]+)"\)', f.read()))
    assert len(names) > 20
    assert {n for n in names if not NOT_BUILT.search(n)} == {e for e, _ in KINDS} | LISTENED
