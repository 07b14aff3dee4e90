# SPDX-License-Identifier: Apache-2.0
"""The program itself: command line, start-up text, exit codes, environment, addresses, log."""
import json
import os
import re
import socket
import subprocess

import pytest
from support.ports import free_port
from support.receiver import webhook_env
from support.s3raw import arn, rule
from support.server import CREDENTIALS, Server, binary, clean_env, fails, run
from support.wait import SANITIZED, wait_for


# -- the command line -----------------------------------------------------------------------------

def test_version():
    done = run("--version")
    assert done.returncode == 0 and re.search(r"belfry.* \d+\.\d+\.\d+", done.stdout, re.I), done


@pytest.mark.parametrize("args", [["--help"], ["help"], ["server", "--help"]])
def test_help(args):
    done = run(*args)
    assert done.returncode == 0 and "server" in done.stdout and "--address" in done.stdout, done


def test_help_topics():
    """Every topic that the help names has a page, and an unknown one fails."""
    listed = re.search(r"^Topics:\n((?: +.+\n?)+)", run("help").stdout, re.M)[1]
    topics = re.findall(r"[\w-]+", re.sub(r"\((?:or )?", " ", listed))
    pages = {t: run("help", t) for t in topics}
    assert len(topics) >= 3 and all(p.returncode == 0 and p.stdout for p in pages.values()), pages
    everything = "".join(p.stdout for p in pages.values())
    for word in ("MINIO_ROOT_USER", "MINIO_NOTIFY_WEBHOOK", "QUEUE_DIR", "AUTH_TOKEN", "MINIO_DOMAIN"):
        assert word in everything, f"no page tells of {word}"
    assert run("help", "no-such-topic").returncode == 2


BAD_LINES = [["server"], ["frobnicate"], ["server", "--no-such-flag", "/tmp/x"], ["server", "--address"],
             ["server", "--address", "nonsense:port", "/tmp/x"], ["server", "--address", ":99999", "/tmp/x"],
             ["server", "/tmp/x", "/tmp/y"], ["check"]]


@pytest.mark.parametrize("args", BAD_LINES, ids=[" ".join(a) for a in BAD_LINES])
def test_bad_command_lines(args):
    fails(*args)


def test_port_taken(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        fails("server", "--address", "127.0.0.1:%d" % s.getsockname()[1], tmp_path / "d", mentions=["address", "in use"])


def test_a_second_server_on_the_port(server, tmp_path):
    fails("server", "--address", f"127.0.0.1:{server.port}", tmp_path / "d", mentions=["in use"])


def test_directory_in_use(server):
    fails("server", "--address", f"127.0.0.1:{free_port()}", server.directory, mentions=["in use"])
    assert server.s3.request("GET", "/").status == 200


def test_directory_that_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    fails("server", "--address", f"127.0.0.1:{free_port()}", path, mentions=[str(path)])
    fails("server", "--address", f"127.0.0.1:{free_port()}", path / "below", mentions=[str(path)])


@pytest.fixture
def read_only(tmp_path):
    path = tmp_path / "ro"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(path)], capture_output=True,
                      check=False).returncode:
        pytest.skip("mounting is not permitted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def test_directory_not_writable(read_only):
    fails("server", "--address", f"127.0.0.1:{free_port()}", read_only, mentions=[str(read_only)])


def test_directory_of_another_program(tmp_path):
    """A directory with somebody's files in it is left alone."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "precious.txt").write_text("x")
    fails("server", "--address", f"127.0.0.1:{free_port()}", tmp_path / "d", mentions=[str(tmp_path / "d")])
    assert os.listdir(tmp_path / "d") == ["precious.txt"]


def test_directory_of_a_later_format(make_server):
    server = make_server().start()
    server.stop()
    found = [p for p in os.listdir(server.directory) if "format" in p.lower() or "version" in p.lower()]
    if not found:
        pytest.skip("the format is not in a file of its own")
    path = os.path.join(server.directory, found[0])
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(re.sub(r"\d+", "99", text, count=1))
    fails("server", "--address", f"127.0.0.1:{free_port()}", server.directory, mentions=["format"])
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    server.start()


def test_exit_codes_differ_by_cause(tmp_path):
    """A script can tell a bad command line from a taken port from a bad directory."""
    (tmp_path / "file").write_text("x")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = fails("server", "--address", "127.0.0.1:%d" % s.getsockname()[1], tmp_path / "d")
    directory = fails("server", "--address", f"127.0.0.1:{free_port()}", tmp_path / "file")
    flag = fails("server", "--no-such-flag", tmp_path / "e")
    variable = fails("server", tmp_path / "f", env={"MINIO_ROOT_PASSWORD": "short"})
    assert (port, directory, flag, variable) == (3, 4, 2, 2)
    text = run("help", "exit-codes").stdout
    assert all(re.search(rf"^ +{code} ", text, re.M) for code in (0, 1, 2, 3, 4)), text


def test_missing_directory_is_made(tmp_path):
    s = Server(tmp_path / "deep" / "data", log=tmp_path / "log")
    s.spawn()
    wait_for(s._ready, 10, "ready")
    s.stop()


@pytest.mark.parametrize("env,word", [({"MINIO_ROOT_USER": "ab"}, "MINIO_ROOT_USER"),
                                      ({"MINIO_ROOT_PASSWORD": "short"}, "MINIO_ROOT_PASSWORD"),
                                      ({"MINIO_SERVER_URL": "not a url"}, "MINIO_SERVER_URL"),
                                      ({"MINIO_ROOT_USER_FILE": "/nonexistent"}, "MINIO_ROOT_USER_FILE"),
                                      ({"BELFRY_ROOT_PASSWORD": "short"}, "BELFRY_ROOT_PASSWORD")])
def test_bad_variables(tmp_path, env, word):
    fails("server", "--address", f"127.0.0.1:{free_port()}", tmp_path / "d", env=env, mentions=[word])


def test_variables_that_nothing_reads(make_server, receiver):
    """What is set in vain is named, once, and nothing that is read."""
    server = make_server(env={**webhook_env(receiver, "a_b"), "MINIO_NOTIFY_PULSAR_ENABLE_x": "on", "MINIO_KMS_SECRET_KEY": "k:1",
                              "MINIO_NOTIFY_WEBHOOK_ENDPIONT_a_b": "http://x", "MINIO_BROWSER": ""}).start()
    lines = [line for line in server.log().splitlines() if "nothing in this version reads" in line]
    assert len(lines) == 1 and "WARN" in lines[0], server.log()
    names = lines[0].split("reads it: ")[1].split(";")[0]
    assert sorted(names.split(", ")) == ["MINIO_KMS_SECRET_KEY", "MINIO_NOTIFY_PULSAR_ENABLE_x", "MINIO_NOTIFY_WEBHOOK_ENDPIONT_a_b"]


# -- the start -------------------------------------------------------------------------------------

def test_startup_text(make_server, receiver):
    server = make_server(env=dict(webhook_env(receiver, "1"), **webhook_env(receiver, "b"))).start()
    log = server.log()
    assert re.search(rf"^API: +http://127\.0\.0\.1:{server.port}", log, re.M), log
    assert f"SQS ARNs: {arn('1')} {arn('b')} \n" in log, log


def test_no_arns_without_targets(make_server):
    assert "SQS ARNs" not in make_server().start().log()


def test_quiet(make_server, receiver):
    log = make_server(env=webhook_env(receiver), args=["--quiet"]).start().log()
    assert "API:" not in log and "SQS ARNs" not in log


@pytest.mark.skipif(SANITIZED, reason="sanitizers start slowly")
def test_ready_with_little_work(make_server):
    """What a start costs the processors; how long it takes depends on the machine, and bench/run measures it."""
    seconds = []
    for _ in range(5):
        server = make_server().start()
        with open(f"/proc/{server.process.pid}/stat", encoding="utf-8") as f:
            user, system = f.read().rsplit(")", 1)[1].split()[11:13]
        seconds.append((int(user) + int(system)) / os.sysconf("SC_CLK_TCK"))
        server.stop()
    assert sorted(seconds)[2] < 0.25, f"processors' seconds until ready: {seconds}"


@pytest.mark.sanitize
def test_json_log(make_server, receiver):
    receiver.stop()
    server = make_server(env=webhook_env(receiver), args=["--json"]).start()
    server.s3.make_bucket("json")
    assert server.s3.set_rules("json", rule(arn("1"))).status == 200
    assert server.s3.put("json", 'quote"\n', b"x").status == 200
    server.stop()
    lines = [line for line in server.log().splitlines() if line]
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert isinstance(entry, dict) and ("level" in entry or "time" in entry), line


@pytest.mark.parametrize("flag", [["--console-address", ":9001"], ["--console-address=:9001"]])
def test_console_address_is_accepted(make_server, flag):
    make_server(args=flag).start()


# -- credentials and addresses -------------------------------------------------------------------------

def listening(pid):
    """(address, port) pairs on which a process listens, from /proc."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
        if found:
            inodes.add(found[1])
    out = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{name}", encoding="ascii") as f:
            for line in f.readlines()[1:]:
                parts = line.split()
                if parts[3] == "0A" and parts[9] in inodes:
                    address, port = parts[1].split(":")
                    out.add((address, int(port, 16)))
    return out


LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def start_plain(tmp_path, *args, env=None, port=None):
    """A server with exactly this command line and environment."""
    s = Server(tmp_path / "plain", port=port)
    with open(s.log_path, "ab") as log:
        s.process = subprocess.Popen([binary(), *map(str, args)], env=clean_env(env), stdout=log, stderr=subprocess.STDOUT,
                                     stdin=subprocess.DEVNULL)
    wait_for(s._ready, 10, "ready")
    return s


def test_default_credentials_listen_on_loopback_only(tmp_path):
    """Without an address either; 9000 may be taken on this machine, then the address names another port."""
    port = free_port()
    s = start_plain(tmp_path, "server", "--address", f":{port}", tmp_path / "plain", port=port)
    try:
        log = s.log()
        assert "minioadmin" in log and "MINIO_ROOT_USER" in log or "BELFRY_ROOT_USER" in log
        s.user = s.password = "minioadmin"
        assert s.s3.request("GET", "/").status == 200
    finally:
        s.stop()


def test_default_address(tmp_path):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", 9000))
        except OSError:
            pytest.skip("port 9000 is taken on this machine")
    s = start_plain(tmp_path, "server", tmp_path / "plain", port=9000)
    try:
        assert {a for a, p in listening(s.process.pid) if p == 9000} <= LOOPBACK
        assert "loopback" in s.log().lower() or "127.0.0.1" in s.log()
    finally:
        s.stop()


def test_explicit_address_with_default_credentials_warns(tmp_path):
    port = free_port()
    s = start_plain(tmp_path, "server", "--address", f"0.0.0.0:{port}", tmp_path / "plain", port=port)
    try:
        assert not {a for a, _ in listening(s.process.pid)} <= LOOPBACK
        assert "warn" in s.log().lower() and "credential" in s.log().lower()
    finally:
        s.stop()


def test_with_credentials_all_addresses(tmp_path):
    port = free_port()
    s = start_plain(tmp_path, "server", "--address", f":{port}", tmp_path / "plain", env=CREDENTIALS, port=port)
    try:
        assert not {a for a, _ in listening(s.process.pid)} <= LOOPBACK
    finally:
        s.stop()


def works_with(s, user, password):
    s.user, s.password = user, password
    return s.s3.request("GET", "/").status == 200


def test_belfry_names_win(make_server):
    server = make_server(env={"MINIO_ROOT_USER": "loser", "MINIO_ROOT_PASSWORD": "loser-secret", "BELFRY_ROOT_USER": "winner",
                              "BELFRY_ROOT_PASSWORD": "winner-secret"}).start()
    assert not works_with(server, "loser", "loser-secret") and works_with(server, "winner", "winner-secret")


@pytest.mark.parametrize("prefix", ["MINIO", "BELFRY"])
def test_credentials_from_files(make_server, tmp_path, prefix):
    (tmp_path / "user").write_text("from-a-file\n")
    (tmp_path / "password").write_text("password-of-a-file\n")
    server = make_server()
    server.env = {"MINIO_ROOT_USER": "", "MINIO_ROOT_PASSWORD": "", f"{prefix}_ROOT_USER_FILE": str(tmp_path / "user"),
                  f"{prefix}_ROOT_PASSWORD_FILE": str(tmp_path / "password")}
    server.start()
    assert works_with(server, "from-a-file", "password-of-a-file")


@pytest.mark.parametrize("prefix", ["MINIO", "BELFRY"])
def test_volumes_and_opts(tmp_path, prefix):
    port = free_port()
    env = dict(CREDENTIALS, **{f"{prefix}_VOLUMES": str(tmp_path / "plain"), f"{prefix}_OPTS": f"--address 127.0.0.1:{port}"})
    s = start_plain(tmp_path, "server", env=env, port=port)
    try:
        assert s.s3.request("GET", "/").status == 200
    finally:
        s.stop()


def test_command_line_beats_volumes_and_opts(tmp_path):
    port = free_port()
    env = dict(CREDENTIALS, MINIO_VOLUMES=str(tmp_path / "other"), MINIO_OPTS=f"--address 127.0.0.1:{free_port()}")
    s = start_plain(tmp_path, "server", "--address", f"127.0.0.1:{port}", tmp_path / "plain", env=env, port=port)
    try:
        assert s.s3.request("GET", "/").status == 200
        assert not (tmp_path / "other").exists()
    finally:
        s.stop()


def test_virtual_hosts(make_server):
    server = make_server(env={"MINIO_DOMAIN": "s3.test"}).start()
    s3 = server.s3
    s3.make_bucket("virtual")
    for host in ("virtual.s3.test", f"virtual.s3.test:{server.port}"):
        assert s3.request("PUT", "/a/b", body=b"x", host=host).status == 200
        assert s3.request("GET", "/a/b", host=host).body == b"x"
    assert s3.get("virtual", "a/b").body == b"x"
    assert s3.request("GET", "/?list-type=2", host="virtual.s3.test").xml.findtext("Contents/Key") == "a/b"
    assert s3.request("GET", "/", host="s3.test").xml.tag == "ListAllMyBucketsResult"
    assert s3.request("GET", "/virtual/a/b", host="elsewhere.example").body == b"x"


# -- health ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["live", "ready", "cluster", "cluster/read"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health(server, path, method):
    reply = server.s3.request(method, f"/minio/health/{path}", sign=False)
    assert reply.status == 200 and reply.body == b"" and reply.get("x-minio-server-status") != "offline"
    assert reply.get("server") == "MinIO"
    if path == "cluster":
        assert reply.get("x-minio-write-quorum") == "1" and reply.get("x-minio-storage-class-defaults") in ("true", "false")
    if path == "cluster/read":
        assert reply.get("x-minio-read-quorum") == "1"


def test_health_under_maintenance(server):
    assert server.s3.request("GET", "/minio/health/cluster?maintenance=true", sign=False).status == 412
