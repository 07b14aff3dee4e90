# SPDX-License-Identifier: Apache-2.0
"""S3 requests over raw connections: any header, any body, signed or not."""
import hashlib

from .sigv4 import EMPTY_SHA256, Signer, encode

NS = "http://s3.amazonaws.com/doc/2006-03-01/"


def key_path(bucket, key=None):
    """The request path of a bucket or an object; key: text or bytes."""
    return f"/{bucket}" if key is None else f"/{bucket}/{encode(key, '/')}"


class RawS3:
    """One request per call, each on its own connection unless conn is given."""

    def __init__(self, server):
        self.server = server
        self.host = f"{server.host}:{server.port}"
        self.signer = Signer(server.user, server.password, server.region)

    def build(self, method, target, headers=(), body=b"", payload_hash=None, sign=True, host=None, when=None,
              signer=None, length=True):
        """The bytes of a signed request. headers: dict or list of pairs."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        all_headers = [("Host", host or self.host)] + pairs
        if payload_hash is None:
            payload_hash = hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256
        if sign:
            all_headers = (signer or self.signer).headers(method, target, all_headers, payload_hash, when)
        if length and (body or method in ("PUT", "POST")):
            all_headers.append(("Content-Length", str(len(body))))
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in all_headers) + "\r\n"
        return head.encode("latin-1") + body

    def request(self, method, target, headers=(), body=b"", conn=None, **kwargs):
        data = self.build(method, target, headers, body, **kwargs)
        if conn is not None:
            conn.send(data)
            return conn.reply(method)
        with self.server.raw() as c:
            c.try_send(data)
            return c.reply(method)

    # -- the common operations ---------------------------------------------------
    def make_bucket(self, bucket):
        reply = self.request("PUT", f"/{bucket}")
        assert reply.status == 200, reply
        return bucket

    def put(self, bucket, key, body=b"", headers=(), **kwargs):
        return self.request("PUT", key_path(bucket, key), headers, body, **kwargs)

    def get(self, bucket, key, headers=(), query="", **kwargs):
        return self.request("GET", key_path(bucket, key) + query, headers, **kwargs)

    def head(self, bucket, key, headers=(), **kwargs):
        return self.request("HEAD", key_path(bucket, key), headers, **kwargs)

    def delete(self, bucket, key, **kwargs):
        return self.request("DELETE", key_path(bucket, key), **kwargs)

    def set_rules(self, bucket, *rules):
        """rules: XML of QueueConfigurations (see rule())."""
        body = f'<NotificationConfiguration xmlns="{NS}">{"".join(rules)}</NotificationConfiguration>'.encode()
        return self.request("PUT", f"/{bucket}?notification", body=body)

    def rules(self, bucket):
        return self.request("GET", f"/{bucket}?notification")


def rule(arn, *events, prefix=None, suffix=None, rule_id=None):
    """A QueueConfiguration; events default to all creations, removals and accesses."""
    events = events or ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*")
    filters = "".join(f"<FilterRule><Name>{n}</Name><Value>{v}</Value></FilterRule>"
                      for n, v in (("prefix", prefix), ("suffix", suffix)) if v is not None)
    return ("<QueueConfiguration>" + (f"<Id>{rule_id}</Id>" if rule_id is not None else "") +
            (f"<Filter><S3Key>{filters}</S3Key></Filter>" if filters else "") +
            "".join(f"<Event>{e}</Event>" for e in events) + f"<Queue>{arn}</Queue></QueueConfiguration>")


def arn(target_id, kind="webhook", region=""):
    return f"arn:minio:sqs:{region}:{target_id}:{kind}"
