# SPDX-License-Identifier: Apache-2.0
"""What is measured by whole tasks instead of single requests: listing a bucket, uploading in parts. Signed (SigV4) over
kept-alive connections. What the client itself needs is the same for every server and small beside them."""
import concurrent.futures
import hashlib
import hmac
import http.client
import re
import threading
import time
import urllib.parse

from servers import BUCKET, PASSWORD, USER, Failed

PART = 8 << 20
STREAMS = 4
EMPTY = hashlib.sha256(b'').hexdigest()


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Client:
    """One connection to one server."""

    def __init__(self, server):
        self.server, self.host = server, f'127.0.0.1:{server.port}'
        self.connection = http.client.HTTPConnection('127.0.0.1', server.port, timeout=120)

    def close(self):
        self.connection.close()

    def request(self, method, path, query=(), body=b'', payload=None):
        """Status, headers and body. payload: the body's SHA-256 where it is known."""
        payload = payload or (hashlib.sha256(body).hexdigest() if body else EMPTY)
        text = '&'.join(f'{urllib.parse.quote(k, "")}={urllib.parse.quote(v, "")}' for k, v in sorted(query))
        date = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
        scope = f'{date[:8]}/us-east-1/s3/aws4_request'
        canonical = (f'{method}\n{path}\n{text}\nhost:{self.host}\nx-amz-content-sha256:{payload}\nx-amz-date:{date}\n\n'
                     f'host;x-amz-content-sha256;x-amz-date\n{payload}')
        key = ('AWS4' + PASSWORD).encode()
        for word in scope.split('/'):
            key = _hmac(key, word)
        signed = f'AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
        headers = {'Host': self.host, 'x-amz-content-sha256': payload, 'x-amz-date': date, 'Authorization': (
            f'AWS4-HMAC-SHA256 Credential={USER}/{scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, '
            f'Signature={_hmac(key, signed).hex()}')}
        self.connection.request(method, path + ('?' + text if text else ''), body, headers)
        reply = self.connection.getresponse()
        return reply.status, reply.headers, reply.read()

    def must(self, *args, **kwargs):
        status, headers, body = self.request(*args, **kwargs)
        if status not in (200, 204):
            raise Failed(f'{self.server.kind}: {args[0]} {args[1]}: {status} {body[:300]!r}')
        return headers, body


def list_all(server, keys):
    """Lists the whole bucket by 1,000 (ListObjectsV2); keys per second."""
    client, found, token = Client(server), 0, None
    begin = time.monotonic()
    while True:
        query = [('list-type', '2'), ('max-keys', '1000')] + ([('continuation-token', token)] if token else [])
        _, body = client.must('GET', f'/{BUCKET}', query)
        found += body.count(b'<Key>')
        more = re.search(rb'<NextContinuationToken>(.*?)</NextContinuationToken>', body)
        if not more:
            break
        token = more[1].decode().replace('&#34;', '"').replace('&amp;', '&')
    seconds = time.monotonic() - begin
    client.close()
    if found != keys:
        raise Failed(f'{server.kind} lists {found} keys of {keys}')
    return keys / seconds


class Uploader:
    """Uploads of one body in parts, a few parts at a time."""

    def __init__(self, server, size):
        self.server, self.local = server, threading.local()
        block = hashlib.sha256(b'part').digest() * (PART // 32)
        self.parts = [bytes([n & 255]) + block[1:] for n in range(max(1, size // PART))]
        self.hashes = [hashlib.sha256(p).hexdigest() for p in self.parts]
        self.clients = []

    def client(self):
        if not hasattr(self.local, 'client'):
            self.local.client = Client(self.server)
            self.clients.append(self.local.client)
        return self.local.client

    def part(self, path, upload, n):
        headers, _ = self.client().must('PUT', path, [('partNumber', str(n + 1)), ('uploadId', upload)], self.parts[n],
                                        self.hashes[n])
        return f'<Part><PartNumber>{n + 1}</PartNumber><ETag>{headers["ETag"]}</ETag></Part>'

    def one(self, pool, key):
        """Seconds for one upload; None where the server has none."""
        path = f'/{BUCKET}/{key}'
        begin = time.monotonic()
        status, _, body = self.client().request('POST', path, [('uploads', '')])
        if status == 501:
            return None
        upload = re.search(rb'<UploadId>(.*?)</UploadId>', body)
        if status != 200 or not upload:
            raise Failed(f'{self.server.kind}: no upload: {status} {body[:300]!r}')
        upload = upload[1].decode()
        done = list(pool.map(lambda n: self.part(path, upload, n), range(len(self.parts))))
        xml = f'<CompleteMultipartUpload>{"".join(done)}</CompleteMultipartUpload>'.encode()
        _, body = self.client().must('POST', path, [('uploadId', upload)], xml)
        if b'<ETag>' not in body:
            raise Failed(f'{self.server.kind}: the upload is not completed: {body[:300]!r}')
        return time.monotonic() - begin

    def run(self, times):
        """MiB per second of each upload; empty where the server has none."""
        with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
            seconds = [self.one(pool, f'upload-{i}') for i in range(times)]
        for client in self.clients:
            client.close()
        return [len(self.parts) * PART / (1 << 20) / s for s in seconds if s is not None]
