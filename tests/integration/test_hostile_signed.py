# SPDX-License-Identifier: Apache-2.0
"""Each signed part of a request changed alone, in every form of signature: refused, and nothing happens."""
import base64
import hashlib
import json
import os
import time
import zlib

import pytest
from support import sigv4
from support.ops import md5_header
from support.sigv4 import STREAMING, STREAMING_TRAILER, iso
from test_s3_post import form, policy_of, send, signed_v2, signed_v4
from test_s3_sigv2 import header as v2_header
from test_s3_sigv2 import presign as v2_presign

BODY = b"what was signed"
SECRET = b"a secret of another bucket"


class Request:
    """A request in parts, each of which can be changed."""

    def __init__(self, method, target, headers, body=b""):
        self.method, self.headers, self.body = method, list(headers), body
        self.path, _, query = target.partition("?")
        self.query = [tuple(p.split("=", 1)) if "=" in p else (p, None) for p in query.split("&")] if query else []

    def but(self, **parts):
        other = Request(self.method, self.path, self.headers, self.body)
        other.query = list(self.query)
        other.__dict__.update(parts)
        return other

    def bytes(self):
        query = "&".join(n if v is None else f"{n}={v}" for n, v in self.query)
        head = f"{self.method} {self.path}{'?' * bool(query)}{query} HTTP/1.1\r\n"
        head += "".join(f"{n}: {v}\r\n" for n, v in self.headers)
        if not any(n.lower() == "content-length" for n, _ in self.headers):
            head += f"Content-Length: {len(self.body)}\r\n"
        return (head + "\r\n").encode("latin-1") + self.body

    def send(self, server):
        with server.raw() as c:
            c.try_send(self.bytes())
            return c.reply(self.method)


def other(text):
    """The text with its middle character changed, of the same kind."""
    i = len(text) // 2
    kinds = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    kind = next((k for k in kinds if text[i] in k), kinds[1])
    return text[:i] + kind[(kind.index(text[i]) + 1) % len(kind) if text[i] in kind else 0] + text[i + 1:]


def each_char(text):
    for i, c in enumerate(text):
        yield text[:i] + ("1" if c != "1" else "2") + text[i + 1:]


def pairs_changed(pairs, skip=()):
    """(what, pairs) with one value changed, one left out, one twice, one renamed, one empty."""
    for i, (name, value) in enumerate(pairs):
        if name.lower() in skip:
            continue
        rest = pairs[:i], pairs[i + 1:]
        yield f"{name} changed", rest[0] + [(name, other(value or "x"))] + rest[1]
        yield f"{name} left out", rest[0] + rest[1]
        yield f"{name} twice", pairs + [(name, other(value or "x"))]
        if value:
            yield f"{name} empty", rest[0] + [(name, "")] + rest[1]


def path_changes(request):
    bucket = request.path.split("/")[1]
    yield "other key", request.but(path=request.path + "x")
    yield "slash behind the key", request.but(path=request.path + "/")
    yield "two slashes", request.but(path=request.path.replace(f"/{bucket}/", f"/{bucket}//"))
    if "%20" in request.path:
        yield "escape of an escape", request.but(path=request.path.replace("%20", "%2520"))
    yield "other bucket", request.but(path=request.path.replace(bucket, "elsewhere", 1))


def method_changes(request):
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        if method != request.method:
            yield f"method {method}", request.but(method=method)


@pytest.fixture(scope="module")
def place(server):
    s3 = server.s3
    s3.make_bucket("elsewhere")
    s3.make_bucket("signed")
    assert s3.put("elsewhere", "secret", SECRET).status == 200
    return s3


def all_refused(server, s3, good, changes, key="k k"):
    """None of the changes gets through or has an effect; the good one does, at the end."""
    wrong, n = [], 0
    for what, request in changes:
        n += 1
        reply = request.send(server)
        if reply.status not in (400, 403):
            wrong.append((what, reply.status))
    assert not wrong
    assert s3.head("signed", key).status == 404
    assert s3.get("elsewhere", "secret").body == SECRET
    reply = good.send(server)
    assert reply.status in (200, 204), reply
    s3.delete("signed", key)
    return n


# -- Signature Version 4 -----------------------------------------------------------------------------

def v4_put(s3, target="/signed/k%20k?x-id=PutObject&plain", body=BODY, extra=()):
    headers = [("Host", s3.host), ("Content-Type", "text/x"), ("x-amz-meta-a", "one two"), ("x-amz-tagging", "a=1"),
               ("x-amz-storage-class", "STANDARD"), *md5_header(body).items(), *extra]
    return Request("PUT", target, s3.signer.headers("PUT", target, headers, hashlib.sha256(body).hexdigest()), body)


def authorization_changes(request):
    """Each part of the Authorization header on its own."""
    at = next(i for i, (n, _) in enumerate(request.headers) if n == "Authorization")
    value = request.headers[at][1]
    credential, signed, signature = (value.split(f"{n}=", 1)[1].split(",")[0] for n in
                                     ("Credential", "SignedHeaders", "Signature"))
    names = signed.split(";")

    def but(old, new):
        return request.but(headers=request.headers[:at] + [("Authorization", value.replace(old, new))])

    key, date, region, service, end = credential.split("/")
    for i, part in enumerate((key, date, region, service, end)):
        parts = [key, date, region, service, end]
        parts[i] = other(part)
        yield f"scope part {part}", but(credential, "/".join(parts))
        parts[i] = ""
        yield f"scope part {part} empty", but(credential, "/".join(parts))
    for name in names:
        yield f"{name} not among the signed", but(signed, ";".join(n for n in names if n != name))
    # another order or case of the names is the same set of names, and taken (MinIO does, too)
    for i, s in enumerate(each_char(signature)):
        yield f"signature character {i}", but(signature, s)
    yield "signature short", but(signature, signature[:-1])
    yield "signature long", but(signature, signature + "0")
    yield "signature in capitals", but(signature, signature.upper())
    yield "signature empty", but(signature, "")
    yield "algorithm", but("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1")


@pytest.mark.sanitize
def test_v4_header(server, place):
    good = v4_put(place)
    changes = [*method_changes(good), *path_changes(good), *authorization_changes(good)]
    changes += [(w, good.but(query=q)) for w, q in pairs_changed(good.query)]
    changes += [("query added", good.but(query=good.query + [("a", "1")])), ("query gone", good.but(query=[]))]
    # connection-level fields are not signed; each other header is, its absence and its double too
    changes += [(w, good.but(headers=h)) for w, h in pairs_changed(good.headers, skip=("authorization",))]
    changes += [("payload changed", good.but(body=other(BODY.decode()).encode())), ("payload cut", good.but(body=BODY[:-1])),
                ("payload longer", good.but(body=BODY + b"!")), ("payload gone", good.but(body=b""))]
    changes += [("metadata added", good.but(headers=good.headers + [("x-amz-meta-b", "1")])),
                ("condition of AWS added", good.but(headers=good.headers + [("x-amz-copy-source", "/elsewhere/secret")]))]
    assert all_refused(server, place, good, changes) > 130


@pytest.mark.sanitize
def test_truncated_body(server, place):
    """What came of a body that was announced longer is not stored, whatever the end of the connection looks like."""
    good = v4_put(place, target="/signed/cut", body=os.urandom(100_000))
    whole = good.bytes()
    for cut in (1, 1000, 99_999, 100_000):
        with server.raw() as c:
            c.send(whole[:-cut])
            c.sock.shutdown(1)
            try:
                assert c.reply().status in (400, 403)
            except Exception as e:                  # noqa: BLE001 - closing without a reply is right too
                assert type(e).__name__ == "ConnectionEnded", e
    assert place.head("signed", "cut").status == 404


def presigned(s3, method, target, headers=(), body=b""):
    target = s3.signer.presign(method, target, s3.host, headers=headers)
    return Request(method, target, [("Host", s3.host), *headers], body)


@pytest.mark.sanitize
def test_v4_presigned(server, place):
    good = presigned(place, "PUT", "/signed/k%20k?x-id=PutObject&empty=", [("x-amz-meta-a", "1"), ("Content-Type", "a/b")],
                     BODY)
    changes = [*method_changes(good), *path_changes(good)]
    changes += [(w, good.but(query=q)) for w, q in pairs_changed(good.query)]
    changes += [(w, good.but(headers=h)) for w, h in pairs_changed(good.headers)]
    changes += [("longer lived", good.but(query=[(n, "3000" if n == "X-Amz-Expires" else v) for n, v in good.query])),
                ("metadata added", good.but(headers=good.headers + [("x-amz-meta-b", "1")])),
                ("copied from elsewhere", good.but(headers=good.headers + [("x-amz-copy-source", "/elsewhere/secret")])),
                ("upload begun", good.but(query=good.query + [("uploads", None)], method="POST"))]
    signature = dict(good.query)["X-Amz-Signature"]
    changes += [(f"signature character {i}", good.but(query=[(n, s if n == "X-Amz-Signature" else v) for n, v in good.query]))
                for i, s in enumerate(each_char(signature))]
    assert all_refused(server, place, good, changes) > 110


def test_a_presigned_address_is_for_one_thing(server, place):
    """A GET's address does not put, list or delete, and not another key, version or response."""
    assert place.put("signed", "shown", b"shown").status == 200
    good = presigned(place, "GET", "/signed/shown")
    assert good.send(server).body == b"shown"
    for what, request in [*method_changes(good), *path_changes(good),
                          ("the bucket", good.but(path="/signed")), ("all buckets", good.but(path="/")),
                          ("its tags", good.but(query=good.query + [("tagging", None)])),
                          ("another type", good.but(query=good.query + [("response-content-type", "text/html")])),
                          ("a version", good.but(query=good.query + [("versionId", "null")])),
                          ("by the administration", good.but(path="/minio/admin/v3/info"))]:
        reply = request.send(server)
        assert reply.status in (400, 403), (what, reply)
    assert place.get("signed", "shown").body == b"shown"


# -- Signature Version 2 -----------------------------------------------------------------------------

@pytest.mark.sanitize
def test_v2_header(server, place):
    target = "/signed/k%20k?response-content-type=a/b"
    signed = v2_header(server, "PUT", target, [("Content-Type", "a/b"), ("x-amz-meta-a", "1"), *md5_header(BODY).items()])
    good = Request("PUT", "/signed/k%20k?response-content-type=a%2Fb", [("Host", place.host), *signed], BODY)
    changes = [*method_changes(good), *path_changes(good)]
    changes += [(w, good.but(query=q)) for w, q in pairs_changed(good.query)]
    changes += [(w, good.but(headers=h)) for w, h in pairs_changed(good.headers, skip=("host", "authorization"))]
    changes += [("sub-resource added", good.but(query=good.query + [("tagging", None)])),
                ("upload added", good.but(query=good.query + [("uploadId", "x"), ("partNumber", "1")])),
                ("payload changed", good.but(body=b"!" + BODY[1:])),
                ("metadata added", good.but(headers=good.headers + [("x-amz-meta-b", "1")]))]
    value = dict(good.headers)["Authorization"]
    scheme, signature = value.rsplit(":", 1)
    rest = [h for h in good.headers if h[0] != "Authorization"]
    texts = [f"{scheme}:{s}" for s in each_char(signature[:-2])] + [scheme + ":", scheme, other(scheme) + ":" + signature]
    changes += [(t, good.but(headers=rest + [("Authorization", t)])) for t in texts]
    assert all_refused(server, place, good, changes) > 40


@pytest.mark.sanitize
def test_v2_presigned(server, place):
    target = v2_presign(server, "PUT", "/signed/k%20k")
    good = Request("PUT", target, [("Host", place.host)], BODY)
    changes = [*method_changes(good), *path_changes(good)]
    changes += [(w, good.but(query=q)) for w, q in pairs_changed(good.query)]
    changes += [("longer lived", good.but(query=[(n, str(int(v) + 9) if n == "Expires" else v) for n, v in good.query])),
                ("type added", good.but(headers=good.headers + [("Content-Type", "a/b")])),
                ("metadata added", good.but(headers=good.headers + [("x-amz-meta-b", "1")])),
                ("sub-resource", good.but(query=[("tagging", None)] + good.query))]
    all_refused(server, place, good, changes)


# -- forms ----------------------------------------------------------------------------------------

@pytest.mark.sanitize
@pytest.mark.parametrize("sign", [signed_v4, signed_v2])
def test_form(server, place, sign):
    """Each field alone: those of the signature, and those that the policy ties down."""
    policy = policy_of("signed", ["eq", "$Content-Type", "text/x"], ["starts-with", "$x-amz-meta-a", "one"],
                       ["eq", "$x-amz-storage-class", "STANDARD"], ["content-length-range", 1, 20])
    policy["conditions"] = [["eq", "$key", "form"] if c[:2] == ["starts-with", "$key"] else c
                            for c in map(lambda c: c if isinstance(c, list) else [c], policy["conditions"])]
    policy["conditions"] = [c[0] if isinstance(c[0], dict) else c for c in policy["conditions"]]
    fields = {"key": "form", "Content-Type": "text/x", "x-amz-meta-a": "one more", "x-amz-storage-class": "STANDARD",
              **sign(server, policy)}
    wrong = []

    def refuse(what, f, data=b"hello", bucket="signed"):
        reply = send(server, bucket, form(f, data))
        if reply.status not in (400, 403):
            wrong.append((what, reply.status))

    for name, value in fields.items():
        refuse(f"{name} left out", {n: v for n, v in fields.items() if n != name})
        changed = "two" + value[3:] if name == "x-amz-meta-a" else other(value)
        refuse(f"{name} changed", dict(fields, **{name: changed}))
        refuse(f"{name} empty", dict(fields, **{name: ""}))
    signature = "x-amz-signature" if sign is signed_v4 else "signature"
    for text in each_char(fields[signature].rstrip("=")[:-1]):
        refuse("signature", dict(fields, **{signature: text}))
    longer = json.loads(base64.b64decode(fields["policy"]))
    longer["expiration"] = "2099-01-01T00:00:00Z"
    refuse("a policy that lives longer", dict(fields, policy=base64.b64encode(json.dumps(longer).encode()).decode()))
    refuse("a field more", dict(fields, **{"x-amz-meta-b": "1"}))
    refuse("tags", dict(fields, tagging="<Tagging/>"))
    refuse("a status page", dict(fields, success_action_redirect="http://evil"))
    refuse("too much", fields, b"x" * 21)
    refuse("too little", fields, b"")
    refuse("another bucket", fields, bucket="elsewhere")
    assert not wrong
    assert place.head("signed", "form").status == 404
    assert send(server, "signed", form(fields)).status == 204
    place.delete("signed", "form")


# -- chunks ----------------------------------------------------------------------------------------

TRAILER = "x-amz-checksum-crc32"


def streaming(server, s3, spoil, trailer):
    """A signed upload of three chunks of one size; spoil changes [(head, data)...], which are then sent."""
    data = [b"a" * 8192, b"b" * 8192, b"c" * 8192]
    crc = base64.b64encode(zlib.crc32(b"".join(data)).to_bytes(4, "big")).decode()
    headers = [("Host", s3.host), ("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", "24576")]
    headers += [("x-amz-trailer", TRAILER)] if trailer else []
    when = time.time()
    signed = s3.signer.headers("PUT", "/signed/chunks", headers, STREAMING_TRAILER if trailer else STREAMING, when)
    seed = dict(signed)["Authorization"].rsplit("Signature=", 1)[1]
    body = s3.signer.chunks(iso(when), seed, data, (TRAILER, crc) if trailer else None)
    pieces = []
    for d in data:
        head, _, body = body.partition(b"\r\n")
        pieces.append([head, d])
        body = body[len(d) + 2:]
    pieces.append([body, None])                                 # the last chunk, and the trailer
    spoil(pieces)
    sent = b"".join(h if d is None else h + b"\r\n" + d + b"\r\n" for h, d in pieces)
    return Request("PUT", "/signed/chunks", signed, sent).send(server)


def flip(head):
    return head[:-1] + (b"0" if head[-1:] != b"0" else b"1")


def resplit(pieces):
    """The same bytes in the same order, cut elsewhere."""
    pieces[0][1], pieces[1][1] = pieces[0][1] + pieces[1][1][:1], pieces[1][1][1:]
    pieces[0][0] = b"2001" + pieces[0][0][4:]
    pieces[1][0] = b"1fff" + pieces[1][0][4:]


def change(i, part, by):
    def spoil(pieces):
        pieces[i][part] = by(pieces[i][part])
    return spoil


CHUNKS = {
    **{f"signature-of-{i}": change(i, 0, flip) for i in range(3)},
    **{f"data-of-{i}": change(i, 1, lambda d: d[:-1] + b"!") for i in range(3)},
    "signature-of-last": change(3, 0, lambda h: h.replace(b"chunk-signature=", b"chunk-signature=0", 1)[:-1]),
    "order": lambda p: p.insert(0, p.pop(1)),
    "replayed": lambda p: p.__setitem__(1, list(p[0])),
    "replayed-behind": lambda p: p.insert(1, list(p[0])),
    "one-missing": lambda p: p.pop(1),
    "first-missing": lambda p: p.pop(0),
    "last-missing": lambda p: p.pop(3),
    "last-first": lambda p: p.insert(0, [p[3][0], None]),
    "cut-elsewhere": resplit,
    "signatures-swapped": lambda p: p.__setitem__(slice(0, 2), [[p[1][0], p[0][1]], [p[0][0], p[1][1]]]),
    "empty-in-the-middle": lambda p: p.insert(1, [b"0;chunk-signature=" + b"0" * 64, b""]),
    "unsigned-chunk": change(1, 0, lambda h: h.split(b";")[0]),
    "other-size": change(1, 0, lambda h: b"1fff" + h[4:]),
}
TRAILERS = {
    "trailer-value": change(3, 0, lambda t: t.replace(TRAILER.encode() + b":", TRAILER.encode() + b":AAAA", 1)),
    "trailer-name": change(3, 0, lambda t: t.replace(b"crc32:", b"crc32c:", 1)),
    "trailer-signature": change(3, 0, lambda t: t.replace(b"trailer-signature:", b"trailer-signature:0", 1)),
    "trailer-without-signature": change(3, 0, lambda t: t.split(b"x-amz-trailer-signature")[0] + b"\r\n"),
    "trailer-missing": change(3, 0, lambda t: t.split(b"\r\n")[0] + b"\r\n\r\n"),
    "trailer-added": change(3, 0, lambda t: t.replace(b"x-amz-trailer-signature", b"x-amz-meta-evil:1\r\n"
                                                                                b"x-amz-trailer-signature", 1)),
}


@pytest.mark.sanitize
@pytest.mark.parametrize("trailer", [False, True], ids=["plain", "trailer"])
def test_chunks(server, place, trailer):
    wrong = []
    for what, spoil in {**CHUNKS, **(TRAILERS if trailer else {})}.items():
        reply = streaming(server, place, spoil, trailer)
        if reply.status not in (400, 403):
            wrong.append((what, reply))
    assert not wrong
    assert place.head("signed", "chunks").status == 404
    assert streaming(server, place, lambda p: None, trailer).status == 200
    assert place.get("signed", "chunks").body == b"a" * 8192 + b"b" * 8192 + b"c" * 8192
    place.delete("signed", "chunks")


# -- names ---------------------------------------------------------------------------------------------

# Raw paths, validly signed: none of them is the object of another bucket, a file, or part of the server.
PATHS = ["/signed/../elsewhere/secret", "/signed/%2e%2e/elsewhere/secret", "/signed/.%2e/elsewhere/secret",
         "/signed/%2E%2E%2Felsewhere%2Fsecret", "/signed/..%2felsewhere/secret", "/signed/a/../../elsewhere/secret",
         "/signed//../elsewhere/secret", "/signed/./../elsewhere/secret", "/signed/%252e%252e/elsewhere/secret",
         "/signed/..%5celsewhere%5csecret", "/signed/..%c0%afelsewhere/secret", "/signed/%c0%ae%c0%ae/elsewhere/secret",
         "/signed/%e0%80%ae%e0%80%ae/elsewhere/secret", "/signed%2f..%2felsewhere/secret", "/signed%00/secret",
         "/elsewhere%00x/secret", "/signed/secret%00", "/signed/%00/../../elsewhere/secret", "/./elsewhere/../signed/secret",
         "//elsewhere/secret", "/%2felsewhere/secret", "/..;/elsewhere/secret", "/signed/..;/elsewhere/secret",
         "/signed/%ff%fe", "/signed/%ed%a0%80", "/../etc/passwd", "/signed/../../../../etc/passwd", "/%2e%2e/kv/CURRENT",
         "/signed/.%00./x", "/signed/..", "/signed/.", "/signed/%2e", "/elsewhere/../signed/x", "/.minio.sys/config",
         "/minio/../elsewhere/secret"]


@pytest.mark.sanitize
@pytest.mark.parametrize("path", PATHS)
def test_paths(server, place, path):
    before = sorted(os.listdir(os.path.dirname(server.directory)))
    for method, body in (("GET", b""), ("PUT", b"over it"), ("DELETE", b""), ("GET", b"")):
        reply = place.request(method, path, body=body)
        assert reply.status < 500 and SECRET not in reply.body and b"root:" not in reply.body, reply
        assert place.get("elsewhere", "secret").body == SECRET, method
    keys = [k.text for k in place.request("GET", "/elsewhere?list-type=2").xml.iter("Key")]
    assert keys == ["secret"]
    assert sorted(os.listdir(os.path.dirname(server.directory))) == before


def test_host_and_path_name_one_bucket(make_server):
    """A bucket in the host: what was signed for one host, or for a path, is good for no other."""
    server = make_server(env={"MINIO_DOMAIN": "s3.test"}).start()
    s3 = server.s3
    for name in ("one", "two"):
        s3.make_bucket(name)
        assert s3.put(name, "k", name.encode()).status == 200
        assert s3.put(name, "two/k", b"nested in " + name.encode()).status == 200

    def get(path, host, signed_path=None, signed_host=None):
        headers = s3.signer.headers("GET", signed_path or path, [("Host", signed_host or host)], sigv4.EMPTY_SHA256)
        return Request("GET", path, [("Host", host)] + headers[1:]).send(server)

    assert get("/k", "one.s3.test").body == b"one"
    assert get("/two/k", "one.s3.test").body == b"nested in one"
    assert get("/one/k", "s3.test").body == b"one"
    for reply in (get("/k", "two.s3.test", signed_host="one.s3.test"),
                  get("/two/k", "s3.test", signed_host="one.s3.test"),
                  get("/two/k", "one.s3.test", signed_host="s3.test"),
                  get("/k", "one.s3.test", signed_path="/one/k", signed_host="s3.test"),
                  get("/one/k", "s3.test", signed_path="/k", signed_host="one.s3.test")):
        assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch"), reply
    for host in ("one.s3.test.evil", "xs3.test", "one.two.s3.test", ".s3.test", "..s3.test", "one.s3.test."):
        assert get("/k", host).status in (400, 403, 404), host
    assert s3.get("two", "k").body == b"two"
