# SPDX-License-Identifier: Apache-2.0
"""PutBucketNotification and GetBucketNotification, and which events a rule lets through."""
import os
import re

import pytest
from support.ops import delete_body, delete_many
from support.receiver import Receiver, webhook_env
from support.s3raw import NS, arn, rule
from support.wait import wait_for

EVENT = "<Event>s3:ObjectCreated:*</Event>"
QUEUE = f"<Queue>{arn('1')}</Queue>"


def put_xml(s3, bucket, inner, root="NotificationConfiguration"):
    return s3.request("PUT", f"/{bucket}?notification", body=f"<{root}>{inner}</{root}>".encode())


def config(inner):
    return f"<QueueConfiguration>{inner}</QueueConfiguration>"


def filter_rule(name, value):
    return f"<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>"


def filters(*rules):
    return "<Filter><S3Key>" + "".join(filter_rule(*r) for r in rules) + "</S3Key></Filter>"


MESSAGES = {
    "event": "A specified event is not supported for notifications.",
    "arn": "A specified destination ARN does not exist or is not well-formed. Verify the destination ARN.",
    "overlap": "An object key name filtering rule defined with overlapping prefixes, overlapping suffixes, or overlapping "
               "combinations of prefixes and suffixes for the same event types.",
    "twice": "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
    "name": "filter rule name must be either prefix or suffix",
    "prefixes": "Cannot specify more than one prefix rule in a filter.",
    "suffixes": "Cannot specify more than one suffix rule in a filter.",
    "topic": "MinIO server does not support Topic or Cloud Function based notifications.",
    "xml": "The XML you provided was not well-formed or did not validate against our published schema.",
}

ERRORS = [
    ("event-unknown", config("<Event>s3:Foo</Event>" + QUEUE), "InvalidArgument", "event"),
    ("event-all", config("<Event>s3:*</Event>" + QUEUE), "InvalidArgument", "event"),
    ("event-scanner-all", config("<Event>s3:Scanner:*</Event>" + QUEUE), "InvalidArgument", "event"),
    ("event-test", config("<Event>s3:TestEvent</Event>" + QUEUE), "InvalidArgument", "event"),
    ("event-no-prefix", config("<Event>ObjectCreated:Put</Event>" + QUEUE), "InvalidArgument", "event"),
    ("event-case", config("<Event>s3:objectcreated:put</Event>" + QUEUE), "InvalidArgument", "event"),
    ("event-aws-only", config("<Event>s3:ReducedRedundancyLostObject</Event>" + QUEUE), "InvalidArgument", "event"),
    ("arn-unknown-id", config(EVENT + f"<Queue>{arn('9')}</Queue>"), "InvalidArgument", "arn"),
    ("arn-unknown-type", config(EVENT + f"<Queue>{arn('1', 'kafka')}</Queue>"), "InvalidArgument", "arn"),
    ("arn-malformed", config(EVENT + "<Queue>arn:minio:sqs:1:webhook</Queue>"), "InvalidArgument", "arn"),
    ("arn-aws", config(EVENT + "<Queue>arn:aws:sqs:us-east-1:1:webhook</Queue>"), "InvalidArgument", "arn"),
    ("arn-empty", config(EVENT + "<Queue></Queue>"), "InvalidArgument", "arn"),
    ("same-twice", config(EVENT + QUEUE) * 2, "InvalidArgument", "overlap"),
    ("event-twice", config(EVENT * 2 + QUEUE), "InvalidArgument", "twice"),
    ("filter-name", config(filters(("prefixx", "a")) + EVENT + QUEUE), "InvalidArgument", "name"),
    ("filter-name-case", config(filters(("Prefix", "a")) + EVENT + QUEUE), "InvalidArgument", "name"),
    ("two-prefixes", config(filters(("prefix", "a"), ("prefix", "b")) + EVENT + QUEUE), "InvalidArgument", "prefixes"),
    ("two-suffixes", config(filters(("suffix", "a"), ("suffix", "b")) + EVENT + QUEUE), "InvalidArgument", "suffixes"),
    ("topic", "<TopicConfiguration><Event>s3:ObjectCreated:*</Event><Topic>arn:aws:sns:::x</Topic></TopicConfiguration>",
     "UnsupportedNotification", "topic"),
    ("function", "<CloudFunctionConfiguration><Event>s3:ObjectCreated:*</Event><CloudFunction>x</CloudFunction>"
     "</CloudFunctionConfiguration>", "UnsupportedNotification", "topic"),
    ("no-event", config(QUEUE), "MalformedXML", "xml"),
    ("broken", "<QueueConfiguration>", "MalformedXML", "xml"),
]


@pytest.mark.parametrize("inner,code,message", [r[1:] for r in ERRORS], ids=[r[0] for r in ERRORS])
def test_errors(notified, n_bucket, inner, code, message):
    s3 = notified.s3
    assert s3.set_rules(n_bucket, rule(arn("1"), prefix="kept")).status == 200
    reply = put_xml(s3, n_bucket, inner)
    assert (reply.status, reply.code) == (400, code), reply
    assert reply.xml.findtext("Message") == MESSAGES[message]
    assert b"kept" in s3.rules(n_bucket).body, "a refused change changes nothing"


def test_other_errors(notified, n_bucket):
    s3 = notified.s3
    reply = put_xml(s3, n_bucket, "", root="Nonsense")
    assert (reply.status, reply.code) == (400, "MalformedXML")
    reply = s3.request("PUT", f"/{n_bucket}?notification")
    assert (reply.status, reply.code) == (411, "MissingContentLength")
    for reply in (put_xml(s3, "missing-bucket-x", ""), s3.rules("missing-bucket-x")):
        assert (reply.status, reply.code) == (404, "NoSuchBucket")
    reply = s3.request("PUT", f"/{n_bucket}?notification", body=b"<x/>", sign=False)
    assert (reply.status, reply.code) == (403, "AccessDenied")
    doctype = b'<!DOCTYPE x [<!ENTITY a "a">]><NotificationConfiguration/>'
    assert s3.request("PUT", f"/{n_bucket}?notification", body=doctype).code == "MalformedXML"


@pytest.fixture
def n_bucket(notified):
    return notified.s3.make_bucket(f"rules-{os.urandom(5).hex()}")


def test_get_form(notified, n_bucket):
    s3 = notified.s3
    reply = s3.rules(n_bucket)
    assert reply.status == 200 and reply.get("content-type") == "application/xml"
    assert reply.body == f'<NotificationConfiguration xmlns="{NS}"></NotificationConfiguration>'.encode()
    put = s3.set_rules(n_bucket, rule(arn("1"), "s3:ObjectCreated:*", suffix=".jpg"),
                       rule(arn("1"), "s3:ObjectRemoved:Delete", "s3:ObjectAccessed:*", prefix="p", suffix="s", rule_id="my id"))
    assert put.status == 200 and put.body == b""
    assert s3.rules(n_bucket).body == (
        f'<NotificationConfiguration xmlns="{NS}"><QueueConfiguration><Id></Id><Filter><S3Key><FilterRule><Name>suffix</Name>'
        f'<Value>.jpg</Value></FilterRule></S3Key></Filter><Event>s3:ObjectCreated:*</Event><Queue>{arn("1")}</Queue>'
        f'</QueueConfiguration><QueueConfiguration><Id>my id</Id><Filter><S3Key><FilterRule><Name>prefix</Name><Value>p</Value>'
        f'</FilterRule><FilterRule><Name>suffix</Name><Value>s</Value></FilterRule></S3Key></Filter>'
        f'<Event>s3:ObjectRemoved:Delete</Event><Event>s3:ObjectAccessed:*</Event><Queue>{arn("1")}</Queue>'
        f'</QueueConfiguration></NotificationConfiguration>').encode()
    assert put_xml(s3, n_bucket, "").status == 200
    assert b"Queue" not in s3.rules(n_bucket).body


def test_tolerance(notified, n_bucket):
    """Unknown elements, any order, an ARN with a region while the server has none."""
    s3 = notified.s3
    inner = config(f"<Queue>{arn('1', region='eu-x-1')}</Queue><Extra><A/></Extra>" + EVENT + filters(("suffix", "x")) +
                   "<Id>i</Id>") + "<EventBridgeConfiguration/>"
    assert put_xml(s3, n_bucket, inner).status == 200
    assert f"<Queue>{arn('1')}</Queue>".encode() in s3.rules(n_bucket).body


ALL_EVENTS = """s3:ObjectAccessed:Get s3:ObjectAccessed:GetRetention s3:ObjectAccessed:GetLegalHold s3:ObjectAccessed:Head
 s3:ObjectAccessed:Attributes s3:ObjectCreated:CompleteMultipartUpload s3:ObjectCreated:Copy s3:ObjectCreated:Post
 s3:ObjectCreated:Put s3:ObjectCreated:PutRetention s3:ObjectCreated:PutLegalHold s3:ObjectCreated:PutTagging
 s3:ObjectCreated:DeleteTagging s3:ObjectRemoved:Delete s3:ObjectRemoved:DeleteMarkerCreated s3:ObjectRemoved:DeleteAllVersions
 s3:ObjectRemoved:NoOP s3:BucketCreated:* s3:BucketRemoved:* s3:Replication:OperationFailedReplication
 s3:Replication:OperationCompletedReplication s3:Replication:OperationMissedThreshold
 s3:Replication:OperationReplicatedAfterThreshold s3:Replication:OperationNotTracked s3:ObjectRestore:Post
 s3:ObjectRestore:Completed s3:ObjectTransition:Failed s3:ObjectTransition:Complete s3:Scanner:ManyVersions
 s3:Scanner:LargeVersions s3:Scanner:BigPrefix s3:LifecycleDelMarkerExpiration:Delete s3:ObjectAccessed:* s3:ObjectCreated:*
 s3:ObjectRemoved:* s3:Replication:* s3:ObjectRestore:* s3:ObjectTransition:*""".split()


def test_all_event_names_are_accepted(notified, n_bucket):
    s3 = notified.s3
    reply = s3.set_rules(n_bucket, rule(arn("1"), *ALL_EVENTS))
    assert reply.status == 200, reply
    assert re.findall(rb"<Event>([^<]+)</Event>", s3.rules(n_bucket).body) == [e.encode() for e in ALL_EVENTS]


def test_wrong_region(make_server, receiver):
    server = make_server(env=dict(webhook_env(receiver), MINIO_REGION="eu-test-1"), region="eu-test-1").start()
    server.s3.make_bucket("region")
    reply = server.s3.set_rules("region", rule(arn("1", region="us-east-1")))
    assert (reply.status, reply.code) == (400, "InvalidArgument")
    assert reply.xml.findtext("Message") == ("A specified destination is in a different region than the bucket. You must use a "
                                             "destination that resides in the same region as the bucket.")
    assert server.s3.set_rules("region", rule(arn("1"))).status == 200
    assert arn("1", region="eu-test-1").encode() in server.s3.rules("region").body


# -- what matches ------------------------------------------------------------------------------

MATCHES = [  # prefix, suffix, keys that match, keys that do not
    (None, None, ["a", "a/b", "ü"], []), ("img/", None, ["img/", "img/a"], ["im", "Img/a", "x/img/a"]),
    (None, ".jpg", [".jpg", "a.jpg", "a/b.jpg"], ["a.jpg2", "a.JPG", "jpg"]),
    ("img/", ".jpg", ["img/.jpg", "img/a/b.jpg"], ["img.jpg", "img/a.png"]), ("ab", "bc", ["abbc", "ab-bc"], ["abc"]),
    ("a*c", None, ["ac", "abc", "a/b/cd"], ["ab"]), (None, "?.txt", ["a.txt", "bb.txt", ".txt"], []),
    ("a?c", None, ["abc", "a/c/d"], ["ac"]), ("", "", ["a"], []),
]


@pytest.mark.parametrize("prefix,suffix,matching,others", MATCHES, ids=[f"{m[0]}-{m[1]}" for m in MATCHES])
def test_filters(notified, n_bucket, hook_receiver, prefix, suffix, matching, others):
    s3 = notified.s3
    assert s3.set_rules(n_bucket, rule(arn("1"), "s3:ObjectCreated:*", prefix=prefix, suffix=suffix)).status == 200
    for key in matching + others:
        assert s3.put(n_bucket, key, b"x").status == 200
    assert s3.set_rules(n_bucket, rule(arn("1"))).status == 200
    assert s3.put(n_bucket, "the-last", b"x").status == 200

    def keys():
        return [p.key.split("/", 1)[1] for p in hook_receiver.snapshot() if p.key.startswith(n_bucket + "/")]
    wait_for(lambda: "the-last" in keys() and len(keys()) > len(matching), 10, "all events")
    assert sorted(keys()) == sorted(matching + ["the-last"])


@pytest.mark.sanitize
def test_event_selection(notified, n_bucket, hook_receiver):
    s3 = notified.s3
    assert s3.set_rules(n_bucket, rule(arn("1"), "s3:ObjectRemoved:Delete", "s3:ObjectAccessed:Head",
                                       "s3:ObjectCreated:Copy")).status == 200
    assert s3.put(n_bucket, "a", b"x").status == 200
    assert s3.request("PUT", f"/{n_bucket}/b", {"x-amz-copy-source": f"/{n_bucket}/a"}).status == 200
    assert s3.get(n_bucket, "a").status == 200
    assert s3.head(n_bucket, "a").status == 200
    assert s3.delete(n_bucket, "missing").status == 204
    assert delete_many(s3, n_bucket, delete_body(["a"])).status == 200
    assert s3.delete(n_bucket, "b").status == 204

    def mine():
        return [p for p in hook_receiver.snapshot() if p.key.startswith(n_bucket + "/")]
    wait_for(lambda: len(mine()) >= 4, 10, "four events")
    assert sorted((p.event, p.key.split("/")[1]) for p in mine()) == [
        ("s3:ObjectAccessed:Head", "a"), ("s3:ObjectCreated:Copy", "b"), ("s3:ObjectRemoved:Delete", "a"),
        ("s3:ObjectRemoved:Delete", "b")]


@pytest.mark.sanitize
def test_one_copy_per_target(make_server, receiver):
    """Overlapping rules to one target give one event; two targets get one each; the default target has no suffix."""
    with Receiver() as other, Receiver() as default:
        env = dict(webhook_env(receiver, "1"), **webhook_env(other, "Primary"), **webhook_env(default, ""))
        server = make_server(env=env).start()
        s3 = server.s3
        s3.make_bucket("copies")
        reply = s3.set_rules("copies", rule(arn("1")), rule(arn("1"), "s3:ObjectCreated:Put"), rule(arn("1"), prefix="a"),
                             rule(arn("1"), suffix="z"), rule(arn("Primary"), prefix="a"), rule(arn("_")))
        assert reply.status == 200, reply
        for key in ("az", "b"):
            assert s3.put("copies", key, b"x").status == 200
        receiver.wait_delivered(2)
        default.wait_delivered(2)
        other.wait_delivered(1)
        server.stop()
        assert sorted(p.key for p in receiver.snapshot()) == ["copies/az", "copies/b"]
        assert sorted(p.key for p in default.snapshot()) == ["copies/az", "copies/b"]
        assert [p.key for p in other.snapshot()] == ["copies/az"]


def test_rules_survive_a_restart(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    server.s3.make_bucket("restart")
    assert server.s3.set_rules("restart", rule(arn("1"), prefix="x")).status == 200
    before = server.s3.rules("restart").body
    server.restart()
    assert server.s3.rules("restart").body == before
    assert server.s3.put("restart", "x1", b"x").status == 200
    assert receiver.wait_delivered(1)[0].key == "restart/x1"


def test_rules_end_with_their_bucket(notified, n_bucket):
    s3 = notified.s3
    assert s3.set_rules(n_bucket, rule(arn("1"))).status == 200
    assert s3.request("DELETE", f"/{n_bucket}?notification").status in (204, 501)
    s3.request("DELETE", f"/{n_bucket}")
    s3.make_bucket(n_bucket)
    assert b"Queue" not in s3.rules(n_bucket).body


def test_stale_arns_are_kept_and_may_be_repeated(make_server, receiver):
    with Receiver() as gone:
        server = make_server(env=dict(webhook_env(receiver, "1"), **webhook_env(gone, "gone"))).start()
        server.s3.make_bucket("stale")
        assert server.s3.set_rules("stale", rule(arn("gone"), "s3:ObjectCreated:*")).status == 200
        server.stop()
        server.env = webhook_env(receiver, "1")
        server.start()
        s3 = server.s3
        assert arn("gone").encode() in s3.rules("stale").body, "shown although its target is gone"
        assert "gone" in server.log(), "named in a warning at start"
        both = [rule(arn("gone"), "s3:ObjectCreated:*"), rule(arn("1"), "s3:ObjectCreated:*")]
        assert s3.set_rules("stale", *both).status == 200, "what is stored may be repeated"
        reply = s3.set_rules("stale", *both, rule(arn("never"), "s3:ObjectCreated:*"))
        assert (reply.status, reply.code) == (400, "InvalidArgument")
        assert s3.put("stale", "k", b"x").status == 200
        receiver.wait_delivered(1)
        s3.make_bucket("other")
        assert s3.set_rules("other", rule(arn("gone"))).status == 400, "only in the bucket that stores it"
        server.stop()
        server.env = dict(webhook_env(receiver, "1"), **webhook_env(gone, "gone"))
        server.start()
        assert server.s3.put("stale", "again", b"x").status == 200
        gone.wait_delivered(1)
        assert gone.snapshot()[-1].key == "stale/again"


def test_a_thousand_rules(notified, n_bucket, hook_receiver):
    s3 = notified.s3
    rules = [rule(arn("1"), "s3:ObjectCreated:*", prefix=f"p{i}/") for i in range(1000)]
    assert s3.set_rules(n_bucket, *rules).status == 200
    assert len(re.findall(rb"<QueueConfiguration>", s3.rules(n_bucket).body)) == 1000
    assert s3.put(n_bucket, "p999/x", b"x").status == 200
    assert s3.put(n_bucket, "q/x", b"x").status == 200
    wait_for(lambda: any(p.key == f"{n_bucket}/p999/x" for p in hook_receiver.snapshot()), 10, "the event")


@pytest.mark.sanitize
def test_more_arns_than_targets(make_server):
    """Rules go on naming targets that were replaced, and name those in their place: then they are more than can be enabled."""
    def targets(letter):
        return {f"MINIO_NOTIFY_WEBHOOK_{key}_{letter}{i}": value for i in range(64)
                for key, value in (("ENABLE", "on"), ("ENDPOINT", "http://127.0.0.1:1/"))}

    def rules(letters):
        return "".join(config(EVENT + f"<Queue>{arn(f'{letter}{i}')}</Queue>") for letter in letters for i in range(64))

    server = make_server(env=targets("a")).start()
    server.s3.make_bucket("many")
    assert put_xml(server.s3, "many", rules("a")).status == 200
    for letter, named in (("b", "ab"), ("c", "abc"), ("d", "abcd")):
        server.stop()
        server.env = targets(letter)
        server.start()
        assert put_xml(server.s3, "many", rules(named)).status == 200
    server.stop()
    server.start()
    assert server.s3.rules("many").body.count(b"<Queue>") == 256
    server.stop()
