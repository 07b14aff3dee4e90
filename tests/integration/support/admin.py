# SPDX-License-Identifier: Apache-2.0
"""Requests of the administration interface, made without mc: signed for the empty region, bodies encrypted by minio-py's own
implementation of the format."""
import base64
import hashlib
import hmac
import json
import re

from .sigv4 import Signer


class Admin:
    def __init__(self, server):
        self.server = server
        self.signer = Signer(server.user, server.password, "")

    def request(self, method, call, body=b"", **kwargs):
        kwargs.setdefault("signer", self.signer)
        return self.server.s3.request(method, f"/minio/admin/v3/{call}", body=body, **kwargs)

    def sealed(self, method, call, text, **kwargs):
        from minio.crypto import encrypt
        return self.request(method, call, encrypt(text.encode(), self.server.password), **kwargs)

    def open(self, reply):
        return decrypt(reply.body, self.server.password)

    def info(self):
        reply = self.request("GET", "info?metrics=false")
        assert reply.status == 200, reply
        return json.loads(reply.body)

    def target(self, name, kind="webhook"):
        """A target's part of info; None when it is not there."""
        for group in self.info()["services"].get("notifications", []):
            for entry in group.get(kind, []):
                if name in entry:
                    return entry[name]
        return None


def decrypt(body, password):
    """By minio-py, out of bytes."""
    import io

    from minio.crypto import decrypt as undo

    class Response(io.BytesIO):
        def release_conn(self):
            pass

        def stream(self, *_, **__):
            yield self.read()

    return undo(Response(body), password).decode()


def error_of(reply):
    """(status, Code) of an error object."""
    assert reply.get("content-type") == "application/json", reply
    found = json.loads(reply.body)
    assert {"Code", "Message", "Resource", "RequestId", "HostId"} <= set(found)
    return reply.status, found["Code"]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(claims, secret, header=None, digest="sha512"):
    text = ".".join(base64url(json.dumps(part).encode()) for part in (header or {"alg": "HS512", "typ": "JWT"}, claims))
    return text + "." + base64url(hmac.new(secret.encode(), text.encode(), getattr(hashlib, digest)).digest())


SAMPLE = re.compile(r'^([a-z_][a-z0-9_]*)\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\} (\S+)$')


def samples(text):
    """{(name, {label: value} as a frozenset): value}; the text is checked as Prometheus would."""
    found, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed, f"{name} stands twice"
            typed.add(name)
        elif line and not line.startswith("# HELP "):
            m = SAMPLE.match(line)
            assert m, line
            family = re.sub(r"_(bucket|sum|count)$", "", m[1])
            assert m[1] in typed or family in typed, line
            key = (m[1], frozenset(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', m[2])))
            assert key not in found, f"{line} stands twice"
            found[key] = float(m[3])
    return found


def sample(found, name, /, **labels):
    """The value of the one sample with that name and (at least) those labels; None when there is none."""
    values = [v for (n, have), v in found.items() if n == name and set(labels.items()) <= have]
    assert len(values) <= 1, (name, labels, values)
    return values[0] if values else None
