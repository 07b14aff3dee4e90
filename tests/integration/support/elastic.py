# SPDX-License-Identifier: Apache-2.0
"""Elasticsearch: a real one's answers, and a receiver that answers as one does (OpenSearch, API keys, refusals)."""
import base64
import json
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request

from .brokers import PASSWORD, USER
from .receiver import Answer, Receiver
from .wait import wait_for

LOCAL = urllib.request.ProxyHandler({})


class Elastic:
    """What a test asks of a broker: curl in the guide."""

    def __init__(self, broker):
        self.broker = broker
        self.tls = bool(broker.settings.get("TLS"))
        self.auth = bool(broker.settings.get("AUTH"))

    @property
    def url(self):
        return f"{'https://localhost' if self.tls else 'http://127.0.0.1'}:{self.broker.port}"

    def __call__(self, method, path, body=None):
        """status, JSON"""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        handlers = [LOCAL]
        if self.auth:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
        if self.tls:
            context = ssl.create_default_context(cafile=self.broker.tls("ca.crt"))
            context.load_cert_chain(self.broker.tls("client.crt"), self.broker.tls("client.key"))
            handlers.append(urllib.request.HTTPSHandler(context=context))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=30) as reply:
                status, text = reply.status, reply.read()
        except urllib.error.HTTPError as e:
            with e:
                status, text = e.code, e.read()
        return status, json.loads(text) if text else None

    def search(self, index, size=1000):
        status, found = self("GET", f"/{index}/_search?size={size}&version=true") if self.refresh(index) else (404, None)
        return found["hits"]["hits"] if status == 200 else []

    def refresh(self, index):
        """Makes what was written visible to a search; False: the index is not there."""
        return self("POST", f"/{index}/_refresh")[0] == 200

    def count(self, index):
        return self("GET", f"/{index}/_count")[1]["count"] if self.refresh(index) else 0

    def records(self, index):
        return [Document(h) for h in self.search(index, 10000)]

    def mirror(self, index):
        """bucket/key -> record, all of them"""
        found = self.records(index)
        mirror = {d.key: d.record for d in found}
        assert len(mirror) == len(found), "two documents of one object"
        return mirror

    def wait_mirror(self, keys, index="events", deadline=30):
        wait_for(lambda: set(self.mirror(index)) == set(keys), deadline, f"the documents {sorted(keys)[:20]}")
        return self.mirror(index)

    def wait_count(self, n, index="events", deadline=30):
        wait_for(lambda: self.count(index) >= n, deadline, f"{n} documents")
        return self.records(index)


class Document:
    def __init__(self, hit):
        assert list(hit["_source"]) == ["Records"] and len(hit["_source"]["Records"]) == 1
        self.id, self.record = hit["_id"], hit["_source"]["Records"][0]
        thing = self.record["s3"]
        self.event, self.sequencer = self.record["eventName"], thing["object"]["sequencer"]
        self.key = f'{thing["bucket"]["name"]}/{urllib.parse.unquote_plus(thing["object"]["key"])}'


def elastic_env(where, target_id="1", **keys):
    """Environment of one target; where: an Elastic, or a URL."""
    keys = {"url": where if isinstance(where, str) else where.url, "index": "events", "format": "namespace", **keys}
    suffix = f"_{target_id}" if target_id else ""
    env = {f"MINIO_NOTIFY_ELASTICSEARCH_ENABLE{suffix}": "on"}
    env.update({f"MINIO_NOTIFY_ELASTICSEARCH_{k.upper()}{suffix}": str(v) for k, v in keys.items()})
    return env


class Stand(Receiver):
    """Answers as Elasticsearch does (without X-Elastic-Product, as OpenSearch; GET / is refused), and keeps documents. Other
    answers by `on_item(op, id, record)` -> None or (status, error type, reason), and `on_request(post)` -> None or what a
    Receiver's behave returns."""

    def __init__(self, **kwargs):
        super().__init__(self._behave, path="", **kwargs)
        self.documents, self.indices = {}, set()
        self.on_item, self.on_request = lambda op, name, record: None, lambda post: None
        self.state = threading.Lock()

    def _behave(self, post):
        special = self.on_request(post)
        if special is not None:
            return special
        method, path, _ = post.line.split(" ")
        index, _, rest = path.split("?")[0].lstrip("/").partition("/")
        if rest == "_bulk" and method == "POST":
            with self.state:
                return answer(200, {"took": 1, "errors": False, "items": list(self._bulk(post.body))})
        if method == "HEAD" and index and not rest:
            return answer(200 if index in self.indices else 404)
        if method == "PUT" and index and not rest:
            self.indices.add(index)
            return answer(200, {"acknowledged": True})
        return answer(405, {"error": f"no handler for {method} {path}", "status": 405})

    def _bulk(self, body):
        lines = iter(body.decode().splitlines())
        for line in lines:
            ((op, meta),) = json.loads(line).items()
            document = None if op == "delete" else json.loads(next(lines))
            refused = self.on_item(op, meta["_id"], document)
            yield {op: {"_index": "i", "_id": meta["_id"],
                        **(failure(*refused) if refused else self._write(op, meta, document))}}

    def _write(self, op, meta, document):
        name, version = meta["_id"], meta.get("version")
        known = self.documents.get(name)
        if known and (op == "create" or (version and known[0] > version)):
            return failure(409, "version_conflict_engine_exception", "version conflict")
        if op == "delete":
            self.documents.pop(name, None)
            return {"status": 200 if known else 404}
        self.documents[name] = (version or 1, document)
        return {"status": 200 if known else 201}


def failure(status, kind, reason):
    return {"status": status, "error": {"type": kind, "reason": reason}}


def answer(status, body=None, headers=()):
    return Answer(status, [("Content-Type", "application/json"), *headers], json.dumps(body).encode() if body else b"")
