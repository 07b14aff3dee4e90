# SPDX-License-Identifier: Apache-2.0
"""What a web page of another origin is told."""
import pytest

ORIGIN = "http://example.org"


def options(server, target="/b/k", **headers):
    with server.raw() as c:
        lines = "".join(f"{n.replace('_', '-')}: {v}\r\n" for n, v in headers.items())
        c.send(f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        return c.reply("OPTIONS")


def access(reply):
    return {n.lower(): v for n, v in reply.headers if n.lower().startswith("access-control-")}


def test_preflight(server):
    reply = options(server, Origin=ORIGIN, Access_Control_Request_Method="PUT",
                    Access_Control_Request_Headers="content-type, x-amz-date")
    assert reply.status == 204
    found = access(reply)
    found.pop("access-control-expose-headers", None)
    assert found == {"access-control-allow-origin": ORIGIN, "access-control-allow-credentials": "true",
                     "access-control-allow-methods": "PUT", "access-control-allow-headers": "content-type, x-amz-date"}
    vary = ", ".join(v for n, v in reply.headers if n.lower() == "vary").lower()
    for name in ("origin", "access-control-request-method", "access-control-request-headers"):
        assert name in vary
    assert reply.get("x-amz-request-id")


def test_options_that_ask_for_little(server):
    reply = options(server, Origin=ORIGIN)
    assert reply.status == 200 and reply.body == b"" and reply.get("access-control-allow-methods") is None
    reply = options(server, Origin=ORIGIN, Access_Control_Request_Method="FROBNICATE")
    assert reply.status == 204 and reply.get("access-control-allow-methods") is None
    reply = options(server, Access_Control_Request_Method="PUT")
    assert reply.status == 204 and access(reply) == {}


def test_every_reply_carries_it(server, s3, bucket):
    """Successes, errors, what is not signed, what is not S3: a page can read the status of each."""
    assert s3.put(bucket, "k", b"x").status == 200
    with server.raw() as c:
        c.send(f"GET /{bucket}/k HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\n\r\n".encode())
        unsigned = c.reply()
    with server.raw() as c:
        c.send(f"GET /minio/health/live HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\n\r\n".encode())
        health = c.reply()
    with server.raw() as c:
        c.send(f"PUT /{bucket}/k HTTP/1.1\r\nHost: x\r\nOrigin: {ORIGIN}\r\nExpect: nonsense\r\nContent-Length: 1\r\n\r\n".encode())
        protocol = c.reply()
    replies = [(s3.get(bucket, "k", {"Origin": ORIGIN}), 200), (s3.get(bucket, "nope", {"Origin": ORIGIN}), 404),
               (s3.get(bucket, "k", {"Origin": ORIGIN, "If-None-Match": "*"}), 304),
               (s3.request("GET", f"/{bucket}", {"Origin": ORIGIN}), 200), (unsigned, 403), (health, 200), (protocol, 417)]
    for reply, status in replies:
        assert reply.status == status, reply
        assert reply.get("access-control-allow-origin") == ORIGIN, reply
        assert reply.get("access-control-allow-credentials") == "true"
        exposed = reply.get("access-control-expose-headers").lower()
        assert "etag" in exposed and "*" in exposed
        assert "origin" in reply.get("vary").lower()


def test_no_origin_no_headers(s3, bucket):
    assert access(s3.request("GET", f"/{bucket}")) == {}


@pytest.mark.parametrize("listed,origin,allowed", [
    ("http://a.test", "http://a.test", True), ("http://a.test", "http://b.test", False),
    ("https://*.a.test,http://b.test", "https://x.a.test", True), ("https://*.a.test,http://b.test", "http://x.a.test", False)])
def test_the_variable(make_server, listed, origin, allowed):
    server = make_server(env={"MINIO_API_CORS_ALLOW_ORIGIN": listed}).start()
    reply = server.s3.request("GET", "/", {"Origin": origin})
    assert reply.status == 200 and (reply.get("access-control-allow-origin") == origin) == allowed
    reply = options(server, Origin=origin, Access_Control_Request_Method="GET")
    assert reply.status == 204 and (reply.get("access-control-allow-methods") == "GET") == allowed
    assert "is not read" not in server.log()


def test_a_strange_origin_breaks_no_reply(server, s3, bucket):
    for origin in ("x" * 5000, "http://a\tb", "\xfc"):
        reply = s3.request("GET", f"/{bucket}", {"Origin": origin})
        assert reply.status == 200 and access(reply) == {} and reply.get("x-amz-request-id")
