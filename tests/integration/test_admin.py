# SPDX-License-Identifier: Apache-2.0
"""/minio/admin/v3 on the wire: who may, what a body must be, info, restart and stop."""
import json
import os
import signal
import time

import pytest
from support.admin import Admin, error_of
from support.ops import put_head
from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.sigv4 import STREAMING, UNSIGNED, Signer
from support.wait import wait_for


@pytest.fixture
def admin(server):
    return Admin(server)


# -- versions and paths --------------------------------------------------------------------------

@pytest.mark.parametrize("method,path", [
    ("GET", "/minio/admin/v4/info"), ("GET", "/minio/admin/v2/info"), ("GET", "/minio/admin/"), ("GET", "/minio/admin/v3"),
    ("GET", "/minio/admin/v3/"), ("GET", "/minio/admin/v3/nope"), ("POST", "/minio/admin/v3/info"),
    ("GET", "/minio/admin/v3/info/more"), ("POST", "/minio/admin/v3/service"), ("POST", "/minio/admin/v3/service?action=x"),
])
@pytest.mark.parametrize("sign", [True, False])
def test_unknown_calls(server, method, path, sign):
    assert error_of(server.s3.request(method, path, sign=sign)) == (426, "XMinioAdminVersionMismatch")


# -- who -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("method,call", [
    ("GET", "info"), ("POST", "service?action=restart&type=2"), ("GET", "get-config-kv?key=notify_webhook"),
    ("PUT", "set-config-kv"), ("DELETE", "del-config-kv"), ("GET", "help-config-kv?subSys=&key="), ("GET", "config"),
    ("PUT", "config"), ("GET", "list-config-history-kv?count=10"), ("DELETE", "clear-config-history-kv?restoreId=all"),
    ("PUT", "restore-config-history-kv?restoreId=x"),
])
@pytest.mark.sanitize
def test_every_call_needs_the_root_user(server, admin, method, call):
    assert error_of(admin.request(method, call, sign=False)) == (403, "AccessDenied")
    assert error_of(admin.request(method, call, signer=Signer(server.user, "wrong-secret", ""))) == (
        403, "SignatureDoesNotMatch")
    assert error_of(admin.request(method, call, signer=Signer("nobody", server.password, ""))) == (403, "InvalidAccessKeyId")
    assert server.alive()


def test_regions(server, admin):
    for region in ("", "us-east-1", "eu-west-1"):
        assert admin.request("GET", "info", signer=Signer(server.user, server.password, region)).status == 200


def test_other_signatures(server, admin):
    path = "/minio/admin/v3/info"
    presigned = admin.signer.presign("GET", path, server.s3.host)
    assert error_of(server.s3.request("GET", presigned, sign=False)) == (403, "AccessDenied")
    for value in ("AWS itestroot:c2ln", "Bearer x", "Basic eDp5"):
        assert error_of(server.s3.request("GET", path, [("Authorization", value)], sign=False)) == (403, "AccessDenied")
    for weaker in (UNSIGNED, STREAMING):
        reply = admin.request("GET", "info", payload_hash=weaker)
        assert reply.status in (400, 403, 411), weaker


def test_a_body_must_be_the_one_that_was_signed(server, admin):
    import hashlib
    other = hashlib.sha256(b"other").hexdigest()
    assert error_of(admin.request("PUT", "set-config-kv", b"body", payload_hash=other)) == (400, "XAmzContentSHA256Mismatch")
    assert error_of(admin.request("GET", "info", payload_hash=other)) == (400, "XAmzContentSHA256Mismatch")
    assert error_of(admin.request("GET", "info", body=b"x", payload_hash=other)) == (400, "XAmzContentSHA256Mismatch")


# -- bodies --------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_bodies_that_cannot_be_decrypted(server, admin):
    from minio.crypto import encrypt
    for body in (b"", b"notify_webhook:1 endpoint=http://127.0.0.1:1", os.urandom(41), os.urandom(200),
                 encrypt(b"notify_webhook:1 endpoint=http://127.0.0.1:1", "another-secret")):
        assert error_of(admin.request("PUT", "set-config-kv", body)) == (400, "XMinioAdminConfigBadJSON")


def test_bodies_that_are_too_large(server, admin):
    assert error_of(admin.request("PUT", "set-config-kv", b"x" * 262273)) == (400, "XMinioAdminConfigTooLarge")
    assert error_of(admin.request("PUT", "set-config-kv", b"x" * 262272)) == (400, "XMinioAdminConfigBadJSON")
    chunked = [("Transfer-Encoding", "chunked")]
    with server.raw() as c:
        head = server.s3.build("PUT", "/minio/admin/v3/set-config-kv", chunked, signer=admin.signer, length=False)
        c.send(head + b"0\r\n\r\n")
        assert error_of(c.reply()) == (400, "XMinioAdminConfigTooLarge")


def test_an_empty_body_in_chunks(server, admin):
    """As mc sends its POSTs."""
    with server.raw() as c:
        c.send(server.s3.build("POST", "/minio/admin/v3/service?action=stop&dry-run=true&type=2",
                               [("Transfer-Encoding", "chunked")], signer=admin.signer, length=False) + b"0\r\n\r\n")
        reply = c.reply()
    assert reply.status == 200 and json.loads(reply.body)["dryRun"] is True


@pytest.mark.sanitize
def test_many_at_once(server, admin):
    """Derivations run one at a time; who finds too many waiting is told to come back, and nothing grows."""
    from minio.crypto import encrypt
    body = encrypt(b"x", "another-secret")
    conns = [server.raw() for _ in range(60)]
    for c in conns:
        c.send(server.s3.build("PUT", "/minio/admin/v3/set-config-kv", body=body, signer=admin.signer))
    assert server.s3.request("GET", "/minio/health/live", sign=False).status == 200
    found = [error_of(c.reply()) for c in conns]
    for c in conns:
        c.close()
    assert set(found) <= {(400, "XMinioAdminConfigBadJSON"), (503, "SlowDown")}
    assert found.count((400, "XMinioAdminConfigBadJSON")) >= 32
    assert server.alive()


def test_a_client_that_goes(server, admin):
    from minio.crypto import encrypt
    body = encrypt(b"x", server.password)
    for cut in (len(body) // 2, len(body)):
        with server.raw() as c:
            data = server.s3.build("PUT", "/minio/admin/v3/set-config-kv", body=body, signer=admin.signer)
            c.send(data[:len(data) - len(body) + cut])
    assert admin.info()["mode"] == "online"


# -- info ----------------------------------------------------------------------------------------

@pytest.mark.sanitize
def test_info(make_server, receiver):
    server = make_server(env={**webhook_env(receiver), "MINIO_NOTIFY_WEBHOOK_ENABLE_down": "on",
                              "MINIO_NOTIFY_WEBHOOK_ENDPOINT_down": "http://127.0.0.1:1/hook",
                              "MINIO_SITE_REGION": "eu-test-1"}, region="eu-test-1").start()
    admin, s3 = Admin(server), server.s3
    s3.make_bucket("one")
    s3.make_bucket("two")
    down = "arn:minio:sqs:eu-test-1:down:webhook"
    assert s3.set_rules("one", rule(down, "s3:ObjectCreated:*")).status == 200
    s3.put("one", "a", b"12345")
    s3.put("two", "b", b"x" * 100_000)
    info = wait_for(lambda: (lambda i: i if admin.target("1")["status"] == "online" else None)(admin.info()), 10, "target 1")
    assert info["mode"] == "online" and info["region"] == "eu-test-1"
    assert info["sqsARN"] == ["arn:minio:sqs:eu-test-1:1:webhook", down]
    assert info["buckets"]["count"] == 2 and info["objects"]["count"] == 2 and info["usage"]["size"] == 100_005
    server_, drive = info["servers"][0], info["servers"][0]["drives"][0]
    assert server_["endpoint"] == f"127.0.0.1:{server.port}" and 0 <= server_["uptime"] < 600
    assert server_["network"] == {f"127.0.0.1:{server.port}": "online"}
    stat = os.statvfs(server.directory)
    assert drive["state"] == "ok" and drive["totalspace"] == stat.f_blocks * stat.f_frsize
    assert 0 < drive["availspace"] < drive["totalspace"]
    assert drive["usedspace"] + drive["availspace"] == drive["totalspace"]
    backend = info["backend"]
    assert backend["backendType"] == "Erasure" and backend["totalSets"] == [1] and backend["totalDrivesPerSet"] == [1]
    assert info["pools"]["0"]["0"]["objectsCount"] == 2
    target = wait_for(lambda: (lambda t: t if t.get("oldestEvent") else None)(admin.target("down")), 10, "a queued event")
    assert target["status"] == "offline" and target["queueLength"] == 1 and target["queueBytes"] > 0
    assert target["deadLetters"] == 0 and "127.0.0.1:1" in target["lastError"] and target["since"].startswith("20")
    assert admin.target("1")["queueLength"] == 0


def test_info_does_not_dial(make_server):
    """A receiver that hangs does not hold up info."""
    import socket
    with socket.create_server(("127.0.0.1", 0), backlog=1) as hung:
        port = hung.getsockname()[1]
        server = make_server(env={"MINIO_NOTIFY_WEBHOOK_ENABLE_1": "on",
                                  "MINIO_NOTIFY_WEBHOOK_ENDPOINT_1": f"http://127.0.0.1:{port}/"}).start()
        began = time.monotonic()
        for _ in range(5):
            assert Admin(server).info()["mode"] == "online"
        assert time.monotonic() - began < 4


def test_info_names_targets_that_are_off(make_server):
    env = {"MINIO_NOTIFY_WEBHOOK_ENABLE_1": "on", "MINIO_NOTIFY_WEBHOOK_ENDPOINT_1": "http://127.0.0.1:1/"}
    server = make_server(env=env).start()
    server.s3.make_bucket("off")
    server.s3.set_rules("off", rule(arn("1"), "s3:ObjectCreated:*"))
    server.s3.put("off", "k", b"x")
    server.env = {}
    server.restart()
    info = Admin(server).info()
    assert "sqsARN" not in info
    assert Admin(server).target("1")["status"] == "off" and Admin(server).target("1")["queueLength"] == 1


# -- service -------------------------------------------------------------------------------------

def started(server):
    return server.log().count("API: ")


@pytest.mark.sanitize
def test_restart(make_server, receiver):
    """The reply first; then the same process, port and data; nothing acknowledged is lost."""
    server = make_server(env=webhook_env(receiver)).start()
    s3, admin, pid = server.s3, Admin(server), server.process.pid
    s3.make_bucket("again")
    s3.set_rules("again", rule(arn("1"), "s3:ObjectCreated:*"))
    for n in (1, 2, 3):
        assert s3.put("again", f"k{n}", b"x" * 70_000).status == 200
        reply = admin.request("POST", "service?action=restart&dry-run=false&type=2")
        assert reply.status == 200
        assert json.loads(reply.body) == {"action": "restart", "dryRun": False,
                                          "results": [{"host": f"127.0.0.1:{server.port}"}]}
        wait_for(lambda n=n: started(server) == n + 1, 15, "the server to be back")
        wait_for(server._ready, 10, "the server to be ready")
        assert server.process.pid == pid and server.alive()
        assert s3.get("again", f"k{n}").body == b"x" * 70_000
    wait_for(lambda: {p.key for p in receiver.snapshot()} == {"again/k1", "again/k2", "again/k3"}, 10, "all events")
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        assert f.read().split(b"\0")[1:-1] == [a.encode() for a in server.command()[1:]]


def test_restart_waits_for_a_request_and_goes_on_beyond_one_that_hangs(make_server):
    server = make_server().start()
    server.s3.make_bucket("hang")
    with server.raw() as stuck, server.raw() as slow:
        body = b"t" * 500_000
        length = [("Content-Length", str(len(body)))]
        slow.send(put_head(server.s3, "hang", "k", length) + body[:1000])
        stuck.send(put_head(server.s3, "hang", "never", length) + body[:10])
        assert Admin(server).request("POST", "service?action=restart").body == b""
        wait_for(lambda: "stopping, to start again" in server.log(), 10, "the stop to begin")
        slow.send(body[1000:])
        assert slow.reply().status == 200
        wait_for(lambda: started(server) == 2, 30, "the server to be back")
    wait_for(server._ready, 10, "the server to be ready")
    assert server.s3.get("hang", "k").body == body


def test_files_do_not_pile_up_over_restarts(make_server):
    server = make_server().start()

    def restart(n):
        Admin(server).request("POST", "service?action=restart")
        wait_for(lambda: started(server) == n, 15, "the server to be back")
        wait_for(server._ready, 10, "the server to be ready")
        return len(own_files(server))
    first = restart(2)
    last = [restart(n) for n in range(3, 7)][-1]
    assert last <= first + 2, own_files(server)


def own_files(server):
    """Open files but those of the rows' tables, of which every start adds some."""
    folder = f"/proc/{server.process.pid}/fd"
    found = []
    for name in os.listdir(folder):
        try:
            link = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue
        if not link.endswith(".sst"):
            found.append(link)
    return found


def test_sigterm_during_a_restart_stops(make_server):
    """It is not lost between the old program and the new one."""
    server = make_server().start()
    Admin(server).request("POST", "service?action=restart")
    server.signal(signal.SIGTERM)
    assert server.wait_exit(20) == 0


def test_the_alarm_of_a_stop_is_heard(make_server):
    """Also by a server that one started anew out of that alarm's handler, where it is blocked."""
    server = make_server()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        server.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        blocked = next(int(line.split()[1], 16) for line in f if line.startswith("SigBlk:"))
    assert not blocked & 1 << (signal.SIGALRM - 1)


def test_dry_run_does_nothing(server, admin):
    for action in ("restart", "stop"):
        reply = admin.request("POST", f"service?action={action}&dry-run=true&type=2")
        assert json.loads(reply.body)["dryRun"] is True
    assert admin.info()["mode"] == "online" and started(server) == 1


def test_stop(make_server):
    server = make_server().start()
    reply = Admin(server).request("POST", "service?action=stop&dry-run=false&type=2")
    assert json.loads(reply.body)["action"] == "stop"
    assert server.wait_exit() == 0
    server.start()


@pytest.mark.parametrize("action", ["freeze", "unfreeze"])
def test_freeze_is_not_built(admin, action):
    assert error_of(admin.request("POST", f"service?action={action}&type=2")) == (501, "NotImplemented")


def test_a_stray_sigusr1_changes_nothing(server, admin):
    server.signal(signal.SIGUSR1)
    assert admin.info()["mode"] == "online" and server.alive()
