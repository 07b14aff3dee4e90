# SPDX-License-Identifier: Apache-2.0
"""A receiver of each kind, for the rows that torture them: the real broker behind a wire, what Belfry is told of it, what has come
there, in the order in which the broker took it, and how it loses its table, topic, exchange or index, or says 'try later'."""
from .ours import KafkaMock, Webhook
from .queues import Amqp, JetStream, Kafka, Mqtt, NatsCore, NsqKind, Streaming
from .stores import ElasticKind, MysqlKind, PostgresKind, RedisKind

__all__ = ["KINDS", "KafkaMock"]
KINDS = {k.name: k for k in (Amqp, ElasticKind, Kafka, Mqtt, MysqlKind, NatsCore, JetStream, Streaming, NsqKind, PostgresKind,
                             RedisKind, Webhook)}
