# SPDX-License-Identifier: Apache-2.0
"""What holds for the deliveries of every test."""
import threading

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


class Writers:
    """Put and delete a few keys each, side by side, until they are told to stop, or have done `most`."""

    def __init__(self, server, n=4, keys=6, most=1 << 30):
        self.keys, self.most = keys, most
        self.server, self.over, self.counts = server, threading.Event(), []
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(n)]

    def _run(self, number):
        i, s3 = 0, self.server.s3
        with self.server.raw() as c:
            while not self.over.is_set() and i < self.most:
                key = f"w{number}-{i % self.keys}"
                reply = s3.delete("events", key, conn=c) if i % 5 == 4 else s3.put("events", key, b"%d" % i, conn=c)
                assert reply.status in (200, 204)
                i += 1
        self.counts.append(i)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        for t in self.threads:
            t.join()
        self.total = sum(self.counts)
