# SPDX-License-Identifier: Apache-2.0
"""What holds for the deliveries of every test."""
from .s3raw import arn, rule


def notify(server, bucket="events", *targets):
    server.s3.make_bucket(bucket)
    reply = server.s3.set_rules(bucket, *[rule(arn(t), "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for t in targets or ("1",)])
    assert reply.status == 200, reply
    return server.s3


def first_deliveries(posts):
    """Sequencers per key in order of their first delivery."""
    seen, order = set(), {}
    for p in posts:
        if (p.key, p.sequencer) not in seen:
            seen.add((p.key, p.sequencer))
            order.setdefault(p.key, []).append(p.sequencer)
    return order


def assert_in_order(posts):
    for key, numbers in first_deliveries(posts).items():
        assert numbers == sorted(numbers), f"{key}: first deliveries out of order: {numbers}"
        last = [p.sequencer for p in posts if p.key == key][-1]
        assert last == max(numbers), f"{key}: the last delivery is not of its last event"
