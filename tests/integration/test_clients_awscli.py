# SPDX-License-Identifier: Apache-2.0
"""The AWS command line, as a person uses it."""
import json
import os
import urllib.request

import pytest
from support.clients import Client, make_tree, read_tree


@pytest.fixture
def aws(server, tmp_path):
    return Client("aws", tmp_path / "home", {
        "AWS_ACCESS_KEY_ID": server.user, "AWS_SECRET_ACCESS_KEY": server.password, "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server.endpoint, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": ""})


def test_files(aws, tmp_path):
    files = {"a.txt": b"hello", "dir/ü b.bin": os.urandom(300_000), "dir/empty": b"", "dir/deep/c": b"c" * 5000}
    tree = make_tree(tmp_path / "tree", files)
    aws.run("s3", "mb", "s3://aws-files")
    assert "aws-files" in aws.out("s3", "ls")
    aws.run("s3", "cp", tree / "a.txt", "s3://aws-files/one/a.txt", "--metadata", "k=v", "--content-type", "text/x")
    aws.run("s3", "cp", "-", "s3://aws-files/one/piped", data=b"piped")
    assert aws.run("s3", "cp", "s3://aws-files/one/piped", "-").stdout == b"piped"
    aws.run("s3", "sync", tree, "s3://aws-files/tree")
    assert aws.out("s3", "sync", tree, "s3://aws-files/tree") == "", "nothing is left to be done"
    aws.run("s3", "sync", "s3://aws-files/tree", tmp_path / "back")
    assert read_tree(tmp_path / "back") == files
    listed = [line.split(None, 3)[3] for line in aws.out("s3", "ls", "--recursive", "s3://aws-files").splitlines()]
    assert listed == ["one/a.txt", "one/piped", *sorted(f"tree/{f}" for f in files)]
    assert aws.out("s3", "ls", "s3://aws-files").split() == ["PRE", "one/", "PRE", "tree/"]
    aws.run("s3", "cp", "s3://aws-files/one/a.txt", "s3://aws-files/copy", "--metadata-directive", "COPY")
    head = json.loads(aws.out("s3api", "head-object", "--bucket", "aws-files", "--key", "copy"))
    assert head["Metadata"] == {"k": "v"} and head["ContentType"] == "text/x" and head["ContentLength"] == 5
    aws.run("s3", "mv", "s3://aws-files/copy", "s3://aws-files/moved")
    (tree / "a.txt").unlink()
    aws.run("s3", "sync", "--delete", tree, "s3://aws-files/tree")
    assert "tree/a.txt" not in aws.out("s3", "ls", "--recursive", "s3://aws-files")
    url = aws.out("s3", "presign", "s3://aws-files/moved").strip()
    assert urllib.request.urlopen(url, timeout=20).read() == b"hello"
    aws.run("s3", "rm", "--recursive", "s3://aws-files/tree")
    assert aws.run("s3", "rb", "s3://aws-files", check=False).returncode != 0
    aws.run("s3", "rb", "--force", "s3://aws-files")
    assert "aws-files" not in aws.out("s3", "ls")


def test_one_by_one(aws, tmp_path):
    def api(*args, check=True):
        done = aws.run("s3api", *args, "--bucket", "aws-api", check=check)
        return json.loads(done.stdout or "{}") if check else done

    (tmp_path / "f").write_bytes(b"hello")
    api("create-bucket")
    etag = api("put-object", "--key", "k", "--body", tmp_path / "f", "--tagging", "a=1&b=x%20y")["ETag"]
    assert api("get-object-tagging", "--key", "k")["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "x y"}]
    api("put-object-tagging", "--key", "k", "--tagging", "TagSet=[{Key=c,Value=2}]")
    assert api("get-object-tagging", "--key", "k")["TagSet"] == [{"Key": "c", "Value": "2"}]
    api("delete-object-tagging", "--key", "k")
    assert api("get-object-tagging", "--key", "k")["TagSet"] == []
    assert api("get-object", "--key", "k", "--range", "bytes=1-2", tmp_path / "out")["ContentRange"] == "bytes 1-2/5"
    assert (tmp_path / "out").read_bytes() == b"el"
    assert b"PreconditionFailed" in api("put-object", "--key", "k", "--if-none-match", "*", check=False).stderr
    assert b"PreconditionFailed" in api("delete-object", "--key", "k", "--if-match", '"x"', check=False).stderr
    assert [v["VersionId"] for v in api("list-object-versions")["Versions"]] == ["null"]
    assert api("get-bucket-versioning") == {} and api("get-bucket-acl")["Grants"][0]["Permission"] == "FULL_CONTROL"
    assert api("get-bucket-location")["LocationConstraint"] in (None, "us-east-1")
    for name, code in (("policy", b"NoSuchBucketPolicy"), ("lifecycle-configuration", b"NoSuchLifecycleConfiguration"),
                       ("tagging", b"NoSuchTagSet"), ("cors", b"NoSuchCORSConfiguration"),
                       ("encryption", b"ServerSideEncryptionConfigurationNotFoundError")):
        assert code in api("get-bucket-" + name if name != "lifecycle-configuration" else "get-bucket-lifecycle-configuration",
                           check=False).stderr
    api("delete-object", "--key", "k", "--if-match", etag)
    api("delete-bucket")
