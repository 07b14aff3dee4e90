# SPDX-License-Identifier: Apache-2.0
"""ListObjectVersions of a bucket without versioning, and where a version id may stand."""
import pytest
from support.sigv4 import encode

KEYS = ["a", "a/b", "a/c", "b c+d", "dir/x", "dir/y", "ü"]


@pytest.fixture(scope="module")
def full(s3):
    s3.make_bucket("versions-listing")
    for key in KEYS:
        assert s3.put("versions-listing", key, key.encode()).status == 200
    return "versions-listing"


def listing(s3, bucket, query="", status=200):
    reply = s3.request("GET", f"/{bucket}?versions{query}")
    assert reply.status == status, reply
    return reply.xml if status == 200 else reply.code


def keys(tree):
    return [v.findtext("Key") for v in tree.findall("Version")]


def test_all(s3, full):
    tree = listing(s3, full)
    assert tree.tag == "ListVersionsResult" and keys(tree) == KEYS
    assert [tree.findtext(n) for n in ("Name", "Prefix", "KeyMarker", "VersionIdMarker", "MaxKeys", "IsTruncated")] == \
        [full, "", "", "", "1000", "false"]
    assert tree.find("NextKeyMarker") is None and tree.find("NextVersionIdMarker") is None and tree.find("DeleteMarker") is None
    for v in tree.findall("Version"):
        assert (v.findtext("VersionId"), v.findtext("IsLatest"), v.findtext("StorageClass")) == ("null", "true", "STANDARD")
        assert v.findtext("Size") == str(len(v.findtext("Key").encode())) and len(v.findtext("Owner/ID")) == 64
        assert v.findtext("LastModified").endswith("Z") and len(v.findtext("ETag")) == 34


@pytest.mark.sanitize
@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages(s3, full, size, delimiter):
    found, prefixes, after = [], [], ""
    for _ in range(20):
        tree = listing(s3, full, f"&max-keys={size}&delimiter={encode(delimiter)}{after}")
        found += keys(tree)
        prefixes += [p.text for p in tree.findall("CommonPrefixes/Prefix")]
        if tree.findtext("IsTruncated") == "false":
            break
        marker, version = tree.findtext("NextKeyMarker"), tree.findtext("NextVersionIdMarker")
        assert version == (None if marker in prefixes else "null")
        after = f"&key-marker={encode(marker)}" + (f"&version-id-marker={version}" if version else "")
    assert found == ([k for k in KEYS if "/" not in k] if delimiter else KEYS)
    assert prefixes == (["a/", "dir/"] if delimiter else [])


def test_markers_and_prefix(s3, full):
    assert keys(listing(s3, full, "&prefix=a/")) == ["a/b", "a/c"]
    assert keys(listing(s3, full, "&key-marker=a/b")) == KEYS[2:]
    assert keys(listing(s3, full, "&key-marker=a/b&version-id-marker=null")) == KEYS[2:]
    assert keys(listing(s3, full, "&key-marker=a/bb")) == KEYS[2:]
    tree = listing(s3, full, "&key-marker=a/b&version-id-marker=null&max-keys=0")
    assert (keys(tree), tree.findtext("IsTruncated"), tree.findtext("KeyMarker"), tree.findtext("VersionIdMarker")) == \
        ([], "false", "a/b", "null")


def test_encoding(s3, full):
    tree = listing(s3, full, "&encoding-type=url&prefix=b%20c&max-keys=1&delimiter=%2Bx")
    assert keys(tree) == ["b%20c%2Bd"]
    assert [tree.findtext(n) for n in ("Prefix", "Delimiter", "EncodingType")] == ["b%20c", "%2Bx", "url"]


@pytest.mark.parametrize("query", ["&version-id-marker=null", "&max-keys=x", "&max-keys=-1", "&encoding-type=x",
                                   "&key-marker=a&version-id-marker=nonsense"])
def test_errors(s3, full, query):
    assert listing(s3, full, query, 400) == "InvalidArgument"


def test_missing_bucket(s3):
    assert listing(s3, "missing-bucket-x", "", 404) == "NoSuchBucket"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_version_ids_of_reads(s3, bucket, method):
    assert s3.put(bucket, "k", b"x").status == 200
    assert s3.request(method, f"/{bucket}/k?versionId=null").status == 200
    reply = s3.request(method, f"/{bucket}/k?versionId=00000000-0000-4000-8000-000000000000")
    assert (reply.status, reply.code) == (404, "NoSuchVersion")
    reply = s3.request(method, f"/{bucket}/k?versionId=nonsense")
    assert (reply.status, reply.code) == (400, "InvalidArgument")


def test_version_ids_of_deletes(s3, bucket):
    assert s3.put(bucket, "k", b"x").status == 200
    assert s3.request("DELETE", f"/{bucket}/k?versionId=00000000-0000-4000-8000-000000000000").status == 204
    assert s3.request("DELETE", f"/{bucket}/k?versionId=nonsense").code == "InvalidArgument"
    assert s3.head(bucket, "k").status == 200
    assert s3.request("DELETE", f"/{bucket}/k?versionId=null").status == 204
    assert s3.head(bucket, "k").status == 404


def test_what_empties_a_bucket(boto, s3, bucket):
    """As test suites and tools do it: list versions, remove them by key and version."""
    for i in range(30):
        assert s3.put(bucket, f"k{i:02d}", b"x").status == 200
    for page in boto.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 8}):
        objects = [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in page["Versions"]]
        assert "Errors" not in boto.delete_objects(Bucket=bucket, Delete={"Objects": objects})
    boto.delete_bucket(Bucket=bucket)
