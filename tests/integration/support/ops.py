# SPDX-License-Identifier: Apache-2.0
"""Requests that several test modules make."""
import base64
import hashlib
import xml.sax.saxutils
import zlib

from .s3raw import NS
from .sigv4 import UNSIGNED


def delete_body(keys, quiet=None, ns=True):
    objects = "".join(f"<Object><Key>{xml.sax.saxutils.escape(k)}</Key></Object>" for k in keys)
    quiet = "" if quiet is None else f"<Quiet>{str(quiet).lower()}</Quiet>"
    space = f' xmlns="{NS}"' if ns else ""
    return f"<Delete{space}>{quiet}{objects}</Delete>".encode()


def md5_header(body):
    return {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}


def crc_header(body):
    return {"x-amz-checksum-crc32": base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode(),
            "x-amz-sdk-checksum-algorithm": "CRC32"}


def delete_many(s3, bucket, body, headers=None, **kwargs):
    return s3.request("POST", f"/{bucket}?delete", md5_header(body) if headers is None else headers, body, **kwargs)


def put_head(s3, bucket, key, headers, payload_hash=UNSIGNED):
    """Head of a signed PUT without a Content-Length of its own."""
    return s3.build("PUT", f"/{bucket}/{key}", headers, payload_hash=payload_hash, length=False)
