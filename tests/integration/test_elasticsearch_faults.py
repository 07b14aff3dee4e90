# SPDX-License-Identifier: Apache-2.0
"""Elasticsearch away, killed, frozen, without its index, or with one that takes nothing: nothing is lost."""
import re
import threading
import time
import uuid

import pytest
from support.delivery import Writers, assert_in_order
from support.elastic import Elastic, Stand, elastic_env
from support.receiver import CLOSE_MID_BODY, CLOSE_UNANSWERED, GARBAGE, Answer
from support.s3raw import arn, rule
from support.wait import wait_for

pytestmark = pytest.mark.brokers


@pytest.fixture
def elastic(start_broker):
    return Elastic(start_broker("elasticsearch"))


@pytest.fixture
def index():
    return uuid.uuid4().hex


def notify(server, bucket="events"):
    server.s3.make_bucket(bucket)
    assert server.s3.set_rules(bucket, rule(arn("1", "elasticsearch"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*")).status == 200
    return server.s3


def put_many(server, n, keys=10, begin=0):
    with server.raw() as c:
        for i in range(begin, begin + n):
            assert server.s3.put("events", f"k{i % keys}", b"%d" % i, conn=c).status == 200


def said(server, text, deadline=20):
    wait_for(lambda: re.search(text, server.log()), deadline, f"'{text}' in the log")


def assert_mirror(server, elastic, index, deadline=60):
    """The index holds exactly the objects there are, each as it is now."""
    listed = server.boto().get_paginator("list_objects_v2").paginate(Bucket="events").search("Contents[]")
    objects = {f"events/{o['Key']}": o["ETag"].strip('"') for o in listed if o}
    wait_for(lambda: {k: r["s3"]["object"].get("eTag") for k, r in elastic.mirror(index).items()} == objects, deadline, "the mirror")


def test_killed_under_load(make_server, elastic, index):
    """Elasticsearch is killed within batches and comes back; then Belfry."""
    server = make_server(env=elastic_env(elastic, index=index)).start()
    notify(server)
    with Writers(server, most=1000):        # of few keys: Elasticsearch gets one event of each in a request
        wait_for(lambda: elastic.count(index) > 10, 60, "the first events")
        elastic.broker.kill()
        said(server, "offline: ")
        elastic.broker.start()
    server.kill()
    server.start()
    assert_mirror(server, elastic, index)


@pytest.mark.long
def test_away_for_a_minute_under_load(make_server, elastic, index):
    """Not there at the start, nor for a minute of writing."""
    server = make_server(env=elastic_env(elastic, index=index))     # its port is not one that the broker leaves
    elastic.broker.stop()
    server.start()
    notify(server)
    put_many(server, 60)
    said(server, "offline: .*Connection refused")
    over = time.monotonic() + 60
    with Writers(server, keys=250) as writers:
        wait_for(lambda: time.monotonic() > over, 70, "a minute")
        elastic.broker.start()
    assert writers.total > 100
    assert_mirror(server, elastic, index, 300)


def test_the_journal_has_each_event_once(make_server, elastic, index):
    """Belfry is killed in the middle of a backlog: what was in flight is sent again, and is there once."""
    elastic.broker.freeze()
    server = make_server(env=elastic_env(elastic, index=index, format="access")).start()
    notify(server)
    put_many(server, 600)
    elastic.broker.thaw()
    wait_for(lambda: elastic.count(index) > 0, 60, "the first events")
    server.kill()
    server.start()
    found = elastic.wait_count(600, index, 60)
    assert len(found) == 600 and len({d.sequencer for d in found}) == 600
    assert_in_order(sorted(found, key=lambda d: d.sequencer))


def test_the_index_is_removed_meanwhile(make_server, elastic, index):
    server = make_server(env=elastic_env(elastic, index=index)).start()
    notify(server)
    put_many(server, 5)
    elastic.wait_count(5, index)
    assert elastic("DELETE", f"/{index}")[0] == 200
    said(server, f"the index '{index}' at .* was gone and is made again", 20)
    mapping = elastic("GET", f"/{index}/_mapping")[1][index]["mappings"]
    assert mapping["date_detection"] is False
    put_many(server, 5)
    elastic.wait_count(5, index)


BLOCKS = [(lambda e, i: e("POST", f"/{i}/_close"), lambda e, i: e("POST", f"/{i}/_open"), "index_closed.*_open.*INDEX_1"),
          (lambda e, i: e("PUT", f"/{i}/_settings", {"index.blocks.read_only_allow_delete": True}),
           lambda e, i: e("PUT", f"/{i}/_settings", {"index.blocks.read_only_allow_delete": None}), "cluster_block.*"),
          (lambda e, i: e("PUT", f"/{i}/_settings", {"index.blocks.write": True}),
           lambda e, i: e("PUT", f"/{i}/_settings", {"index.blocks.write": None}), "index.blocks.write.*INDEX_1")]


@pytest.mark.parametrize("shut,undo,reason", BLOCKS, ids=["closed", "read-only", "write"])
def test_an_index_that_takes_nothing(make_server, elastic, index, shut, undo, reason):
    server = make_server(env=elastic_env(elastic, index=index)).start()
    notify(server)
    put_many(server, 3)
    elastic.wait_count(3, index)
    assert shut(elastic, index)[0] == 200
    put_many(server, 20, begin=3)
    said(server, f"offline: .*{reason}")
    assert undo(elastic, index)[0] == 200
    assert_mirror(server, elastic, index)
    assert "dead letter" not in server.log()


ODD = {"hangs up": CLOSE_UNANSWERED, "cut": CLOSE_MID_BODY, "garbage": GARBAGE, "starting": Answer(503), "another": Answer(200, body=b"{}")}


@pytest.mark.parametrize("what", ODD)
def test_a_peer_that_misbehaves(make_server, what):
    with Stand() as stand:
        stand.on_request = lambda post: ODD[what] if "_bulk" in post.path else None
        server = make_server(env=elastic_env(stand.url)).start()
        notify(server)
        put_many(server, 20)
        said(server, "offline: ")
        stand.on_request = lambda post: None
        wait_for(lambda: len(stand.documents) == 10, 60, "the documents")


@pytest.mark.long
def test_many_in_order(make_server, elastic, index):
    """100,000 events over 1,000 keys: each once, the mirror is right."""
    elastic.broker.freeze()
    server = make_server(env=elastic_env(elastic, index=index, format="access")).start()
    notify(server)
    threads = [threading.Thread(target=put_many, args=(server, 12500, 1000, 12500 * n)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    elastic.broker.thaw()
    wait_for(lambda: elastic.count(index) == 100000, 300, "all")
