# SPDX-License-Identifier: Apache-2.0
"""ListObjects V1 and V2, and DeleteObjects."""
import hashlib
import re

import pytest
from support.ops import crc_header, delete_body, delete_many, md5_header
from support.s3raw import NS
from support.sigv4 import UNSIGNED_TRAILER, encode, unsigned_chunks

KEYS = ["a", "a/1", "a/2", "a/b/3", "b", "b c", "b+c", "dir/", "dir/x", "z", "ü/1"]


@pytest.fixture(scope="module")
def listed(server):
    s3 = server.s3
    s3.make_bucket("listed")
    with server.raw() as c:
        for k in KEYS:
            assert s3.put("listed", k, k.encode(), conn=c).status == 200
    return "listed"


def listing(s3, bucket, **params):
    query = "&".join(f"{k.replace('_', '-')}={encode(str(v))}" for k, v in params.items())
    reply = s3.request("GET", f"/{bucket}" + (f"?{query}" if query else ""))
    assert reply.status == 200, reply
    return reply.xml


def names(tree):
    return [c.findtext("Key") for c in tree.iter("Contents")]


def prefixes(tree):
    return [p.findtext("Prefix") for p in tree.iter("CommonPrefixes")]


def test_form_of_v1(s3, listed):
    reply = s3.request("GET", f"/{listed}")
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>') and NS.encode() in reply.body
    tree = reply.xml
    assert tree.tag == "ListBucketResult" and tree.findtext("Name") == listed
    assert tree.findtext("Prefix") == "" and tree.findtext("Marker") == "" and tree.findtext("MaxKeys") == "1000"
    assert tree.findtext("IsTruncated") == "false" and tree.find("Delimiter") is None and tree.find("NextMarker") is None
    first = tree.find("Contents")
    assert first.findtext("Key") == "a" and first.findtext("Size") == "1"
    assert first.findtext("ETag") == f'"{hashlib.md5(b"a").hexdigest()}"'
    assert first.findtext("StorageClass") == "STANDARD" and first.findtext("Owner/ID")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.findtext("LastModified"))


def test_form_of_v2(s3, listed):
    tree = listing(s3, listed, list_type=2)
    assert tree.findtext("KeyCount") == str(len(KEYS)) and tree.findtext("MaxKeys") == "1000"
    assert tree.find("Contents").find("Owner") is None and tree.find("NextContinuationToken") is None
    assert tree.find("Marker") is None
    tree = listing(s3, listed, list_type=2, fetch_owner="true")
    assert tree.findtext("Contents/Owner/ID") and tree.findtext("Contents/Owner/DisplayName") is not None


@pytest.mark.parametrize("version", [{}, {"list_type": 2}])
class TestBothVersions:
    def test_order_is_by_bytes(self, s3, listed, version):
        assert names(listing(s3, listed, **version)) == sorted(KEYS, key=str.encode)

    @pytest.mark.parametrize("prefix,found", [("a", ["a", "a/1", "a/2", "a/b/3"]), ("a/", ["a/1", "a/2", "a/b/3"]),
                                              ("b c", ["b c"]), ("nope", []), ("ü", ["ü/1"]), ("dir/", ["dir/", "dir/x"])])
    def test_prefix(self, s3, listed, version, prefix, found):
        tree = listing(s3, listed, prefix=prefix, **version)
        assert names(tree) == found and tree.findtext("Prefix") == prefix

    @pytest.mark.parametrize("prefix,delimiter,found,groups", [
        ("", "/", ["a", "b", "b c", "b+c", "z"], ["a/", "dir/", "ü/"]), ("a/", "/", ["a/1", "a/2"], ["a/b/"]),
        ("dir/", "/", ["dir/", "dir/x"], []), ("", " ", ["a", "a/1", "a/2", "a/b/3", "b", "b+c", "dir/", "dir/x", "z", "ü/1"],
                                               ["b "]),
        ("", "/b/", ["a", "a/1", "a/2", "b", "b c", "b+c", "dir/", "dir/x", "z", "ü/1"], ["a/b/"]),
        ("b", "/", ["b", "b c", "b+c"], []), ("a", "a", ["a", "a/1", "a/2", "a/b/3"], []), ("", "%", sorted(KEYS), []),
    ])
    def test_delimiter(self, s3, listed, version, prefix, delimiter, found, groups):
        tree = listing(s3, listed, prefix=prefix, delimiter=delimiter, **version)
        assert names(tree) == sorted(found, key=str.encode) and prefixes(tree) == groups
        assert tree.findtext("Delimiter") == delimiter
        if version:
            assert tree.findtext("KeyCount") == str(len(found) + len(groups))

    def test_empty_delimiter_is_none(self, s3, listed, version):
        assert names(listing(s3, listed, delimiter="", **version)) == sorted(KEYS, key=str.encode)

    def test_max_keys(self, s3, listed, version):
        tree = listing(s3, listed, max_keys=0, **version)
        assert names(tree) == [] and tree.findtext("IsTruncated") == "false" and tree.findtext("MaxKeys") == "0"
        tree = listing(s3, listed, max_keys=len(KEYS), **version)
        assert tree.findtext("IsTruncated") == "false" and len(names(tree)) == len(KEYS)
        tree = listing(s3, listed, max_keys=len(KEYS) - 1, **version)
        assert tree.findtext("IsTruncated") == "true" and len(names(tree)) == len(KEYS) - 1
        tree = listing(s3, listed, max_keys=5000, **version)
        assert tree.findtext("MaxKeys") == "1000"

    @pytest.mark.parametrize("value", ["-1", "x", "1.5", "99999999999999999999"])
    def test_bad_max_keys(self, s3, listed, version, value):
        query = "list-type=2&" if version else ""
        reply = s3.request("GET", f"/{listed}?{query}max-keys={value}")
        assert (reply.status, reply.code) == (400, "InvalidArgument")

    def test_url_encoding(self, s3, listed, version):
        tree = listing(s3, listed, encoding_type="url", prefix="b", **version)
        assert tree.findtext("EncodingType") == "url"
        assert names(tree) == ["b", "b%20c", "b%2Bc"]
        tree = listing(s3, listed, encoding_type="url", delimiter="/", prefix="", **version)
        assert prefixes(tree) == ["a/", "dir/", "%C3%BC/"] and tree.findtext("Delimiter") == "/"
        reply = s3.request("GET", f"/{listed}?{'list-type=2&' if version else ''}encoding-type=base64")
        assert (reply.status, reply.code) == (400, "InvalidArgument")

    def test_missing_bucket(self, s3, version):
        reply = s3.request("GET", "/missing-bucket-x" + ("?list-type=2" if version else ""))
        assert (reply.status, reply.code) == (404, "NoSuchBucket")

    @pytest.mark.parametrize("delimiter", ["", "/", " "])
    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_pages_cover_everything_once(self, s3, listed, version, delimiter, size):
        whole = listing(s3, listed, delimiter=delimiter, **version)
        found, groups, pages, place = [], [], 0, {}
        while True:
            tree = listing(s3, listed, delimiter=delimiter, max_keys=size, **version, **place)
            found += names(tree)
            groups += prefixes(tree)
            pages += 1
            assert pages <= len(KEYS), "no end in sight"
            assert 0 < len(names(tree)) + len(prefixes(tree)) <= size, "no empty page, none too long"
            if tree.findtext("IsTruncated") == "false":
                break
            if version:
                place = {"continuation_token": tree.findtext("NextContinuationToken")}
            else:
                place = {"marker": tree.findtext("NextMarker") or names(tree)[-1]}
        assert found == names(whole) and groups == prefixes(whole)
        assert pages == -(-(len(found) + len(groups)) // size)


def test_marker(s3, listed):
    tree = listing(s3, listed, marker="a/2")
    assert names(tree)[0] == "a/b/3" and tree.findtext("Marker") == "a/2"
    assert names(listing(s3, listed, marker="a/1x"))[0] == "a/2"
    assert names(listing(s3, listed, marker="~"))[0] == "ü/1"
    assert names(listing(s3, listed, marker="zz", prefix="a/")) == []
    assert names(listing(s3, listed, marker="0", prefix="a/")) == ["a/1", "a/2", "a/b/3"]


def test_marker_that_is_a_common_prefix_skips_the_group(s3, listed):
    tree = listing(s3, listed, marker="a/", delimiter="/")
    assert names(tree) == ["b", "b c", "b+c", "z"] and prefixes(tree) == ["dir/", "ü/"]


def test_start_after(s3, listed):
    tree = listing(s3, listed, list_type=2, start_after="b c")
    assert names(tree)[0] == "b+c" and tree.findtext("StartAfter") == "b c"


def test_continuation_token_beats_start_after(s3, listed):
    tree = listing(s3, listed, list_type=2, max_keys=2)
    token = tree.findtext("NextContinuationToken")
    tree = listing(s3, listed, list_type=2, continuation_token=token, start_after="z")
    assert names(tree)[0] == "a/2" and tree.findtext("ContinuationToken") == token
    assert tree.findtext("StartAfter") == "z"


@pytest.mark.parametrize("token", ["not-a-token!", "%00", "%F0"])
def test_bad_token(s3, listed, token):
    reply = s3.request("GET", f"/{listed}?list-type=2&continuation-token={token}")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_empty_token(s3, listed):
    tree = listing(s3, listed, list_type=2, continuation_token="")
    assert names(tree) == sorted(KEYS, key=str.encode) and tree.findtext("ContinuationToken") == ""


def test_keys_that_xml_cannot_carry(s3, bucket):
    for key in ("new\nline", "tab\t", "amp&<>\"'"):
        assert s3.put(bucket, key, b"x").status == 200
    assert set(names(listing(s3, bucket, encoding_type="url"))) == {"amp%26%3C%3E%22%27", "new%0Aline", "tab%09"}
    assert set(names(listing(s3, bucket))) == {"new\nline", "tab\t", "amp&<>\"'"}


@pytest.mark.sanitize
def test_more_than_a_page(server, s3, bucket):
    with server.raw() as c:
        for i in range(1500):
            assert s3.put(bucket, f"p/{i:05d}", b"", conn=c).status == 200
        assert s3.put(bucket, "q", b"", conn=c).status == 200
    tree = listing(s3, bucket, list_type=2)
    assert len(names(tree)) == 1000 and tree.findtext("IsTruncated") == "true"
    tree = listing(s3, bucket, list_type=2, continuation_token=tree.findtext("NextContinuationToken"))
    assert len(names(tree)) == 501
    tree = listing(s3, bucket, delimiter="/", max_keys=1)
    assert prefixes(tree) == ["p/"] and tree.findtext("IsTruncated") == "true" and tree.findtext("NextMarker") == "p/"
    tree = listing(s3, bucket, delimiter="/", max_keys=1, marker="p/")
    assert names(tree) == ["q"] and tree.findtext("IsTruncated") == "false"


# -- DeleteObjects ---------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("integrity", [md5_header, crc_header])
@pytest.mark.parametrize("ns", [True, False])
def test_delete_objects(s3, bucket, integrity, ns):
    for key in ("a", "b & c", "big"):
        assert s3.put(bucket, key, b"x" * (2_000_000 if key == "big" else 1)).status == 200
    body = delete_body(["a", "b & c", "big", "missing"], ns=ns)
    reply = delete_many(s3, bucket, body, integrity(body))
    assert reply.status == 200 and reply.get("content-type") == "application/xml", reply
    assert reply.xml.tag == "DeleteResult"
    assert sorted(d.findtext("Key") for d in reply.xml.iter("Deleted")) == ["a", "b & c", "big", "missing"]
    assert not list(reply.xml.iter("Error"))
    assert listing(s3, bucket, list_type=2).findtext("KeyCount") == "0"


def test_delete_objects_quiet(s3, bucket):
    assert s3.put(bucket, "a", b"x").status == 200
    reply = delete_many(s3, bucket, delete_body(["a", "missing"], quiet=True))
    assert reply.status == 200 and len(reply.xml) == 0
    assert s3.head(bucket, "a").status == 404


def test_delete_objects_with_a_trailing_checksum(s3, bucket):
    assert s3.put(bucket, "a", b"x").status == 200
    body = delete_body(["a"])
    crc = crc_header(body)["x-amz-checksum-crc32"]
    reply = s3.request("POST", f"/{bucket}?delete", {
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": str(len(body)),
        "x-amz-trailer": "x-amz-checksum-crc32"}, unsigned_chunks([body], ("x-amz-checksum-crc32", crc)),
        payload_hash=UNSIGNED_TRAILER)
    assert reply.status == 200, reply
    assert s3.head(bucket, "a").status == 404


@pytest.mark.sanitize
def test_delete_a_thousand(server, s3, bucket):
    keys = [f"k{i:04d}" for i in range(1000)]
    with server.raw() as c:
        for key in keys[::2]:
            assert s3.put(bucket, key, b"x", conn=c).status == 200
    reply = delete_many(s3, bucket, delete_body(keys))
    assert reply.status == 200
    assert sorted(d.findtext("Key") for d in reply.xml.iter("Deleted")) == keys
    assert listing(s3, bucket, list_type=2).findtext("KeyCount") == "0"


def test_delete_errors(s3, bucket):
    assert s3.put(bucket, "a", b"x").status == 200
    good = delete_body(["a"])
    many = delete_body([f"k{i}" for i in range(1001)])
    broken = b"<Delete><Object><Key>a</Key>"
    for body, headers, code in ((good, {}, "MissingContentMD5"), (good, md5_header(b"other"), "BadDigest"),
                                (good, crc_header(b"other"), "BadDigest"), (broken, md5_header(broken), "MalformedXML"),
                                (many, md5_header(many), "MalformedXML"), (delete_body([]), None, "MalformedXML"),
                                (b"<Nonsense/>", md5_header(b"<Nonsense/>"), "MalformedXML")):
        reply = delete_many(s3, bucket, body, headers)
        assert (reply.status, reply.code) == (400, code), (body[:60], headers, reply)
    assert s3.head(bucket, "a").status == 200
    reply = delete_many(s3, "missing-bucket-x", good)
    assert (reply.status, reply.code) == (404, "NoSuchBucket")


def test_delete_refuses_a_doctype(s3, bucket):
    body = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><Delete><Object><Key>&a;</Key></Object></Delete>'
    reply = delete_many(s3, bucket, body)
    assert (reply.status, reply.code) == (400, "MalformedXML")


@pytest.mark.parametrize("kind", ["list-type=2", "versions"])
def test_metadata_in_the_listing(s3, bucket, kind):
    """MinIO's extension, which mc asks for when it compares or searches by metadata."""
    headers = {"Content-Type": "a/b", "x-amz-meta-one-two": "1 <&>", "x-amz-meta-!": "no XML name", "x-amz-tagging": "a=1&b=x%20y"}
    assert s3.put(bucket, "k", b"x", headers).status == 200
    assert s3.put(bucket, "plain", b"x").status == 200
    entries = list(s3.request("GET", f"/{bucket}?{kind}&metadata=true").xml.iter("Contents" if "list" in kind else "Version"))
    assert {e.tag: e.text for e in entries[0].find("UserMetadata")} == {"content-type": "a/b", "X-Amz-Meta-One-Two": "1 <&>"}
    assert entries[0].findtext("UserTags") == "a=1&b=x%20y" and entries[1].findtext("UserTags") == ""
    assert s3.request("GET", f"/{bucket}?{kind}").xml.find(".//UserMetadata") is None


def test_pages_with_metadata_are_bounded(s3, server, bucket):
    with server.raw() as c:
        for i in range(130):
            assert s3.put(bucket, f"k{i:03d}", b"", {"x-amz-meta-a": "&" * 1900, "x-amz-tagging": "a=1"}, conn=c).status == 200
    tree = s3.request("GET", f"/{bucket}?list-type=2&metadata=true").xml
    assert len(tree.findall("Contents")) == 100 and tree.findtext("IsTruncated") == "true"
    assert len(tree.find("Contents/UserMetadata/X-Amz-Meta-A").text) == 1900
