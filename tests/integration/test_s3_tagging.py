# SPDX-License-Identifier: Apache-2.0
"""Tags of objects."""
import threading

import pytest
from support.sigv4 import encode


def document(tags):
    inner = "".join(f"<Tag><Key>{k}</Key><Value>{v}</Value></Tag>" for k, v in tags)
    return f"<Tagging><TagSet>{inner}</TagSet></Tagging>".encode()


def put_tags(s3, bucket, key, tags):
    return s3.request("PUT", f"/{bucket}/{encode(key, '/')}?tagging", body=document(tags))


def tags(s3, bucket, key):
    reply = s3.request("GET", f"/{bucket}/{encode(key, '/')}?tagging")
    assert reply.status == 200 and reply.get("content-type") == "application/xml", reply
    assert reply.body.startswith(b"<?xml")
    return [(t.findtext("Key"), t.findtext("Value")) for t in reply.xml.find("TagSet")]


@pytest.mark.sanitize
@pytest.mark.parametrize("size", [5, 200_000])
def test_round(s3, bucket, size):
    assert s3.put(bucket, "k", b"x" * size, {"x-amz-meta-a": "1"}).status == 200
    before = s3.head(bucket, "k")
    assert before.get("x-amz-tagging-count") is None and tags(s3, bucket, "k") == []
    reply = put_tags(s3, bucket, "k", [("b", "ü €"), ("a/1", "x=y+z"), ("empty", "")])
    assert reply.status == 200 and reply.body == b""
    assert tags(s3, bucket, "k") == [("a/1", "x=y+z"), ("b", "ü €"), ("empty", "")]
    for after in (s3.head(bucket, "k"), s3.get(bucket, "k")):
        assert after.get("x-amz-tagging-count") == "3" and after.get("x-amz-meta-a") == "1"
        assert [after.get(n) for n in ("etag", "last-modified")] == [before.get(n) for n in ("etag", "last-modified")]
    assert s3.get(bucket, "k").body == b"x" * size
    assert put_tags(s3, bucket, "k", [("c", "1")]).status == 200, "they replace the ones before"
    assert tags(s3, bucket, "k") == [("c", "1")]
    reply = s3.request("DELETE", f"/{bucket}/k?tagging")
    assert reply.status == 204
    assert tags(s3, bucket, "k") == [] and s3.head(bucket, "k").get("x-amz-tagging-count") is None
    assert s3.get(bucket, "k").body == b"x" * size


def test_with_the_null_version(s3, bucket):
    assert s3.put(bucket, "k", b"x").status == 200
    for method, status in (("PUT", 200), ("GET", 200), ("DELETE", 204)):
        body = document([("a", "1")]) if method == "PUT" else b""
        assert s3.request(method, f"/{bucket}/k?tagging&versionId=null", body=body).status == status
        reply = s3.request(method, f"/{bucket}/k?tagging&versionId=00000000-0000-4000-8000-000000000000", body=body)
        assert (reply.status, reply.code) == (404, "NoSuchVersion")


def test_header_of_put(s3, bucket):
    assert s3.put(bucket, "k", b"x", {"x-amz-tagging": "b=2&a=x%20y&c"}).status == 200
    assert tags(s3, bucket, "k") == [("a", "x y"), ("b", "2"), ("c", "")]
    assert s3.get(bucket, "k").get("x-amz-tagging-count") == "3"
    assert s3.put(bucket, "k", b"x").status == 200
    assert tags(s3, bucket, "k") == [], "an object that replaces another does not inherit its tags"


def test_copy(s3, bucket):
    def copy(key, headers, source="k"):
        return s3.request("PUT", f"/{bucket}/{key}", {"x-amz-copy-source": f"/{bucket}/{source}", **headers})

    assert s3.put(bucket, "k", b"x", {"x-amz-tagging": "a=1", "x-amz-meta-m": "1"}).status == 200
    assert copy("same", {}).status == 200
    assert copy("ignored", {"x-amz-tagging": "b=2"}).status == 200
    assert copy("other", {"x-amz-tagging": "b=2", "x-amz-tagging-directive": "REPLACE"}).status == 200
    assert copy("none", {"x-amz-tagging-directive": "REPLACE"}).status == 200
    assert copy("meta", {"x-amz-metadata-directive": "REPLACE"}).status == 200
    assert tags(s3, bucket, "same") == tags(s3, bucket, "ignored") == tags(s3, bucket, "meta") == [("a", "1")]
    assert tags(s3, bucket, "other") == [("b", "2")] and tags(s3, bucket, "none") == []
    assert s3.head(bucket, "other").get("x-amz-meta-m") == "1"
    assert copy("k", {"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "n=1"}).status == 200, "onto itself"
    assert tags(s3, bucket, "k") == [("n", "1")] and s3.get(bucket, "k").body == b"x"
    for bad in ({"x-amz-tagging-directive": "MAYBE"}, {"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "a=1&a=2"}):
        assert copy("bad", bad).status == 400
    assert s3.head(bucket, "bad").status == 404


@pytest.mark.parametrize("header,code", [("a=1&a=2", "InvalidTag"), ("&".join(f"{i}=1" for i in range(11)), "InvalidTag"),
                                         ("aws:a=1", "InvalidTag"), ("a=%zz", "InvalidArgument"), ("a=" + "v" * 257, "InvalidTag")])
def test_bad_headers(s3, bucket, header, code):
    reply = s3.put(bucket, "k", b"x", {"x-amz-tagging": header})
    assert (reply.status, reply.code) == (400, code)
    assert s3.head(bucket, "k").status == 404


@pytest.mark.parametrize("body,code", [(b"", "MalformedXML"), (b"<Tagging>", "MalformedXML"), (b"<Tagging/>", "MalformedXML"),
                                       (document([(str(i), "") for i in range(11)]), "InvalidTag"),
                                       (document([("a", ""), ("a", "")]), "InvalidTag"), (document([("", "")]), "InvalidTag"),
                                       (document([("k" * 129, "")]), "InvalidTag"), (document([("k", "&lt;")]), "InvalidTag")])
def test_bad_documents(s3, bucket, body, code):
    assert s3.put(bucket, "k", b"x", {"x-amz-tagging": "a=1"}).status == 200
    reply = s3.request("PUT", f"/{bucket}/k?tagging", body=body)
    assert (reply.status, reply.code) == (400, code), reply
    assert tags(s3, bucket, "k") == [("a", "1")]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_not_there(s3, bucket, method):
    body = document([]) if method == "PUT" else b""
    reply = s3.request(method, f"/{bucket}/missing?tagging", body=body)
    assert (reply.status, reply.code) == (404, "NoSuchKey")
    reply = s3.request(method, "/missing-bucket-x/k?tagging", body=body)
    assert (reply.status, reply.code) == (404, "NoSuchBucket")


def test_the_largest(server, s3, bucket):
    """Ten tags of 128 and 256 characters of four bytes, on an object with all the metadata it may have, through everything
    that reads a row in a commit."""
    big = [(f"{i}" + "🜁" * 127, "🜁" * 256) for i in range(10)]
    keys = [f"k{i:02d}" for i in range(40)]
    with server.raw() as c:
        for key in keys:
            assert s3.put(bucket, key, b"x", {"x-amz-meta-a": "v" * 1900}, conn=c).status == 200
            reply = s3.request("PUT", f"/{bucket}/{key}?tagging", body=document(big), conn=c)
            assert reply.status == 200
    assert tags(s3, bucket, "k00") == big
    assert s3.request("PUT", f"/{bucket}/copy", {"x-amz-copy-source": f"/{bucket}/k00"}).status == 200
    assert tags(s3, bucket, "copy") == big
    from support.ops import delete_body, delete_many
    assert delete_many(s3, bucket, delete_body(keys)).xml.findall("Error") == []
    assert [k.text for k in s3.request("GET", f"/{bucket}").xml.iter("Key")] == ["copy"]


def test_tags_and_writes_at_once(s3, bucket):
    """Every commit is whole: the tags at the end are some writer's, the object is the last one put."""
    assert s3.put(bucket, "k", b"0").status == 200

    def tagger(n, results):
        with s3.server.raw() as c:
            for i in range(30):
                results.append(s3.request("PUT", f"/{bucket}/k?tagging", body=document([(f"w{n}", f"{i}")]), conn=c).status)

    results = []
    threads = [threading.Thread(target=tagger, args=(n, results)) for n in range(4)]
    for t in threads:
        t.start()
    for i in range(30):
        assert s3.put(bucket, "k", b"%d" % i).status == 200
    for t in threads:
        t.join()
    assert set(results) == {200} and len(results) == 120
    assert s3.get(bucket, "k").body == b"29"


def test_survives_a_restart(make_server):
    server = make_server().start()
    server.s3.make_bucket("tags")
    assert server.s3.put("tags", "k", b"x", {"x-amz-tagging": "a=1"}).status == 200
    assert put_tags(server.s3, "tags", "k", [("b", "2")]).status == 200
    server.kill()
    server.start()
    assert tags(server.s3, "tags", "k") == [("b", "2")] and server.s3.get("tags", "k").body == b"x"
