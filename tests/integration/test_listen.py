# SPDX-License-Identifier: Apache-2.0
"""ListenNotification: what a listener is told, when, and what it may ask for."""
import time

import pytest
from support.listener import ALL, Listener, listen_target
from support.s3raw import arn, rule
from support.sigv4 import ALGORITHM, EMPTY_SHA256, encode, iso
from support.wait import holds_for, wait_for

KEY = "a b/c+d %2F \u00fc<&>\"\\.txt"


def test_head_and_place_come_at_once(server, bucket):
    """Clients used to wait for the first event or heartbeat to learn that they listen at all."""
    started = time.monotonic()
    with Listener(server, bucket, ping=600) as l:
        wait_for(lambda: l.position, what="the place before the first event")
        assert time.monotonic() - started < 5
        assert l.headers["content-type"] == "text/event-stream"
        assert l.headers["cache-control"] == "no-cache"
        assert l.headers["x-accel-buffering"] == "no"
        assert l.headers["transfer-encoding"] == "chunked"
        assert not l.records


def test_every_kind_of_event_with_the_raw_key(server, s3):
    with Listener(server, ping=600) as root:
        s3.make_bucket("listened")
        s3.put("listened", KEY, b"body")
        s3.get("listened", KEY)
        s3.head("listened", KEY)
        s3.request("PUT", "/listened/copy", {"x-amz-copy-source": "/listened/" + encode(KEY, "/")})
        s3.delete("listened", KEY)
        s3.delete("listened", KEY)
        s3.delete("listened", "copy")
        assert s3.request("DELETE", "/listened").status == 204
        root.wait(9)
        assert sorted(root.seen) == sorted([
            ("BucketCreated:*", "listened", ""), ("ObjectCreated:Put", "listened", KEY),
            ("ObjectAccessed:Get", "listened", KEY), ("ObjectAccessed:Head", "listened", KEY),
            ("ObjectCreated:Copy", "listened", "copy"), ("ObjectRemoved:Delete", "listened", KEY),
            ("ObjectRemoved:NoOP", "listened", KEY), ("ObjectRemoved:Delete", "listened", "copy"),
            ("BucketRemoved:*", "listened", "")])
        # Changes come in the order of their commits; reads follow their reply.
        changes = [name for name, _, _ in root.seen if "Accessed" not in name]
        assert changes == ["BucketCreated:*", "ObjectCreated:Put", "ObjectCreated:Copy", "ObjectRemoved:Delete",
                           "ObjectRemoved:NoOP", "ObjectRemoved:Delete", "BucketRemoved:*"]


def test_a_refused_bucket_is_no_event(server, s3, bucket):
    with Listener(server, ping=600) as l:
        assert s3.request("PUT", f"/{bucket}").status == 409
        s3.put(bucket, "x", b"1")
        assert s3.request("DELETE", f"/{bucket}").status == 409
        assert s3.request("DELETE", "/no-such-bucket").status == 404
        s3.put(bucket, "y", b"1")
        l.wait(2)
        assert l.seen == [("ObjectCreated:Put", bucket, "x"), ("ObjectCreated:Put", bucket, "y")]


def test_the_record_is_the_one_that_targets_get(notified, hook_receiver):
    """Same ids, same sequencer; only the key is not escaped."""
    s3 = notified.s3
    s3.make_bucket("both")
    assert s3.set_rules("both", rule(arn("1"))).status == 200
    with Listener(notified, "both", ping=600) as l:
        s3.put("both", KEY, b"body", {"x-amz-meta-quote": '"object":{"key":"'})
        s3.delete("both", KEY)
        heard = l.wait(2)
    sent = [post.record for post in hook_receiver.wait_delivered(2)]
    for one, other in zip(heard, sent):
        assert other["s3"]["object"].pop("key") == "a+b%2Fc%2Bd+%252F+%C3%BC%3C%26%3E%22%5C.txt"
        assert one["s3"]["object"].pop("key") == KEY
        assert one == other


@pytest.mark.parametrize("query, want", [
    ({}, ["img/a.jpg", "img/b.png", "doc/a.jpg"]),
    ({"prefix": "img/"}, ["img/a.jpg", "img/b.png"]),
    ({"suffix": ".jpg"}, ["img/a.jpg", "doc/a.jpg"]),
    ({"prefix": "img/", "suffix": ".jpg"}, ["img/a.jpg"]),
    ({"prefix": "", "suffix": ""}, ["img/a.jpg", "img/b.png", "doc/a.jpg"]),
    ({"prefix": "i*g/"}, ["img/a.jpg", "img/b.png"]),
])
def test_prefix_and_suffix(server, s3, bucket, query, want):
    with Listener(server, bucket, ("s3:ObjectCreated:*",), ping=600, **query) as l:
        other = s3.make_bucket(bucket + "-other")
        s3.put(other, "img/a.jpg")
        for key in ("img/a.jpg", "img/b.png", "doc/a.jpg"):
            s3.put(bucket, key)
        l.wait(len(want))
        assert l.keys == want


def test_events_of_buckets_pass_only_filters_that_accept_an_empty_key(server, s3, bucket):
    events = ("s3:BucketCreated:*", "s3:ObjectCreated:Put")
    new = bucket + "-new"
    with Listener(server, "", events, ping=600, prefix="x") as filtered, \
            Listener(server, "", events, ping=600) as plain:
        s3.make_bucket(new)
        s3.put(new, "x")
        plain.wait(2)
        filtered.wait(1)
        assert filtered.keys == ["x"]


def test_names_are_single_or_compound(server, s3, bucket):
    with Listener(server, bucket, ("s3:ObjectRemoved:*", "s3:ObjectCreated:Copy"), ping=600) as l:
        s3.put(bucket, "a")
        s3.request("PUT", f"/{bucket}/b", {"x-amz-copy-source": f"/{bucket}/a"})
        s3.delete(bucket, "a")
        l.wait(2)
        assert [n for n, _, _ in l.seen] == ["ObjectCreated:Copy", "ObjectRemoved:Delete"]


BAD_EVENT = "A specified event is not supported for notifications."
EV = "events=s3%3AObjectCreated%3APut"
# In the order of the checks: each row breaks one thing, and everything that is checked later.
ERRORS = [
    (f"{EV}&prefix=a&prefix=b&suffix=%5C", 400, "InvalidArgument", "more than one prefix"),
    ("events=no&prefix=" + "x" * 1025 + "&suffix=a&suffix=b", 400, "InvalidArgument", "1024 bytes"),
    ("events=no&prefix=%ff", 400, "InvalidArgument", "1024 bytes"),
    ("events=no&suffix=a&suffix=b", 400, "InvalidArgument", "more than one suffix"),
    ("events=no&suffix=a%5Cb", 400, "InvalidArgument", "1024 bytes"),
    ("events=", 400, "InvalidArgument", BAD_EVENT),
    ("events", 400, "InvalidArgument", BAD_EVENT),
    (f"{EV}&events=s3%3ATestEvent&ping=x", 400, "InvalidArgument", BAD_EVENT),
    ("events=s3%3AScanner%3A%2A", 400, "InvalidArgument", BAD_EVENT),
    ("events=s3%3A%2A", 400, "InvalidArgument", BAD_EVENT),
    (f"{EV}&ping=0", 400, "AuthorizationQueryParametersError", "ping must be"),
    (f"{EV}&ping=", 400, "AuthorizationQueryParametersError", "ping must be"),
    (f"{EV}&ping=1.5", 400, "AuthorizationQueryParametersError", "ping must be"),
    (f"{EV}&ping=-1&resume=x", 400, "AuthorizationQueryParametersError", "ping must be"),
    (f"{EV}&resume=x", 400, "InvalidArgument", "resume"),
    (f"{EV}&resume=18901AB2C3D4E5F6", 400, "InvalidArgument", "resume"),
]


@pytest.mark.parametrize("query, status, code, message", ERRORS)
def test_errors(server, s3, bucket, query, status, code, message):
    for target in (f"/{bucket}?{query}", f"/?{query}"):
        reply = s3.request("GET", target)
        assert (reply.status, reply.code) == (status, code)
        assert message in reply.xml.findtext("Message")


def test_the_bucket_is_looked_for_after_the_events_and_before_ping(s3):
    assert s3.request("GET", "/nobucket?events=no").code == "InvalidArgument"
    reply = s3.request("GET", f"/nobucket?{EV}&ping=0")
    assert (reply.status, reply.code) == (404, "NoSuchBucket")


def test_anonymous_and_wrong_signatures_are_refused(s3, bucket):
    assert s3.request("GET", f"/{bucket}?{EV}", sign=False).status == 403
    assert s3.request("GET", f"/?{EV}", sign=False).status == 403


@pytest.mark.parametrize("method", ["HEAD", "PUT", "POST", "DELETE"])
def test_only_get_listens(s3, bucket, method):
    """The name of a query parameter is no operation of other methods; the bucket is still there afterwards."""
    reply = s3.request(method, f"/{bucket}?{EV}")
    assert reply.status != 200 or method == "HEAD" or "text/event-stream" not in str(reply.headers)


def signed_as_sent(server, target):
    """The query signed with the values of a repeated name in the order of the URL, as minio-go does."""
    s3 = server.s3
    path, _, query = target.partition("?")
    date = iso()
    pairs = sorted((p.split("=", 1) for p in query.split("&")), key=lambda p: p[0])
    headers = [("host", s3.host), ("x-amz-content-sha256", EMPTY_SHA256), ("x-amz-date", date)]
    names = ";".join(n for n, _ in headers)
    text = "\n".join(["GET", path, "&".join(f"{n}={v}" for n, v in pairs),
                      "".join(f"{n}:{v}\n" for n, v in headers), names, EMPTY_SHA256])
    auth = (f"{ALGORITHM} Credential={server.user}/{s3.signer.scope(date)}, SignedHeaders={names}, "
            f"Signature={s3.signer.signature(date, text)}")
    lines = "".join(f"{n}: {v}\r\n" for n, v in headers + [("Authorization", auth)])
    return f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode()


def test_both_orders_of_signing_repeated_events(server, bucket):
    """s3:ObjectRemoved before s3:ObjectCreated: sorted by value it is the other way round."""
    target = listen_target(bucket, ("s3:ObjectRemoved:*", "s3:ObjectCreated:*"), ping=600)
    by_value = server.s3.build("GET", target)
    as_sent = signed_as_sent(server, target)
    for request in (by_value, as_sent):
        with server.raw() as c:
            c.send(request)
            assert b" 200 OK" in c._until(b"\r\n\r\n")
    swapped = as_sent.replace(b"ObjectRemoved", b"ObjectRemovex").replace(b"ObjectCreated", b"ObjectRemoved")
    with server.raw() as c:
        c.send(swapped.replace(b"ObjectRemovex", b"ObjectCreated"))
        assert b" 403 " in c._until(b"\r\n")


def test_presigned(server, s3, bucket):
    target = s3.signer.presign("GET", listen_target(bucket, ping=600), s3.host)
    with server.raw() as c:
        c.send(f"GET {target} HTTP/1.1\r\nHost: {s3.host}\r\n\r\n".encode())
        assert b" 200 OK" in c._until(b"\r\n\r\n")
        s3.put(bucket, "presigned")
        assert b'"key":"presigned"' in c._until(b"]}\n")


def test_http_1_0(server, s3, bucket):
    """Without chunks: the end of the connection is the end of the stream."""
    with server.raw() as c:
        c.send(s3.build("GET", listen_target(bucket, ping=600)).replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))
        head = c._until(b"\r\n\r\n")
        assert b" 200 OK" in head and b"chunked" not in head
        s3.put(bucket, "old")
        assert b'"key":"old"' in c._until(b"]}\n")


def test_over_tls(make_server, authority, tmp_path):
    certs = tmp_path / "certs"
    certs.mkdir()
    authority.issue("main", into=(certs / "public.crt", certs / "private.key"))
    server = make_server(scheme="https", tls=authority.client_context(), args=["--certs-dir", str(certs)]).start()
    server.s3.make_bucket("bkt")
    with Listener(server, "bkt", ping=600) as l:
        server.s3.put("bkt", "secret")
        l.wait(1)
        assert l.keys == ["secret"]
        files = server.open_files()
    wait_for(lambda: server.open_files() < files, what="the connection to be closed")


def test_heartbeat_every_ping_seconds(server, bucket):
    started = time.monotonic()
    with Listener(server, bucket, ping=1) as l:
        wait_for(lambda: l.heartbeats >= 3, 10, "three heartbeats")
        assert time.monotonic() - started > 2.5
        assert l.blanks == 0


def test_blanks_twice_a_second_without_ping(server, bucket):
    started = time.monotonic()
    with Listener(server, bucket) as l:
        wait_for(lambda: l.blanks >= 4, 10, "four blanks")
        assert time.monotonic() - started > 1.5
        assert l.heartbeats == 0
        server.s3.put(bucket, "between blanks")
        l.wait(1)


def test_heartbeats_tell_the_place_when_it_moved(server, s3, bucket):
    """A listener whose events are rare must not fall out of the history because others' are not."""
    with Listener(server, bucket, prefix="never/", ping=1) as l:
        first = wait_for(lambda: l.position)
        s3.put(bucket, "other")
        wait_for(lambda: l.position != first, 10, "another place")
        assert not l.records


def test_the_place_follows_the_events(server, s3, bucket):
    with Listener(server, bucket, ping=600) as l:
        first = wait_for(lambda: l.position)
        s3.put(bucket, "x")
        l.wait(1)
        wait_for(lambda: l.position != first, what="the place behind the event")
        assert l.lines[-1] == {"Records": None, "Position": l.position}


def test_a_client_that_goes_is_noticed_without_a_heartbeat(server, bucket):
    made = [Listener(server, bucket, ping=3600) for _ in range(50)]
    assert server.open_files() > 50
    for l in made:
        l.close()
    wait_for(lambda: server.open_files() < 50, what="the connections to be closed")


def test_what_is_sent_behind_the_request_waits(server, s3, bucket):
    """A pipelined request is neither taken for an end nor read without bound."""
    with Listener(server, bucket, ping=600) as l:
        l.conn.send(s3.build("GET", f"/{bucket}") * 50)
        s3.put(bucket, "x")
        l.wait(1)
        assert l.ended is None


def test_a_bucket_that_is_deleted_and_made_again(server, s3, bucket):
    with Listener(server, bucket, ping=600) as l:
        assert s3.request("DELETE", f"/{bucket}").status == 204
        s3.make_bucket(bucket)
        s3.put(bucket, "again")
        l.wait(3)
        assert l.seen == [("BucketRemoved:*", bucket, ""), ("BucketCreated:*", bucket, ""),
                          ("ObjectCreated:Put", bucket, "again")]


def test_deletes_of_many_keys(server, s3, bucket):
    from support.ops import delete_body, delete_many
    keys = [f"k{i:04}" for i in range(1000)]
    with Listener(server, bucket, ping=600) as l:
        assert delete_many(s3, bucket, delete_body(keys)).status == 200
        l.wait(1000, 20)
        assert l.seen == [("ObjectRemoved:Delete", bucket, k) for k in keys]


def test_replicas_are_not_heard(server, s3, bucket):
    with Listener(server, bucket, ping=600) as l:
        s3.put(bucket, "replica", headers={"x-minio-source-replication-request": "true"})
        s3.put(bucket, "own")
        l.wait(1)
        assert l.keys == ["own"]


@pytest.mark.sanitize
def test_nothing_is_lost_between_joining_and_events(server, s3, bucket):
    """Whoever has its head hears of every request that begins after it, whoever else joins and leaves meanwhile."""
    for i in range(30):
        with Listener(server, bucket, (ALL[i % 3],), ping=600):
            with Listener(server, bucket, ("s3:ObjectCreated:*",), ping=600) as l:
                s3.put(bucket, f"k{i}")
                l.wait(1)
                assert l.keys == [f"k{i}"]


@pytest.mark.sanitize
def test_a_stop_ends_streams_cleanly(make_server):
    server = make_server().start()
    server.s3.make_bucket("bkt")
    listeners = [Listener(server, "bkt", ping=600) for _ in range(5)]
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5
    for l in listeners:
        wait_for(lambda l=l: l.ended)
        assert l.ended == "cleanly"
        l.close()
    holds_for(lambda: not server.alive(), 0.01)
