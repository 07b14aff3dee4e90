# SPDX-License-Identifier: Apache-2.0
"""A small S3 client on Python's standard library: requests signed with AWS Signature Version 4 (AWS: "Signature
Calculations for the Authorization Header") over one kept connection."""
import datetime
import hashlib
import hmac
import http.client
import urllib.parse


class S3Error(Exception):
    """An answer other than 2xx."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:300].decode('utf-8', 'replace')}")
        self.status = status


class S3Client:
    """One connection; for one thread. region: any, where the server has none of its own."""

    def __init__(self, host, port, access_key, secret_key, region="us-east-1", timeout=30):
        self.host, self.access_key, self.secret_key, self.region = f"{host}:{port}", access_key, secret_key, region
        self.conn = http.client.HTTPConnection(host, port, timeout=timeout)

    def close(self):
        self.conn.close()

    def _sign(self, method, path, query, headers, payload_hash):
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        headers.update({"host": self.host, "x-amz-date": now, "x-amz-content-sha256": payload_hash})
        names = sorted(headers)
        signed = ";".join(names)
        canonical = "\n".join([method, path, query, *(f"{n}:{headers[n].strip()}" for n in names), "", signed, payload_hash])
        scope = f"{now[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret_key).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
                                    f"SignedHeaders={signed}, Signature={signature}")

    def request(self, method, path, query=None, body=b"", headers=None):
        """(reply headers, body); S3Error unless 2xx, OSError or HTTPException when the connection breaks."""
        path = urllib.parse.quote(path, safe="/~-._")
        pairs = sorted((urllib.parse.quote(k, safe="~-._"), urllib.parse.quote(v, safe="~-._"))
                       for k, v in (query or {}).items())
        query = "&".join(f"{k}={v}" for k, v in pairs)
        headers = {k.lower(): v for k, v in (headers or {}).items()}
        self._sign(method, path, query, headers, hashlib.sha256(body).hexdigest())
        self.conn.request(method, path + ("?" + query if query else ""), body=body, headers=headers)
        reply = self.conn.getresponse()
        content = reply.read()
        if not 200 <= reply.status < 300:
            raise S3Error(reply.status, content)
        return reply.headers, content

    def make_bucket(self, bucket):
        self.request("PUT", f"/{bucket}")

    def put(self, bucket, key, body, content_type="application/octet-stream"):
        """The ETag."""
        headers, _ = self.request("PUT", f"/{bucket}/{key}", body=body, headers={"Content-Type": content_type})
        return headers["ETag"].strip('"')

    def get(self, bucket, key):
        return self.request("GET", f"/{bucket}/{key}")[1]

    def notify(self, bucket, arn, *events):
        """Every change of one of these kinds is told to the target of that ARN."""
        names = "".join(f"<Event>{e}</Event>" for e in events)
        self.request("PUT", f"/{bucket}", {"notification": ""}, (
            "<NotificationConfiguration><QueueConfiguration>"
            f"<Id>demo</Id><Queue>{arn}</Queue>{names}</QueueConfiguration></NotificationConfiguration>").encode())
