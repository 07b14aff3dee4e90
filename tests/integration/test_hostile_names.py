# SPDX-License-Identifier: Apache-2.0
"""Keys that XML, JSON or a header cannot carry as they are: every reply stays one that a strict parser reads."""
import json
import xml.etree.ElementTree as ET
from urllib.parse import quote, unquote_to_bytes

import pytest
from support.s3raw import arn, rule
from support.wait import wait_for

# expat, which ElementTree uses, refuses whatever XML 1.0 does.
KEYS = [bytes([c]).join([b"c", b"x"]) for c in range(1, 32)] + [
    b"del\x7f", b"ffff\xef\xbf\xbf", b"fffe\xef\xbf\xbe", b"bom\xef\xbb\xbf", b"nel\xc2\x85", b"ls\xe2\x80\xa8", b"c1\xc2\x9f",
    b"astral\xf0\x9f\x98\x80", b"plane-16\xf4\x8f\xbf\xbf", b"]]>", b"<!--", b"<![CDATA[", b"&amp;", b"&#1;", b"&x;", b"'\"<>&",
    b"<Key>x</Key>", b"</Key></Contents>", b"\\u0000", b"\\", b"{\"Records\":[]}", b"%00", b"%n%s", b"a\r\nX-Evil: 1",
    b"private\xee\x80\x80", b"rtl\xe2\x80\xae", b"e\xcc\x81", b"\xc3\xa9", b" blank ", b"+", b"a//b", b"\xef\xbf\xbd"]
REPLACED = "\ufffd"


def shown(key):
    """The key as XML carries it: what it cannot carry is U+FFFD."""
    return "".join(REPLACED if c in "\ufffe\uffff" or c < " " and c not in "\t\n\r" else c for c in key.decode())


@pytest.fixture(scope="module")
def full(notified):
    s3 = notified.s3
    s3.make_bucket("odd")
    assert s3.set_rules("odd", rule(arn("1"), "s3:ObjectCreated:*")).status == 200
    for key in KEYS:
        assert s3.put("odd", key, b"x", {"Content-Type": "text/x"}).status == 200, key
        assert s3.request("POST", f"/odd/{quote(key, safe='/')}?uploads").status == 200, key
    return s3


def texts(root, name):
    return [e.text or "" for e in root.iter() if e.tag.split("}")[-1] == name]


LISTINGS = ["?list-type=2", "?", "?versions", "?uploads", "?list-type=2&fetch-owner=true", "?list-type=2&metadata=true"]


@pytest.mark.sanitize
@pytest.mark.parametrize("query", LISTINGS)
def test_listings(full, query):
    reply = full.request("GET", "/odd" + query)
    assert reply.status == 200
    assert sorted(texts(ET.fromstring(reply.body), "Key")) == sorted(shown(k) for k in KEYS)
    join = "" if query == "?" else "&"
    reply = full.request("GET", f"/odd{query}{join}encoding-type=url")
    if "uploads" in query or "metadata" not in query:
        assert sorted(unquote_to_bytes(k) for k in texts(ET.fromstring(reply.body), "Key")) == sorted(KEYS)


@pytest.mark.sanitize
@pytest.mark.parametrize("kind", ["list-type=2", "", "versions", "uploads"])
def test_what_is_echoed(full, kind):
    """Prefix, delimiter and markers come back in the reply."""
    names = {"list-type=2": ("prefix", "delimiter", "start-after"), "": ("prefix", "delimiter", "marker"),
             "versions": ("prefix", "delimiter", "key-marker"), "uploads": ("prefix", "delimiter", "key-marker")}[kind]
    for key in KEYS:
        for name in names:
            reply = full.request("GET", f"/odd?{kind}{'&' * bool(kind)}{name}={quote(key, safe='')}")
            assert reply.status == 200
            root = ET.fromstring(reply.body)
            assert all("X-Evil" != n for n, _ in reply.headers) and root is not None


@pytest.mark.sanitize
def test_pages_reach_every_key(full):
    """Page by page with encoding-type=url nothing is left out and nothing comes twice; version 2's token needs no encoding."""
    for query, marker, following in (("list-type=2&encoding-type=url", "continuation-token", "NextContinuationToken"),
                                     ("encoding-type=url", "marker", "NextMarker"),
                                     ("versions&encoding-type=url", "key-marker", "NextKeyMarker")):
        seen, at = [], ""
        while True:
            root = ET.fromstring(full.request("GET", f"/odd?{query}&max-keys=7{at}").body)
            seen += [unquote_to_bytes(k) for k in texts(root, "Key")]
            if texts(root, "IsTruncated") != ["true"]:
                break
            value = texts(root, following)[0]
            at = f"&{marker}=" + (quote(value, safe="") if marker == "continuation-token" else value)
        assert seen == sorted(KEYS), query


@pytest.mark.sanitize
@pytest.mark.parametrize("query,most,marker,following", [("", "max-keys", "marker", "NextMarker"),
                                                         ("versions&", "max-keys", "key-marker", "NextKeyMarker"),
                                                         ("uploads&", "max-uploads", "key-marker", "NextKeyMarker")])
def test_pages_without_encoding_leave_nothing_out(full, query, most, marker, following):
    """Where the next page could not be asked for, this one is refused: no key is passed over without a word."""
    keys = sorted(KEYS)
    for n in range(1, len(keys)):
        reply = full.request("GET", f"/odd?{query}{most}={n}")
        end = keys[n - 1]
        if shown(end).encode() != end:
            assert (reply.status, reply.code) == (400, "InvalidArgument") and "encoding-type=url" in reply.body.decode(), end
            continue
        root = ET.fromstring(reply.body)
        assert len(texts(root, "Key")) == n and texts(root, following) == [end.decode()]
        at = quote(texts(root, following)[0], safe="")
        rest = full.request("GET", f"/odd?{query}{most}=1000&{marker}={at}")
        assert texts(ET.fromstring(rest.body), "Key") == [shown(k) for k in keys[n:]], end


@pytest.mark.sanitize
def test_other_replies(full):
    for key in KEYS:
        path = "/odd/" + quote(key, safe="/")
        for method, target, headers in (("GET", path + "-missing", {}), ("GET", path + "?uploadId=x", {}),
                                        ("PUT", path + "?partNumber=0&uploadId=x", {}), ("PUT", path, {"If-None-Match": "*"}),
                                        ("GET", path, {"Range": "bytes=9-"}), ("GET", path + "?tagging", {}),
                                        ("PUT", path + "-copy", {"x-amz-copy-source": path}), ("POST", path + "?uploads", {}),
                                        ("GET", path + "?attributes", {"x-amz-object-attributes": "ETag,ObjectSize"})):
            reply = full.request(method, target, headers)
            assert reply.status < 500 and ET.fromstring(reply.body) is not None, (key, method, target)
            assert reply.get("x-evil") is None
        upload = ET.fromstring(full.request("POST", path + "?uploads").body)
        assert texts(upload, "Key") == [shown(key)]
        full.request("DELETE", path + "-copy")


def test_events(full, hook_receiver):
    """The record's key is percent-encoded and the record one document, whatever the key holds."""
    want = {k.decode() for k in KEYS}
    wait_for(lambda: want <= {unquote_to_bytes(p.record["s3"]["object"]["key"].replace("+", " ")).decode()
                              for p in hook_receiver.delivered()}, 20, "an event for every key")
    for p in hook_receiver.delivered():
        assert json.loads(p.body)["Records"][0]["s3"]["bucket"]["name"] == "odd"
