# SPDX-License-Identifier: Apache-2.0
"""ListParts, ListMultipartUploads and GetObjectAttributes."""
import hashlib
import re
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from support.multipart import MIB, NS, Upload
from support.s3raw import key_path

OWNER = "02d6176db174dc93cb1b899f7c6078f08654445fe8cf1b6ce98d8855f66bdbf4"


def tree(reply):
    assert reply.status == 200, reply.body
    assert reply.get("content-type") == "application/xml"
    return ElementTree.fromstring(reply.body)


def texts(node, path):
    return [n.text for n in node.findall("/".join(NS + p for p in path.split("/")))]


# -- parts -----------------------------------------------------------------------------------------------------------

def test_parts(s3, bucket):
    up = Upload(s3, bucket, "k", {"x-amz-storage-class": "REDUCED_REDUNDANCY"})
    for number in (3, 1, 10000, 7):
        up.put(number, b"x" * number)
    up.put(3, b"replaced")
    root = tree(up.list())
    assert root.tag == NS + "ListPartsResult"
    for name, want in (("Bucket", bucket), ("Key", "k"), ("UploadId", up.id), ("StorageClass", "REDUCED_REDUNDANCY"),
                       ("PartNumberMarker", "0"), ("NextPartNumberMarker", "10000"), ("MaxParts", "1000"),
                       ("IsTruncated", "false"), ("ChecksumAlgorithm", None)):
        assert root.findtext(NS + name) == want, name
    assert texts(root, "Owner/ID") == texts(root, "Initiator/ID") == [OWNER]
    assert texts(root, "Part/PartNumber") == ["1", "3", "7", "10000"]
    assert texts(root, "Part/Size") == ["1", "8", "7", "10000"]
    assert texts(root, "Part/ETag")[1] == f'"{hashlib.md5(b"replaced").hexdigest()}"'
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", t) for t in texts(root, "Part/LastModified"))


def test_pages_of_parts(s3, bucket):
    up = Upload(s3, bucket, "k")
    for number in range(1, 8):
        up.put(number, b"x")
    seen, marker = [], 0
    for _ in range(4):
        root = tree(up.list(f"max-parts=2&part-number-marker={marker}&"))
        assert root.findtext(NS + "MaxParts") == "2" and root.findtext(NS + "PartNumberMarker") == str(marker)
        seen += texts(root, "Part/PartNumber")
        marker = root.findtext(NS + "NextPartNumberMarker")
        assert (root.findtext(NS + "IsTruncated") == "true") == (len(seen) < 7)
    assert seen == list("1234567")
    root = tree(up.list("max-parts=7&"))
    assert root.findtext(NS + "IsTruncated") == "false"
    assert tree(up.list("max-parts=5000&")).findtext(NS + "MaxParts") == "1000"
    root = tree(up.list("max-parts=0&"))
    assert texts(root, "Part/PartNumber") == [] and root.findtext(NS + "IsTruncated") == "false"
    for query in ("max-parts=-1&", "max-parts=x&", "part-number-marker=x&", "encoding-type=x&"):
        assert up.list(query).code == "InvalidArgument", query


# -- uploads ---------------------------------------------------------------------------------------------------------

def uploads(s3, bucket, **query):
    text = "&".join(f"{name.replace('_', '-')}={quote(str(value), safe='')}" for name, value in query.items())
    return tree(s3.request("GET", f"/{bucket}?uploads" + (f"&{text}" if text else "")))


def entries(root):
    return [(u.findtext(NS + "Key"), u.findtext(NS + "UploadId")) for u in root.findall(NS + "Upload")]


@pytest.fixture
def many(s3, bucket):
    """(key, id) in the order in which they are listed."""
    made = []
    for key in ("b", "a/2", "a/1", "a", "b", "c d", "a/1", "ü"):
        up = Upload(s3, bucket, key)
        for number in range(1, 12 if key == "b" else 2):
            up.put(number, b"x")
        made.append((key, up.id))
    over = Upload(s3, bucket, "a/3")
    over.put(1, b"x")
    over.complete()
    Upload(s3, bucket, "a/4").abort()
    return sorted(made, key=lambda m: m[0].encode())


def test_uploads(s3, bucket, many):
    root = uploads(s3, bucket)
    assert entries(root) == many
    assert root.tag == NS + "ListMultipartUploadsResult"
    for name, want in (("Bucket", bucket), ("MaxUploads", "1000"), ("IsTruncated", "false"), ("NextKeyMarker", None)):
        assert root.findtext(NS + name) == want, name
    assert set(texts(root, "Upload/StorageClass")) == {"STANDARD"}
    assert set(texts(root, "Upload/Owner/ID")) == set(texts(root, "Upload/Initiator/ID")) == {OWNER}
    assert len(texts(root, "Upload/Initiated")) == len(many)
    assert [e for e in entries(uploads(s3, bucket, prefix="a/"))] == [m for m in many if m[0].startswith("a/")]
    assert entries(uploads(s3, bucket, prefix="zzz")) == []
    assert texts(uploads(s3, bucket, encoding_type="url", prefix="ü"), "Upload/Key") == ["%C3%BC"]
    for query in ("max-uploads=-1", "max-uploads=x", "encoding-type=x"):
        assert s3.request("GET", f"/{bucket}?uploads&{query}").code == "InvalidArgument"


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_pages_of_uploads(s3, bucket, many, size):
    seen, markers = [], {}
    for _ in range(10):
        root = uploads(s3, bucket, max_uploads=size, **markers)
        seen += entries(root)
        if root.findtext(NS + "IsTruncated") == "false":
            break
        markers = {"key_marker": root.findtext(NS + "NextKeyMarker"),
                   "upload_id_marker": root.findtext(NS + "NextUploadIdMarker")}
    assert seen == many
    root = uploads(s3, bucket, key_marker="a/1")
    assert entries(root) == [m for m in many if m[0].encode() > b"a/1"], "without an id: behind all of that key"
    assert entries(uploads(s3, bucket, upload_id_marker=many[3][1])) == many, "an id alone means nothing"


def test_uploads_by_delimiter(s3, bucket, many):
    root = uploads(s3, bucket, delimiter="/")
    assert texts(root, "CommonPrefixes/Prefix") == ["a/"]
    assert entries(root) == [m for m in many if not m[0].startswith("a/")]
    root = uploads(s3, bucket, delimiter="/", max_uploads=2)
    assert entries(root) == [many[0]] and texts(root, "CommonPrefixes/Prefix") == ["a/"]
    assert (root.findtext(NS + "IsTruncated"), root.findtext(NS + "NextKeyMarker")) == ("true", "a/")
    root = uploads(s3, bucket, delimiter="/", key_marker="a/")
    assert entries(root) == many[4:] and texts(root, "CommonPrefixes/Prefix") == []


# -- attributes ------------------------------------------------------------------------------------------------------

def attributes(s3, bucket, key, wanted, **headers):
    pairs = [("x-amz-object-attributes", wanted)] if isinstance(wanted, str) else [("x-amz-object-attributes", w) for w in wanted]
    pairs += [("x-amz-" + n.replace("_", "-"), str(v)) for n, v in headers.items()]
    return s3.request("GET", key_path(bucket, key) + "?attributes", pairs)


def test_attributes_of_a_plain_object(s3, bucket):
    s3.put(bucket, "k", b"hello", {"x-amz-checksum-crc32": "NhCmhg=="})
    reply = attributes(s3, bucket, "k", "ETag,Checksum, ObjectParts,StorageClass,ObjectSize")
    root = tree(reply)
    assert root.tag == NS + "GetObjectAttributesResponse" and reply.get("last-modified")
    assert root.findtext(NS + "ETag") == hashlib.md5(b"hello").hexdigest(), "without quotes"
    assert texts(root, "Checksum/ChecksumCRC32") == ["NhCmhg=="] and texts(root, "Checksum/ChecksumType") == ["FULL_OBJECT"]
    assert root.find(NS + "ObjectParts") is None
    assert (root.findtext(NS + "StorageClass"), root.findtext(NS + "ObjectSize")) == ("STANDARD", "5")
    root = tree(attributes(s3, bucket, "k", ["ETag", "ObjectSize"]))
    assert [n.tag for n in root] == [NS + "ETag", NS + "ObjectSize"]
    for wanted in ("", "Nonsense", "ETag,", "etag"):
        assert attributes(s3, bucket, "k", wanted).code == "InvalidArgument", wanted
    assert s3.request("GET", key_path(bucket, "k") + "?attributes").code == "InvalidArgument"
    assert attributes(s3, bucket, "none", "ETag").code == "NoSuchKey"


def test_attributes_of_parts(s3, bucket):
    up = Upload(s3, bucket, "k")
    for number in (2, 4, 6):
        up.put(number, b"x" * (5 * MIB + number))
    up.complete()
    root = tree(attributes(s3, bucket, "k", "ObjectParts"))
    assert texts(root, "ObjectParts/PartsCount") == ["3"] and texts(root, "ObjectParts/IsTruncated") == ["false"]
    assert texts(root, "ObjectParts/Part/PartNumber") == ["1", "2", "3"]
    assert texts(root, "ObjectParts/Part/Size") == [str(5 * MIB + n) for n in (2, 4, 6)]
    root = tree(attributes(s3, bucket, "k", "ObjectParts", max_parts=1, part_number_marker=1))
    for name, want in (("Part/PartNumber", "2"), ("MaxParts", "1"), ("PartNumberMarker", "1"),
                       ("NextPartNumberMarker", "2"), ("IsTruncated", "true")):
        assert texts(root, "ObjectParts/" + name) == [want], name
