# SPDX-License-Identifier: Apache-2.0
"""The record of each kind of event, byte for byte."""
import calendar
import hashlib
import time
import uuid

import pytest
from support.ops import delete_body, delete_many
from support.receiver import webhook_env
from support.record import pattern
from support.s3raw import arn, key_path, rule

pytestmark = pytest.mark.sanitize

AGENT = "belfry-tests/1.0 <a&b>"
PLAIN = {"content-type": "binary/octet-stream"}


class Bench:
    """One bucket with a rule for everything, and the receiver's posts about it."""

    def __init__(self, server, receiver):
        self.server, self.receiver, self.s3 = server, receiver, server.s3
        self.bucket = self.s3.make_bucket(f"rec-{uuid.uuid4().hex[:10]}")
        assert self.s3.set_rules(self.bucket, rule(arn("1"))).status == 200

    def request(self, method, key, headers=(), body=b"", target=None):
        pairs = list(dict(headers).items()) + [("User-Agent", AGENT)]
        return self.s3.request(method, target or key_path(self.bucket, key), pairs, body)

    def posts(self, n):
        """The n posts about this bucket, in order of arrival."""
        from support.wait import wait_for

        def mine():
            found = [p for p in self.receiver.snapshot() if p.key.startswith(self.bucket + "/")]
            return found if len(found) >= n else None
        return wait_for(mine, 10, f"{n} posts about {self.bucket}")

    def match(self, post, event, key, encoded=None, **fields):
        """Hold one post against the template; the match, whose groups are the varying parts."""
        fields.setdefault("agent", AGENT)
        wanted = pattern(event, self.bucket, key, encoded or key, self.server.user, self.server.endpoint, **fields)
        found = wanted.fullmatch(post.body.decode("utf-8"))
        assert found, f"\n  got    {post.body.decode()}\n  wanted {wanted.pattern}"
        return found

    def content(self, body, metadata=None):
        metadata = dict(PLAIN if metadata is None else metadata)
        return {"size": len(body), "etag": hashlib.md5(body).hexdigest(), "content_type": metadata["content-type"],
                "metadata": metadata}


@pytest.fixture
def bench(notified, hook_receiver):
    return Bench(notified, hook_receiver)


def test_put(bench):
    reply = bench.request("PUT", "photo.jpg", {"Content-Type": "image/jpeg"}, b"hello")
    post = bench.posts(1)[0]
    found = bench.match(post, "s3:ObjectCreated:Put", "photo.jpg", **bench.content(b"hello", {"content-type": "image/jpeg"}))
    assert found["request_id"] == reply.get("x-amz-request-id") and found["id2"] == reply.get("x-amz-id-2")
    seconds = calendar.timegm(time.strptime(found["time"][:19], "%Y-%m-%dT%H:%M:%S"))
    assert abs(time.time() - seconds) < 10
    assert abs(int(found["sequencer"], 16) / 1e9 - time.time()) < 10


def test_the_post_itself(bench):
    bench.request("PUT", "k", body=b"x")
    post = bench.posts(1)[0]
    assert post.line == "POST /hook HTTP/1.1"
    assert post.get("content-type") == "application/json"
    assert post.get("content-length") == str(len(post.body))
    assert post.get("authorization") is None and post.get("expect") is None and post.get("transfer-encoding") is None


def test_put_empty_has_no_size(bench):
    bench.request("PUT", "empty")
    bench.match(bench.posts(1)[0], "s3:ObjectCreated:Put", "empty", **bench.content(b""))


def test_put_folder(bench):
    bench.request("PUT", "dir/")
    bench.match(bench.posts(1)[0], "s3:ObjectCreated:Put", "dir/", "dir%2F", **bench.content(b""))


def test_put_metadata(bench):
    bench.request("PUT", "k", {"x-amz-meta-foo-bar": 'Baz <&> "q"', "X-AMZ-META-x": "1", "Cache-Control": "max-age=60",
                               "Content-Disposition": "inline", "Content-Encoding": "gzip", "Content-Language": "de",
                               "Expires": "Thu, 01 Dec 2037 16:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}, b"a")
    metadata = dict(PLAIN, **{"X-Amz-Meta-Foo-Bar": 'Baz <&> "q"', "X-Amz-Meta-X": "1", "cache-control": "max-age=60",
                              "content-disposition": "inline", "content-encoding": "gzip", "content-language": "de",
                              "x-amz-storage-class": "REDUCED_REDUNDANCY"})
    bench.match(bench.posts(1)[0], "s3:ObjectCreated:Put", "k", **bench.content(b"a", metadata))


KEYS = [("a b/c+d ü.jpg", "a+b%2Fc%2Bd+%C3%BC.jpg"), ("-_.~", "-_.~"), ("<&>\"'\\", "%3C%26%3E%22%27%5C"),
        ("tab\tnl\n", "tab%09nl%0A"), ("bell\x07\x08\x0c\r\x1f", "bell%07%08%0C%0D%1F"),
        ("ls\u2028ps\u2029", "ls%E2%80%A8ps%E2%80%A9"), ("🜁=*!()", "%F0%9F%9C%81%3D%2A%21%28%29"), ("\x7f", "%7F")]


@pytest.mark.parametrize("key,encoded", KEYS, ids=[e for _, e in KEYS])
def test_keys(bench, key, encoded):
    assert bench.request("PUT", key, body=b"x").status == 200
    bench.match(bench.posts(1)[0], "s3:ObjectCreated:Put", key, encoded, **bench.content(b"x"))


def test_invalid_utf8_outside_the_key(bench):
    headers = [("User-Agent", "bad \xff agent"), ("x-amz-meta-a", "\xfcber")]
    assert bench.s3.request("PUT", key_path(bench.bucket, "k"), headers, b"x").status == 200
    post = bench.posts(1)[0]
    assert post.record["source"]["userAgent"] == "bad \ufffd agent"
    assert b"\\ufffd" in post.body or "\ufffd".encode() in post.body
    post.body.decode("utf-8")


def test_overwriting_and_sequencers_grow(bench):
    for i in range(20):
        bench.request("PUT", "k", body=b"%d" % i)
    posts = bench.posts(20)
    numbers = [p.sequencer for p in posts]
    assert numbers == sorted(set(numbers)) and all(len(n) == 16 for n in numbers)


def test_copy(bench):
    bench.request("PUT", "src", {"Content-Type": "image/jpeg"}, b"hello")
    reply = bench.request("PUT", "dst", {"x-amz-copy-source": f"/{bench.bucket}/src"})
    post = bench.posts(2)[1]
    found = bench.match(post, "s3:ObjectCreated:Copy", "dst", content_length=len(reply.body),
                        **bench.content(b"hello", {"content-type": "image/jpeg"}))
    assert found["request_id"] == reply.get("x-amz-request-id")


def test_self_copy(bench):
    bench.request("PUT", "k", body=b"hello")
    reply = bench.request("PUT", "k", {"x-amz-copy-source": f"/{bench.bucket}/k", "x-amz-metadata-directive": "REPLACE",
                                       "Content-Type": "a/b"})
    bench.match(bench.posts(2)[1], "s3:ObjectCreated:Copy", "k", content_length=len(reply.body),
                **bench.content(b"hello", {"content-type": "a/b"}))


def test_get_and_head(bench):
    bench.request("PUT", "k", body=b"0123456789")
    put = bench.posts(1)[0]
    content = bench.content(b"0123456789")
    bench.request("GET", "k")
    found = bench.match(bench.posts(2)[1], "s3:ObjectAccessed:Get", "k", content_length=10, **content)
    assert found["sequencer"] == put.sequencer, "an access tells the sequencer of the object"
    bench.request("GET", "k", {"Range": "bytes=1-3"})
    bench.match(bench.posts(3)[2], "s3:ObjectAccessed:Get", "k", content_length=3, byte_range="bytes=1-3", **content)
    bench.request("HEAD", "k")
    found = bench.match(bench.posts(4)[3], "s3:ObjectAccessed:Head", "k", content_length=10, **content)
    assert found["sequencer"] == put.sequencer


def test_delete(bench):
    bench.request("PUT", "k", body=b"x")
    reply = bench.request("DELETE", "k")
    put, post = bench.posts(2)
    found = bench.match(post, "s3:ObjectRemoved:Delete", "k", content_length=0)
    assert found["sequencer"] > put.sequencer
    assert found["request_id"] == reply.get("x-amz-request-id")


def test_delete_of_nothing(bench):
    assert bench.request("DELETE", "missing").status == 204
    bench.match(bench.posts(1)[0], "s3:ObjectRemoved:NoOP", "missing")


def test_multi_delete(bench):
    bench.request("PUT", "a", body=b"x")
    bench.posts(1)
    reply = delete_many(bench.s3, bench.bucket, delete_body(["a", "missing"]))
    assert reply.status == 200
    posts = bench.posts(3)[1:]
    agent = posts[0].record["source"]["userAgent"]
    for key in ("a", "missing"):
        post = next(p for p in posts if p.key.endswith("/" + key))
        bench.match(post, "s3:ObjectRemoved:Delete", key, content_length=len(reply.body), agent=agent)


@pytest.mark.sanitize
def test_tagging(bench):
    """The object is as it was, so the records repeat its sequencer; each has a place of its own in the order."""
    bench.request("PUT", "k", body=b"hello")
    put = bench.posts(1)[0]
    content = bench.content(b"hello")
    reply = bench.request("PUT", None, body=b"<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>",
                          target=f"/{bench.bucket}/k?tagging")
    assert reply.status == 200
    found = bench.match(bench.posts(2)[1], "s3:ObjectCreated:PutTagging", "k", content_length=0, **content)
    assert found["sequencer"] == put.sequencer and found["request_id"] == reply.get("x-amz-request-id")
    assert bench.request("GET", None, target=f"/{bench.bucket}/k?tagging").status == 200
    assert bench.request("DELETE", None, target=f"/{bench.bucket}/k?tagging").status == 204
    found = bench.match(bench.posts(3)[2], "s3:ObjectCreated:DeleteTagging", "k", content_length=0, **content)
    assert found["sequencer"] == put.sequencer
    assert bench.request("PUT", None, body=b"<Tagging/>", target=f"/{bench.bucket}/k?tagging").status == 400
    assert bench.request("DELETE", None, target=f"/{bench.bucket}/missing?tagging").status == 404
    bench.request("PUT", "last", {"x-amz-tagging": "a=1"}, b"hello")
    bench.match(bench.posts(4)[3], "s3:ObjectCreated:Put", "last", **content)


def test_delete_of_a_version_that_is_not_there(bench):
    version = "754e2f7f-3eda-4262-8d8a-f95f2c752b2c"
    bench.request("PUT", "k", body=b"x")
    reply = bench.request("DELETE", None, target=f"/{bench.bucket}/k?versionId={version}")
    assert reply.status == 204
    post = bench.posts(2)[1]
    assert post.event == "s3:ObjectRemoved:NoOP" and post.record["s3"]["object"]["versionId"] == version
    assert bench.s3.get(bench.bucket, "k").body == b"x"
    # The event of a read has its place in the order only after the reply.
    bench.match(bench.posts(3)[2], "s3:ObjectAccessed:Get", "k", agent="", content_length=1, **bench.content(b"x"))
    assert bench.request("DELETE", None, target=f"/{bench.bucket}/k?versionId=null").status == 204
    bench.match(bench.posts(4)[3], "s3:ObjectRemoved:Delete", "k", content_length=0)


def test_conditional_deletes(bench):
    """What a condition holds back says nothing; the length of a reply that only the commits know is left out."""
    etag = f'"{hashlib.md5(b"x").hexdigest()}"'
    bench.request("PUT", "a", body=b"x")
    bench.request("PUT", "b", body=b"x")
    assert bench.request("DELETE", "a", {"If-Match": '"no"'}).status == 412
    assert bench.request("DELETE", "missing", {"If-Match": etag}).status == 204
    bench.match(bench.posts(3)[2], "s3:ObjectRemoved:NoOP", "missing")
    assert bench.request("DELETE", "a", {"If-Match": etag}).status == 204
    bench.match(bench.posts(4)[3], "s3:ObjectRemoved:Delete", "a", content_length=0)
    body = (f"<Delete><Object><Key>b</Key><ETag>&quot;no&quot;</ETag></Object>"
            f"<Object><Key>b</Key><ETag>{etag}</ETag></Object></Delete>").encode()
    assert delete_many(bench.s3, bench.bucket, body).status == 200
    bench.match(bench.posts(5)[4], "s3:ObjectRemoved:Delete", "b", agent="")
    bench.request("PUT", "last", body=b"x")
    assert [p.key.split("/", 1)[1] for p in bench.posts(6)] == ["a", "b", "missing", "a", "b", "last"]


def test_removal_of_a_bucket(bench):
    """Nobody's rule knows of a bucket before it is made; of its end the bucket's own rules know."""
    assert bench.s3.set_rules(bench.bucket, rule(arn("1"), "s3:BucketRemoved:*")).status == 200
    bench.request("PUT", "k", body=b"x")
    assert bench.request("DELETE", None, target=f"/{bench.bucket}").status == 409
    bench.request("DELETE", "k")
    assert bench.request("DELETE", None, target=f"/{bench.bucket}").status == 204
    bench.match(bench.posts(1)[0], "s3:BucketRemoved:*", "", content_length=0)


def test_what_says_nothing(bench, hook_receiver):
    """Reads that fail, conditions that do not hold, listings: no event; the one after them arrives first."""
    bench.request("PUT", "k", body=b"hello")
    bench.posts(1)
    tag = f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert bench.request("GET", "nope").status == 404
    assert bench.request("HEAD", "nope").status == 404
    assert bench.request("GET", "k", {"If-None-Match": tag}).status == 304
    assert bench.request("GET", "k", {"If-Match": '"x"'}).status == 412
    assert bench.request("GET", "k", {"Range": "bytes=99-"}).status == 416
    assert bench.request("PUT", "k", {"If-None-Match": "*"}, b"x").status == 412
    assert bench.request("PUT", "k", {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, b"x").status == 400
    for target in (f"/{bench.bucket}", f"/{bench.bucket}?list-type=2", f"/{bench.bucket}?notification", "/",
                   f"/{bench.bucket}?location"):
        assert bench.request("GET", None, target=target).status == 200
    assert bench.request("HEAD", None, target=f"/{bench.bucket}").status == 200
    bench.request("PUT", "last", body=b"x")
    assert [p.key.split("/", 1)[1] for p in bench.posts(2)] == ["k", "last"]


SOURCES = [({"X-Forwarded-For": "1.2.3.4, 5.6.7.8"}, "1.2.3.4"), ({"X-Real-IP": "9.9.9.9"}, "9.9.9.9"),
           ({"Forwarded": "for=8.8.4.4;proto=http"}, "8.8.4.4"), ({"X-Forwarded-For": "2001:db8::1"}, "[2001:db8::1]"),
           ({"X-Real-IP": "9.9.9.9", "X-Forwarded-For": "1.2.3.4"}, "1.2.3.4")]


@pytest.mark.parametrize("headers,host", SOURCES, ids=[h for _, h in SOURCES])
def test_source_address(bench, headers, host):
    bench.request("PUT", "k", headers, b"x")
    bench.match(bench.posts(1)[0], "s3:ObjectCreated:Put", "k", host=host, **bench.content(b"x"))


def test_region_and_public_address(make_server, receiver):
    env = dict(webhook_env(receiver), MINIO_REGION="eu-test-1", MINIO_SERVER_URL="https://s3.example.org")
    server = make_server(env=env, region="eu-test-1").start()
    s3 = server.s3
    s3.make_bucket("regional")
    assert s3.set_rules("regional", rule(arn("1", region="eu-test-1"))).status == 200
    assert b"<Queue>arn:minio:sqs:eu-test-1:1:webhook</Queue>" in s3.rules("regional").body
    assert s3.put("regional", "k", b"x").status == 200
    record = receiver.wait_posts(1)[0].record
    assert record["awsRegion"] == "eu-test-1" and record["requestParameters"]["region"] == "eu-test-1"
    assert record["responseElements"]["x-minio-origin-endpoint"] == "https://s3.example.org"


def test_deployment_id_stays(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    server.s3.make_bucket("ids")
    assert server.s3.set_rules("ids", rule(arn("1"))).status == 200
    seen = set()
    for i in range(3):
        assert server.s3.put("ids", "k", b"x").status == 200
        seen.add(receiver.wait_posts(i + 1)[i].record["responseElements"]["x-minio-deployment-id"])
        server.restart()
    assert len(seen) == 1
