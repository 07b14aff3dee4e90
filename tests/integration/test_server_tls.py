# SPDX-License-Identifier: Apache-2.0
"""The program's TLS: certificates by name, SIGHUP, and who speaks something else."""
import os
import signal
import socket
import ssl

import pytest
from support.ports import free_port
from support.server import fails
from support.wait import wait_for


@pytest.fixture
def tls_server(make_server, authority, tmp_path):
    certs = tmp_path / "certs"
    certs.mkdir()
    authority.issue("main", into=(certs / "public.crt", certs / "private.key"))
    (certs / "other").mkdir()
    authority.issue("other", ("DNS:other.test", "DNS:*.wild.test"), into=(certs / "other" / "public.crt",
                                                                         certs / "other" / "private.key"))
    server = make_server(scheme="https", tls=authority.client_context(), args=["--certs-dir", str(certs)]).start()
    server.certs = certs
    return server


def common_name(server, sni, authority):
    context = authority.client_context()
    context.check_hostname = False
    with socket.create_connection((server.host, server.port), timeout=10) as s:
        with context.wrap_socket(s, server_hostname=sni) as t:
            return dict(p[0] for p in t.getpeercert()["subject"])["commonName"]


@pytest.mark.sanitize
def test_tls_requests(tls_server, authority):
    s3 = tls_server.s3
    s3.make_bucket("tls")
    body = os.urandom(3_000_000)
    assert s3.put("tls", "k", body).status == 200
    assert s3.get("tls", "k").body == body
    assert "https://" in tls_server.log()
    client = tls_server.boto(verify=authority.cert)
    client.put_object(Bucket="tls", Key="boto", Body=b"by boto")
    assert client.get_object(Bucket="tls", Key="boto")["Body"].read() == b"by boto"


def test_tls_names(tls_server, authority):
    assert common_name(tls_server, "localhost", authority) == "main"
    assert common_name(tls_server, None, authority) == "main"
    assert common_name(tls_server, "other.test", authority) == "other"
    assert common_name(tls_server, "a.wild.test", authority) == "other"


@pytest.mark.sanitize
def test_sighup_reloads_certificates(tls_server, authority):
    held = tls_server.raw()
    authority.issue("renewed", into=(tls_server.certs / "public.crt", tls_server.certs / "private.key"))
    tls_server.signal(signal.SIGHUP)
    wait_for(lambda: common_name(tls_server, "localhost", authority) == "renewed", 10, "the new certificate")
    held.send(b"GET /minio/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert held.reply().status == 200, "a connection made before goes on"
    held.close()
    (tls_server.certs / "public.crt").write_text("rubbish")
    tls_server.signal(signal.SIGHUP)
    wait_for(lambda: "public.crt" in tls_server.log(), 10, "a complaint")
    assert common_name(tls_server, "localhost", authority) == "renewed", "a bad file leaves the old certificate in place"


def test_sighup_without_tls(make_server):
    server = make_server().start()
    server.signal(signal.SIGHUP)
    assert server.s3.request("GET", "/").status == 200
    assert server.alive()


def test_plain_http_on_a_tls_port(tls_server):
    with socket.create_connection((tls_server.host, tls_server.port), timeout=10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        s.settimeout(10)
        data = b""
        while chunk := s.recv(4096):
            data += chunk
        assert b"200 OK" not in data
    assert tls_server.s3.request("GET", "/").status == 200


def test_old_tls_is_refused(tls_server, authority):
    context = authority.client_context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    try:
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(OSError):
            with socket.create_connection((tls_server.host, tls_server.port), timeout=10) as s:
                context.wrap_socket(s, server_hostname="localhost").close()
    except ValueError:
        pytest.skip("this OpenSSL cannot speak TLS 1.1")


def test_bad_certificate_fails_the_start(tmp_path):
    certs = tmp_path / "certs"
    certs.mkdir()
    (certs / "public.crt").write_text("rubbish")
    (certs / "private.key").write_text("rubbish")
    fails("server", "--address", f"127.0.0.1:{free_port()}", "--certs-dir", certs, tmp_path / "d", mentions=["public.crt"])
