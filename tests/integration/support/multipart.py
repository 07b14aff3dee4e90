# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads by raw requests: every step alone, and what the answers say."""
import hashlib
import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from support.s3raw import key_path

NS = "{http://s3.amazonaws.com/doc/2006-03-01/}"
MIB = 1 << 20


def etag_of(bodies):
    return hashlib.md5(b"".join(hashlib.md5(b).digest() for b in bodies)).hexdigest() + f"-{len(bodies)}"


def document(parts):
    """parts: (number, etag[, {element: text}]) each."""
    out = b"<CompleteMultipartUpload>"
    for number, etag, *more in parts:
        out += f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag>".encode()
        for name, text in (more[0] if more else {}).items():
            out += f"<{name}>{text}</{name}>".encode()
        out += b"</Part>"
    return out + b"</CompleteMultipartUpload>"


class Upload:
    """One upload of one key."""

    def __init__(self, s3, bucket, key, headers=()):
        self.s3, self.bucket, self.key = s3, bucket, key
        self.created = s3.request("POST", key_path(bucket, key) + "?uploads=", headers)
        found = re.search(rb"<UploadId>([^<]+)</UploadId>", self.created.body)
        self.id = found.group(1).decode() if found else None
        self.etags = {}

    def path(self, query=""):
        return f"{key_path(self.bucket, self.key)}?{query}uploadId={self.id}"

    def put(self, number, body, headers=(), **kwargs):
        reply = self.s3.request("PUT", self.path(f"partNumber={number}&"), headers, body, **kwargs)
        if reply.status == 200:
            self.etags[number] = reply.get("etag")
        return reply

    def copy(self, number, source, source_range=None, headers=()):
        headers = [("x-amz-copy-source", source), *headers]
        if source_range:
            headers.append(("x-amz-copy-source-range", source_range))
        reply = self.s3.request("PUT", self.path(f"partNumber={number}&"), headers)
        if reply.status == 200:
            self.etags[number] = ElementTree.fromstring(reply.body).findtext(NS + "ETag")
        return reply

    def complete(self, parts=None, headers=()):
        return self.s3.request("POST", self.path(), headers, document(parts or sorted(self.etags.items())))

    def abort(self):
        return self.s3.request("DELETE", self.path())

    def list(self, query=""):
        return self.s3.request("GET", self.path(query))
