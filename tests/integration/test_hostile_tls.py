# SPDX-License-Identifier: Apache-2.0
"""TLS: what the server refuses from clients, and what webhook targets refuse from receivers."""
import os
import socket
import ssl
import struct
import subprocess

import pytest
from support.receiver import Receiver, webhook_env
from support.s3raw import arn, rule
from support.server import Server
from support.wait import SCALE, wait_for

ALERT, HANDSHAKE = 21, 22
# OpenSSL's own minimum, which Debian sets for the whole system, must not be what protects anybody.
LAX = """openssl_conf = d
[d]
ssl_conf = s
[s]
system_default = l
[l]
MinProtocol = TLSv1
CipherString = ALL:@SECLEVEL=0
"""


@pytest.fixture(scope="module")
def lax(tmp_path_factory):
    path = tmp_path_factory.mktemp("lax") / "openssl.cnf"
    path.write_text(LAX)
    return {"OPENSSL_CONF": str(path)}


@pytest.fixture(scope="module")
def tls_server(module_dir, authority, lax):
    certs = module_dir / "certs"
    (certs / "other").mkdir(parents=True)
    authority.issue("main", into=(certs / "public.crt", certs / "private.key"))
    authority.issue("other", ("DNS:other.test",), into=(certs / "other" / "public.crt", certs / "other" / "private.key"))
    server = Server(module_dir / "tls", scheme="https", tls=authority.client_context(), env=lax,
                    args=["--certs-dir", str(certs)]).start()
    yield server
    server.stop()


def extension(kind, data):
    return struct.pack("!HH", kind, len(data)) + data


def client_hello(version=0x0303, suites=(0xC02B,), names=(b"localhost",), extra=b"", alpn=None):
    """A ClientHello record without supported_versions: `version` is the highest that the client has."""
    exts = extension(10, struct.pack("!HH", 2, 23)) + extension(11, b"\x01\x00")        # P-256, uncompressed points
    exts += extension(13, struct.pack("!HHHH", 6, 0x0403, 0x0804, 0x0401))
    if names is not None:
        entries = b"".join(b"\0" + struct.pack("!H", len(n)) + n for n in names)
        exts += extension(0, struct.pack("!H", len(entries)) + entries)
    if alpn:
        exts += extension(16, struct.pack("!HB", len(alpn) + 1, len(alpn)) + alpn)
    exts += extra
    body = struct.pack("!H", version) + os.urandom(32) + b"\0" + struct.pack("!H", 2 * len(suites))
    body += b"".join(struct.pack("!H", s) for s in suites) + b"\x01\0" + struct.pack("!H", len(exts)) + exts
    hello = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return struct.pack("!BHH", HANDSHAKE, min(version, 0x0301), len(hello)) + hello


def first_record(server, data, timeout=8):
    """(type, body) of the server's first record; None when it closed without one."""
    with socket.create_connection((server.host, server.port), timeout=timeout * SCALE) as s:
        got = b""
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            while len(got) < 5 or len(got) < 5 + struct.unpack("!H", got[3:5])[0]:
                piece = s.recv(65536)
                if not piece:
                    break
                got += piece
        except OSError:                 # it refused and closed before all was sent
            pass
    return (got[0], got[5:]) if len(got) > 5 else None


def serves(server):
    assert server.s3.request("GET", "/").status == 200


def refused_with(server, hello, *descriptions):
    record = first_record(server, hello)
    assert record is not None and record[0] == ALERT and record[1][:2] in [bytes([2, d]) for d in descriptions], record


@pytest.mark.sanitize
def test_what_is_taken(tls_server):
    assert first_record(tls_server, client_hello())[0] == HANDSHAKE, "or the refusals below mean nothing"


@pytest.mark.sanitize
@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302], ids=["ssl-3", "tls-1.0", "tls-1.1"])
def test_old_versions(tls_server, version):
    suites = (0xC02B, 0xC009, 0xC00A, 0x002F)
    refused_with(tls_server, client_hello(version, suites), 70, 40)                   # protocol_version, handshake_failure


# RFC 5246's and IANA's numbers
WEAK = {"rsa-aes128-cbc": 0x002F, "rsa-aes128-gcm": 0x009C, "rsa-3des": 0x000A, "rsa-rc4": 0x0005, "null-sha": 0x0002,
        "export-rc4": 0x0003, "anonymous-dh": 0x00A6, "anonymous-ecdh-cbc": 0xC018, "ecdhe-3des": 0xC008, "ecdhe-rc4": 0xC007,
        "ecdhe-null": 0xC006, "ecdhe-cbc-sha": 0xC009, "ecdhe-cbc-sha256": 0xC023, "psk": 0x00A8}


@pytest.mark.sanitize
@pytest.mark.parametrize("suite", WEAK.values(), ids=WEAK.keys())
def test_weak_ciphers(tls_server, suite):
    refused_with(tls_server, client_hello(suites=(suite,)), 40)                       # handshake_failure


@pytest.mark.sanitize
def test_a_client_that_was_pushed_down(tls_server):
    """TLS_FALLBACK_SCSV (RFC 7507): who says that it once offered more is not given less."""
    refused_with(tls_server, client_hello(suites=(0xC02B, 0x5600)), 86)               # inappropriate_fallback


@pytest.mark.sanitize
def test_other_protocols_than_http(tls_server):
    refused_with(tls_server, client_hello(alpn=b"h2"), 120)                           # no_application_protocol
    assert first_record(tls_server, client_hello(alpn=b"http/1.1"))[0] == HANDSHAKE


NAMES = {"empty": [b""], "other": [b"other.test"], "trailing-dot": [b"localhost."], "nul": [b"other.test\0.evil"],
         "path": [b"../../etc/passwd"], "star": [b"*"], "long": [b"a" * 255], "too-long": [b"a" * 4000], "two": [b"a", b"b"],
         "none-in-list": [], "8-bit": [b"\xff\xfe"], "address": [b"127.0.0.1"], "capitals": [b"LOCALHOST"],
         "percent": [b"%n%s%x"]}


@pytest.mark.sanitize
@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
def test_names(tls_server, names):
    """Any name gets a certificate or an alert, and the server goes on."""
    record = first_record(tls_server, client_hello(names=names))
    assert record and record[0] in (ALERT, HANDSHAKE)
    serves(tls_server)


HELLO = client_hello()
GARBAGE = {"nothing": b"", "one-byte": b"\x16", "random": os.urandom(3000), "zeros": bytes(3000), "ff": b"\xff" * 3000,
           "ssh": b"SSH-2.0-x\r\n", "record-too-long": b"\x16\x03\x01\xff\xff" + bytes(3000),
           "handshake-too-long": b"\x16\x03\x01\x00\x04\x01\xff\xff\xff" + bytes(3000),
           "data-first": b"\x17\x03\x03\x00\x05hello", "alert-first": b"\x15\x03\x01\x00\x02\x02\x28",
           "heartbeat": b"\x18\x03\x03\x00\x03\x01\x40\x00", "finished-first": b"\x16\x03\x03\x00\x04\x14\x00\x00\x00",
           "ccs-first": b"\x14\x03\x03\x00\x01\x01" * 100, "ssl-2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
           "empty-records": b"\x16\x03\x01\x00\x00" * 1000, "half-a-hello": HELLO[:60], "hello-and-garbage": HELLO + b"\0" * 3000,
           "two-hellos": HELLO + HELLO, "extension-over-the-end": client_hello(extra=struct.pack("!HH", 43, 5000)),
           "extension-twice": client_hello(extra=extension(10, struct.pack("!HH", 2, 23))),
           "heartbeat-behind": HELLO + b"\x18\x03\x03\x00\x03\x01\xff\xff"}


@pytest.mark.sanitize
@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage(tls_server, data):
    first_record(tls_server, data)                              # ends: the server closes
    serves(tls_server)


def test_byte_by_byte(tls_server, authority):
    """A hello in as many records as it has bytes is a hello."""
    body = HELLO[5:]
    data = b"".join(b"\x16\x03\x01\x00\x01" + body[i:i + 1] for i in range(len(body)))
    record = first_record(tls_server, data)
    assert record is None or record[0] in (ALERT, HANDSHAKE)
    serves(tls_server)


@pytest.mark.sanitize
def test_no_renegotiation(tls_server, authority):
    """A client that asks for new keys on a running connection is told no; others do not notice."""
    client = subprocess.run(
        ["openssl", "s_client", "-connect", f"{tls_server.host}:{tls_server.port}", "-CAfile", authority.cert, "-tls1_2"],
        input=b"R\nR\n", capture_output=True, timeout=30 * SCALE, check=False)
    text = client.stdout + client.stderr
    assert b"RENEGOTIATING" in text and b"no renegotiation" in text.lower(), text[-600:]
    serves(tls_server)


def test_clients_are_not_asked_for_certificates(tls_server, authority, tmp_path):
    """The server has no way to log in by certificate: whatever a client has, it is not asked, and signatures decide."""
    from support.certs import Authority
    stranger = Authority(tmp_path / "stranger")
    for cert in (authority.issue("good", client=True), authority.issue("old", client=True, days=-1),
                 stranger.issue("bad", client=True)):
        context = authority.client_context()
        context.load_cert_chain(*cert)
        other = Server(tls_server.directory, port=tls_server.port, scheme="https", tls=context)
        with other.raw() as c:
            assert other.s3.request("GET", "/", conn=c).status == 200
            assert other.s3.request("GET", "/", sign=False, conn=c).status == 403


@pytest.mark.long
@pytest.mark.timeout(120)
def test_half_handshakes_time_out(tls_server):
    """Clients that stop in the middle of a handshake are cut after 10 s, and hold nobody up until then."""
    before = tls_server.open_files()
    held = [socket.create_connection((tls_server.host, tls_server.port)) for _ in range(300)]
    for i, s in enumerate(held):
        s.sendall((HELLO[:60], HELLO, b"", HELLO[:1])[i % 4])
    serves(tls_server)
    wait_for(lambda: tls_server.open_files() <= before + 5, 25, "the half-open connections to be cut")
    for s in held:
        s.close()


# -- receivers of webhooks ---------------------------------------------------------------------------

@pytest.fixture
def trusting(make_server, authority, tmp_path, lax):
    """A server that trusts the authority, and notifies a receiver with this TLS context."""
    def start(receiver):
        cas = tmp_path / "certs" / "CAs"
        cas.mkdir(parents=True)
        (cas / "ca.crt").write_bytes(open(authority.cert, "rb").read())
        server = make_server(env={**webhook_env(receiver), **lax}, args=["--certs-dir", str(tmp_path / "certs")]).start()
        server.s3.make_bucket("events")
        assert server.s3.set_rules("events", rule(arn("1"))).status == 200
        return server
    return start


def expired(a, _):
    return a.server_context(*a.issue("expired", days=-1))


def for_clients_only(a, _):
    return a.server_context(*a.issue("usage", client=True))


def self_signed(_, path):
    from support.certs import Authority
    lone = Authority(path / "lone", "127.0.0.1")
    return lone.server_context(lone.cert, lone.key)


def old_tls(a, _):
    context = a.server_context(*a.issue("old-tls"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def without_name(a, _):
    return a.server_context(*a.issue("127.0.0.1", ("DNS:only-in-the-subject.test",)))


BAD_RECEIVERS = {"expired": (expired, "expired"), "for-clients-only": (for_clients_only, "purpose"),
                 "self-signed": (self_signed, "self-signed"), "old-tls": (old_tls, "version"), "without-name": (without_name, "match")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make,why", BAD_RECEIVERS.values(), ids=BAD_RECEIVERS.keys())
def test_bad_receivers(trusting, authority, tmp_path, make, why):
    """Nothing is delivered to it, the event waits and says why, and goes once the receiver is mended."""
    with Receiver(tls=make(authority, tmp_path)) as r:
        server = trusting(r)
        assert server.s3.put("events", "k", b"x").status == 200
        wait_for(lambda: any("webhook" in line and why in line for line in server.log().lower().split("\n")) or r.posts, 10,
                 f"the reason in the log ({why})")
        assert r.posts == [] and r.connections >= 1
        r.tls = authority.server_context(*authority.issue("mended"))
        r.wait_delivered(1, 30)
