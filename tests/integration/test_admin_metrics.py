# SPDX-License-Identifier: Apache-2.0
"""Metrics: who may read them, the pages, and that the numbers are those of what happened."""
import time

import pytest
from support.admin import error_of, sample, samples, token
from support.receiver import Answer, webhook_env
from support.s3raw import arn, rule
from support.wait import wait_for

PAGES = ["/minio/v2/metrics/cluster", "/minio/v2/metrics/node", "/minio/v2/metrics/bucket", "/minio/v2/metrics/resource",
         "/minio/prometheus/metrics", "/minio/metrics/v3", "/minio/metrics/v3/notification", "/minio/metrics/v3/api",
         "/minio/metrics/v3/api/requests", "/minio/metrics/v3/system", "/minio/metrics/v3/cluster", "/minio/metrics/v3/scanner",
         "/minio/metrics/v3/bucket/api/some-bucket"]


def claims(server, **changes):
    made = {"iss": "prometheus", "sub": server.user, "exp": int(time.time()) + 60}
    made.update(changes)
    return {k: v for k, v in made.items() if v is not None}


def get(server, path, bearer=None, method="GET"):
    headers = [("Authorization", f"Bearer {bearer}")] if bearer is not None else []
    return server.s3.request(method, path, headers, sign=False)


def scrape(server, path):
    reply = get(server, path, token(claims(server), server.password))
    assert reply.status == 200, reply
    return samples(reply.body.decode())


# -- who -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", PAGES)
def test_every_page_needs_the_token(server, path):
    assert error_of(get(server, path)) == (403, "AccessDenied")
    assert error_of(server.s3.request("GET", path)) == (403, "AccessDenied"), "a signature is no token"
    scrape(server, path)
    scrape(server, path + "/")


def test_tokens_that_are_refused(server):
    page, secret = PAGES[0], server.password
    bad = [
        token(claims(server), "another-secret"),
        token(claims(server, exp=int(time.time()) - 5), secret),
        token(claims(server, exp=None), secret),
        token(claims(server, sub="nobody"), secret),
        token(claims(server, iss="someone"), secret),
        token(claims(server), secret, {"alg": "HS256", "typ": "JWT"}, "sha256"),
        token(claims(server), secret, {"alg": "none"}),
        token(claims(server), secret)[:-1],
        token(claims(server), secret).rsplit(".", 1)[0] + ".",
        "", "x", "a.b.c", "A" * 10_000,
    ]
    for t in bad:
        assert error_of(get(server, page, t)) == (403, "AccessDenied"), t
    assert get(server, page, token(claims(server), secret)).status == 200


def test_public(make_server):
    server = make_server(env={"MINIO_PROMETHEUS_AUTH_TYPE": "public"}).start()
    assert "PROMETHEUS" not in server.log()
    for path in PAGES:
        reply = get(server, path)
        assert reply.status == 200
        samples(reply.body.decode())


def test_a_wrong_auth_type_fails_the_start(make_server):
    server = make_server(env={"MINIO_PROMETHEUS_AUTH_TYPE": "pubic"}).spawn()
    assert server.wait_exit() == 2
    assert "PROMETHEUS_AUTH_TYPE" in server.log() and "public" in server.log()


def test_other_methods_and_pages(server):
    bearer = token(claims(server), server.password)
    assert error_of(get(server, PAGES[0], bearer, "POST"))[0] == 405
    head = get(server, PAGES[0], bearer, "HEAD")
    assert head.status == 200 and head.body == b""
    for path in ("/minio/v2/metrics/", "/minio/v2/metrics/nope", "/minio/metrics/v3/nope", "/minio/metrics/v3x",
                 "/minio/metrics/v3/api/requests/x"):
        assert error_of(get(server, path, bearer))[0] == 404, path


# -- what they say -------------------------------------------------------------------------------

def test_form(server):
    reply = get(server, PAGES[0], token(claims(server), server.password))
    assert reply.get("content-type") == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.sanitize
def test_usage(make_server):
    server = make_server().start()
    server.s3.make_bucket("one")
    server.s3.make_bucket("two")
    server.s3.put("one", "a", b"x" * 10)
    server.s3.put("one", "b", b"x" * 200_000)
    found = scrape(server, "/minio/v2/metrics/cluster")
    assert sample(found, "minio_cluster_usage_object_total") == 2
    assert sample(found, "minio_cluster_usage_total_bytes") == 200_010
    assert sample(found, "minio_cluster_bucket_total") == 2
    assert sample(found, "minio_cluster_health_status") == 1
    assert 0 < sample(found, "minio_cluster_capacity_raw_free_bytes") < sample(found, "minio_cluster_capacity_raw_total_bytes")
    found = scrape(server, "/minio/v2/metrics/bucket")
    assert sample(found, "minio_bucket_usage_total_bytes", bucket="one") == 200_010
    assert sample(found, "minio_bucket_usage_object_total", bucket="two") == 0
    v3 = scrape(server, "/minio/metrics/v3")
    assert sample(v3, "minio_cluster_usage_objects_count") == 2
    assert sample(v3, "minio_cluster_usage_buckets_objects_count", bucket="one") == 2


def test_process(server):
    found = scrape(server, "/minio/v2/metrics/node")
    assert abs(sample(found, "process_resident_memory_bytes") - server.rss()) < 64 << 20
    assert abs(sample(found, "process_open_fds") - server.open_files()) < 20
    assert sample(found, "process_max_fds") >= sample(found, "process_open_fds")
    assert sample(found, "process_cpu_seconds_total") > 0 and sample(found, "process_threads") > 3
    assert abs(sample(found, "process_start_time_seconds") - time.time()) < 600
    assert 0 <= sample(found, "minio_node_process_uptime_seconds") < 600


def test_requests(make_server):
    server = make_server().start()
    s3 = server.s3
    s3.make_bucket("ops")
    for i in range(5):
        s3.put("ops", f"k{i}", b"x")
    for i in range(7):
        s3.get("ops", f"k{i}")
    # A request counts when its reply is out, a moment after its client has it.
    wait_for(lambda: sample(scrape(server, "/minio/v2/metrics/node"), "minio_s3_requests_total", api="getobject") == 7, 5,
             "the last request to be counted")
    found = scrape(server, "/minio/v2/metrics/node")
    assert sample(found, "minio_s3_requests_total", api="putobject") == 5
    assert sample(found, "minio_s3_requests_4xx_errors_total", api="getobject") == 2
    assert sample(found, "minio_s3_requests_errors_total", api="putobject") == 0
    assert sample(found, "minio_s3_requests_total", api="putbucket") == 1
    assert sample(found, "minio_s3_traffic_received_bytes") > 0
    name = "belfry_s3_request_duration_seconds"
    buckets = sorted((float(dict(labels)["le"]), v) for (n, labels), v in found.items()
                     if n == name + "_bucket" and ("api", "putobject") in labels)
    assert [v for _, v in buckets] == sorted(v for _, v in buckets) and buckets[-1] == (float("inf"), 5)
    assert sample(found, name + "_count", api="putobject") == 5
    assert 0 < sample(found, name + "_sum", api="putobject") < 10
    v3 = scrape(server, "/minio/metrics/v3/api/requests")
    assert sample(v3, "minio_api_requests_total", name="PutObject", type="s3") == 5


def targets(server, page="/minio/v2/metrics/cluster"):
    found = scrape(server, page)
    return lambda name: sample(found, name, target_id="1", target_name="webhook")


@pytest.mark.sanitize
def test_targets(make_server, receiver):
    server = make_server(env=webhook_env(receiver)).start()
    s3 = server.s3
    s3.make_bucket("events")
    s3.set_rules("events", rule(arn("1"), "s3:ObjectCreated:*"))
    for i in range(3):
        s3.put("events", f"k{i}", b"x")
    wait_for(lambda: targets(server)("belfry_notify_target_delivered_total") == 3, 10, "three deliveries")
    value = targets(server)
    assert value("minio_notify_target_total_events") == 3 and value("minio_notify_target_failed_events") == 0
    assert value("belfry_notify_target_online") == 1 and value("belfry_notify_target_delivery_rate") > 0
    assert wait_for(lambda: targets(server)("minio_notify_target_queue_length") == 0, 10, "an empty queue")
    assert value("belfry_notify_target_last_error_info") is None

    receiver.behave = lambda post: Answer(500)
    for i in range(2):
        s3.put("events", f"later{i}", b"x")
    wait_for(lambda: targets(server)("belfry_notify_target_online") == 0, 10, "the target to be offline")
    value = targets(server)
    assert value("minio_notify_target_queue_length") == 2 and value("belfry_notify_target_queue_bytes") > 0
    assert value("minio_notify_target_failed_events") > 0 and value("belfry_notify_target_retries_total") > 0
    assert 0 < value("belfry_notify_target_oldest_event_age_seconds") < 60
    assert abs(value("belfry_notify_target_last_error_timestamp_seconds") - time.time()) < 60
    found = scrape(server, "/minio/metrics/v3/notification")
    assert sample(found, "minio_notification_events_sent_total") == 5
    errors = [dict(labels)["error"] for (n, labels) in found if n == "belfry_notify_target_last_error_info"]
    assert len(errors) == 1 and "500" in errors[0]
    assert sample(found, "belfry_notify_target_queue_length", target_id="1") == 2

    receiver.behave = lambda post: Answer()
    wait_for(lambda: targets(server)("minio_notify_target_queue_length") == 0, 40, "the queue to be delivered")
    assert targets(server)("belfry_notify_target_last_error_info") is None
    assert targets(server)("belfry_notify_target_last_error_timestamp_seconds") > 0
