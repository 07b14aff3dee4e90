# SPDX-License-Identifier: Apache-2.0
"""Sub-resources that are not configured: what is said about them, and that nothing unkept is accepted."""
import pytest
from support.s3raw import NS

OWNER = "02d6176db174dc93cb1b899f7c6078f08654445fe8cf1b6ce98d8855f66bdbf4"

MISSING = [
    ("?policy", "NoSuchBucketPolicy"), ("?lifecycle", "NoSuchLifecycleConfiguration"),
    ("?encryption", "ServerSideEncryptionConfigurationNotFoundError"), ("?object-lock", "ObjectLockConfigurationNotFoundError"),
    ("?replication", "ReplicationConfigurationNotFoundError"), ("?tagging", "NoSuchTagSet"), ("?cors", "NoSuchCORSConfiguration"),
    ("?website", "NoSuchWebsiteConfiguration"), ("?publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
    ("?ownershipControls", "OwnershipControlsNotFoundError"),
]
FIXED = [
    ("?versioning", "VersioningConfiguration", ""), ("?logging", "BucketLoggingStatus", ""),
    ("?accelerate", "AccelerateConfiguration", ""), ("?requestPayment", "RequestPaymentConfiguration", "BucketOwner"),
    ("?policyStatus", "PolicyStatus", "false"), ("?acl", "AccessControlPolicy", f"{OWNER}minio{OWNER}minioFULL_CONTROL"),
    ("/k?acl", "AccessControlPolicy", f"{OWNER}minio{OWNER}minioFULL_CONTROL"),
]
REMOVED = ["policy", "lifecycle", "encryption", "replication", "tagging", "cors", "website", "publicAccessBlock",
           "ownershipControls"]


@pytest.mark.parametrize("rest,code", MISSING, ids=[r for r, _ in MISSING])
def test_not_configured(s3, bucket, rest, code):
    reply = s3.request("GET", f"/{bucket}{rest}")
    assert (reply.status, reply.code) == (404, code), reply
    reply = s3.request("GET", f"/missing-bucket-x{rest}")
    assert (reply.status, reply.code) == (404, "NoSuchBucket"), reply


@pytest.mark.parametrize("rest,root,text", FIXED, ids=[r for r, *_ in FIXED])
def test_fixed_replies(s3, bucket, rest, root, text):
    assert s3.put(bucket, "k", b"x").status == 200
    reply = s3.request("GET", f"/{bucket}{rest}")
    assert reply.status == 200 and reply.get("content-type") == "application/xml", reply
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n') and f'xmlns="{NS}"'.encode() in reply.body
    assert reply.xml.tag == root and "".join(reply.xml.itertext()) == text
    assert s3.request("GET", f"/missing-bucket-x{rest}").code == "NoSuchBucket"
    if rest.startswith("/k"):
        assert s3.request("GET", f"/{bucket}/missing?acl").code == "NoSuchKey"


@pytest.mark.parametrize("query", REMOVED)
def test_removing_what_is_not_there(s3, bucket, query):
    assert s3.request("DELETE", f"/{bucket}?{query}").status == 204
    assert s3.request("HEAD", f"/{bucket}").status == 200, "the bucket is still there"
    assert s3.request("DELETE", f"/missing-bucket-x?{query}").code == "NoSuchBucket"


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("query", ["retention", "legal-hold"])
def test_no_object_lock(s3, bucket, method, query):
    assert s3.put(bucket, "k", b"x").status == 200
    reply = s3.request(method, f"/{bucket}/k?{query}", body=b"<Retention/>" if method == "PUT" else b"")
    assert (reply.status, reply.code) == (400, "InvalidRequest") and b"ObjectLockConfiguration" in reply.body
    assert s3.request(method, f"/{bucket}/missing?{query}").code == "NoSuchKey"
    assert s3.get(bucket, "k").body == b"x"


def acl(permission="FULL_CONTROL", grantee=f"<ID>{OWNER}</ID>", n=1):
    grant = f"<Grant><Grantee>{grantee}</Grantee><Permission>{permission}</Permission></Grant>"
    return f"<AccessControlPolicy><AccessControlList>{grant * n}</AccessControlList></AccessControlPolicy>".encode()


ACLS = [
    ({}, acl(), 200, None), ({}, acl(grantee=""), 200, None), ({"x-amz-acl": "private"}, b"", 200, None),
    ({"x-amz-acl": "bucket-owner-full-control"}, b"", 200, None),
    ({}, acl(permission="READ"), 501, "NotImplemented"), ({}, acl(grantee="<ID>x</ID>"), 501, "NotImplemented"),
    ({}, acl(grantee="<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>"), 501, "NotImplemented"),
    ({}, acl(n=2), 501, "NotImplemented"), ({}, acl(n=0), 501, "NotImplemented"),
    ({"x-amz-acl": "public-read"}, b"", 501, "NotImplemented"), ({"x-amz-acl": "private"}, acl(), 400, "UnexpectedContent"),
    ({"x-amz-grant-read": 'id="x"'}, b"", 501, "NotImplemented"), ({}, b"", 400, "MissingSecurityHeader"),
    ({}, b"<x/>", 400, "MalformedXML"), ({}, b"<AccessControlPolicy>", 400, "MalformedXML"),
]


@pytest.mark.parametrize("place", ["", "/k"])
@pytest.mark.parametrize("headers,body,status,code", ACLS, ids=[f"{i}" for i in range(len(ACLS))])
def test_acl_of_which_there_is_one(s3, bucket, place, headers, body, status, code):
    """The only ACL there is may be written; it changes nothing. Every other one is refused."""
    assert s3.put(bucket, "k", b"x").status == 200
    reply = s3.request("PUT", f"/{bucket}{place}?acl", headers, body)
    assert (reply.status, reply.code) == (status, code), reply
    assert s3.get(bucket, "k").body == b"x"


def test_the_acl_may_be_sent_back(s3, bucket):
    assert s3.put(bucket, "k", b"x").status == 200
    for place in ("", "/k"):
        body = s3.request("GET", f"/{bucket}{place}?acl").body
        assert s3.request("PUT", f"/{bucket}{place}?acl", body=body).status == 200
    assert s3.request("PUT", f"/{bucket}/missing?acl", {"x-amz-acl": "private"}).code == "NoSuchKey"
