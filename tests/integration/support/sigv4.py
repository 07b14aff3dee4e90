# SPDX-License-Identifier: Apache-2.0
"""A small AWS Signature Version 4 signer for requests the SDKs refuse to make.

Source: AWS "Authenticating Requests (AWS Signature Version 4)" and "Signature
calculations ... transferring payload in multiple chunks"."""
import hashlib
import hmac
import time
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def iso(when=None):
    """Basic ISO 8601 time, as in x-amz-date; seconds since the epoch or now."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() if when is None else when))


def encode(raw, safe=""):
    """Percent-encode as SigV4 wants it: only unreserved characters stay."""
    return quote(raw, safe="-_.~" + safe)


def canonical_uri(path):
    return encode(unquote_to_bytes(path), "/") or "/"


def canonical_query(query):
    """query: the raw text behind '?'; X-Amz-Signature is left out."""
    pairs = []
    for item in query.split("&") if query else []:
        name, _, value = item.partition("=")
        name = encode(unquote_to_bytes(name.replace("+", " ")))
        value = encode(unquote_to_bytes(value.replace("+", " ")))
        if name != "X-Amz-Signature":
            pairs.append((name, value))
    return "&".join(f"{n}={v}" for n, v in sorted(pairs))


def signing_key(secret, date, region, service="s3"):
    key = ("AWS4" + secret).encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def canonical_request(method, path, query, headers, signed, payload_hash):
    """headers: list of (name, value) as sent; signed: sorted lower-case names."""
    lines = []
    for name in signed:
        values = [" ".join(v.split()) for n, v in headers if n.lower() == name]
        lines.append(f"{name}:{','.join(values)}\n")
    return "\n".join([method, canonical_uri(path), canonical_query(query), "".join(lines), ";".join(signed),
                      payload_hash])


class Signer:
    """Signs for one credential. region '' would be sent as an empty scope part."""

    def __init__(self, access_key, secret_key, region="us-east-1", service="s3"):
        self.access_key, self.secret_key = access_key, secret_key
        self.region, self.service = region, service

    def scope(self, date):
        return f"{date[:8]}/{self.region}/{self.service}/aws4_request"

    def signature(self, date, text):
        to_sign = "\n".join([ALGORITHM, date, self.scope(date), hashlib.sha256(text.encode("latin-1")).hexdigest()])
        return self._hmac(date, to_sign)

    def _hmac(self, date, text):
        key = signing_key(self.secret_key, date[:8], self.region, self.service)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    def headers(self, method, target, headers, payload_hash, when=None, signed=None):
        """headers plus x-amz-date, x-amz-content-sha256 and Authorization, for a raw target."""
        path, _, query = target.partition("?")
        date = iso(when)
        out = [(n, v) for n, v in headers if n.lower() not in ("x-amz-date", "x-amz-content-sha256")]
        out += [("x-amz-date", date), ("x-amz-content-sha256", payload_hash)]
        names = sorted({n.lower() for n, _ in out}) if signed is None else sorted(signed)
        names = [n for n in names if n not in ("connection", "expect", "content-length", "transfer-encoding")]
        text = canonical_request(method, path, query, out, names, payload_hash)
        sig = self.signature(date, text)
        out.append(("Authorization", f"{ALGORITHM} Credential={self.access_key}/{self.scope(date)}, "
                                     f"SignedHeaders={';'.join(names)}, Signature={sig}"))
        return out

    def presign(self, method, target, host, expires=300, when=None, headers=(), extra=""):
        """A presigned target for the given raw target and Host."""
        path, _, query = target.partition("?")
        date = iso(when)
        allh = [("host", host)] + [(n.lower(), v) for n, v in headers]
        names = sorted(n for n, _ in allh)
        parts = [query] if query else []
        parts += [f"X-Amz-Algorithm={ALGORITHM}",
                  f"X-Amz-Credential={encode(self.access_key + '/' + self.scope(date))}",
                  f"X-Amz-Date={date}", f"X-Amz-Expires={expires}",
                  f"X-Amz-SignedHeaders={encode(';'.join(names))}"]
        query = "&".join(parts) + extra
        text = canonical_request(method, path, query, allh, names, UNSIGNED)
        return f"{path}?{query}&X-Amz-Signature={self.signature(date, text)}"

    def chunks(self, date, seed, pieces, trailer=None):
        """aws-chunked signed body: the pieces, the empty chunk, and a signed trailer (name, value)."""
        out, previous = [], seed
        for piece in list(pieces) + [b""]:
            text = "\n".join([ALGORITHM + "-PAYLOAD", date, self.scope(date), previous, EMPTY_SHA256,
                              hashlib.sha256(piece).hexdigest()])
            previous = self._hmac(date, text)
            out.append(b"%x;chunk-signature=%s\r\n" % (len(piece), previous.encode()))
            if piece:
                out.append(piece + b"\r\n")
        if trailer is None:
            out.append(b"\r\n")
        else:
            line = f"{trailer[0]}:{trailer[1]}\n"
            text = "\n".join([ALGORITHM + "-TRAILER", date, self.scope(date), previous,
                              hashlib.sha256(line.encode()).hexdigest()])
            out.append(f"{trailer[0]}:{trailer[1]}\r\nx-amz-trailer-signature:{self._hmac(date, text)}\r\n\r\n".encode())
        return b"".join(out)


def unsigned_chunks(pieces, trailer=None):
    """aws-chunked body without signatures, with one trailer line."""
    out = [b"%x\r\n%s\r\n" % (len(p), p) for p in pieces] + [b"0\r\n"]
    if trailer is not None:
        out.append(f"{trailer[0]}:{trailer[1]}\r\n".encode())
    return b"".join(out) + b"\r\n"
