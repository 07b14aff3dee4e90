# SPDX-License-Identifier: Apache-2.0
"""A sub-resource that an operation does not know never makes another operation of it."""
import pytest


@pytest.mark.parametrize("method,query", [
    ("PUT", "metadataTable"), ("PUT", "replication-reset"), ("PUT", "uploads"), ("PUT", "session"),
    ("DELETE", "notification"), ("DELETE", "versioning"), ("DELETE", "object-lock"), ("DELETE", "acl"),
    ("DELETE", "logging"), ("DELETE", "location"), ("GET", "session"), ("GET", "replication-check"), ("GET", "torrent")])
def test_sub_resources_of_buckets_fall_to_no_other_operation(s3, bucket, method, query):
    name = bucket if method != "PUT" else bucket + "-new"
    reply = s3.request(method, f"/{name}?{query}")
    assert (reply.status, reply.code) == (501, "NotImplemented"), reply
    assert s3.request("HEAD", f"/{name}").status == (404 if method == "PUT" else 200)


@pytest.mark.parametrize("method,query", [
    ("PUT", "partNumber=1"), ("PUT", "uploadId=x"), ("PUT", "uploads"), ("PUT", "restore"), ("PUT", "renameObject"),
    ("PUT", "encryption"), ("PUT", "attributes"), ("PUT", "delete"), ("PUT", "versions"),
    ("DELETE", "retention"), ("DELETE", "legal-hold"), ("DELETE", "partNumber=1"),
    ("DELETE", "uploads"), ("DELETE", "delete"), ("GET", "uploads"), ("GET", "policy")])
def test_sub_resources_of_objects_fall_to_no_other_operation(s3, bucket, method, query):
    assert s3.put(bucket, "k", b"before").status == 200
    reply = s3.request(method, f"/{bucket}/k?{query}", body=b"after" if method == "PUT" else b"")
    assert (reply.status, reply.code) == (501, "NotImplemented"), reply
    assert s3.get(bucket, "k").body == b"before"


def test_unknown_names_in_the_query_mean_nothing(s3, bucket):
    assert s3.put(bucket, "k", b"x").status == 200
    assert s3.get(bucket, "k", query="?x-id=GetObject").body == b"x"
    assert s3.request("PUT", f"/{bucket}/k?x-id=PutObject", body=b"y").status == 200
