# SPDX-License-Identifier: Apache-2.0
"""belfry check --salvage: what it says, what it keeps, and that the server starts again."""
import glob
import hashlib
import os
from errno import EIO

from support.receiver import Receiver, webhook_env
from support.s3raw import arn, rule
from support.server import binary, run

from torture.fault import EVER, READ, Fault


def filled(make_server, n=40):
    """A killed server: its rows are all in the log."""
    receiver = Receiver()                                   # not started: events wait
    server = make_server(env=webhook_env(receiver)).start()
    server.s3.make_bucket("rescue")
    assert server.s3.set_rules("rescue", rule(arn("1"))).status == 200
    bodies = {f"k{i:02}": os.urandom(60_000 if i % 4 == 0 else 600) for i in range(n)}
    for key, body in bodies.items():
        assert server.s3.put("rescue", key, body).status == 200
    server.kill()
    return server, bodies


def the_log(server):
    return max(glob.glob(f"{server.directory}/kv/*.log"), key=os.path.getsize)


def change(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        was = f.read(len(data))
        f.seek(at)
        f.write(data)
    return was


def refusal(server):
    server.spawn()
    code, log = server.wait_exit(), server.log()
    assert code == 4, log
    return log


def test_cut_log(make_server):
    server, bodies = filled(make_server)
    path = the_log(server)
    at = os.path.getsize(path) // 2
    change(path, at, b"\x5a" * 64)
    log = refusal(server)
    assert os.path.basename(path) in log and "at byte" in log and "--salvage" in log, log
    kept = os.listdir(server.directory)
    dry = run("check", "--salvage", "--dry-run", server.directory)
    assert dry.returncode == 1 and os.listdir(server.directory) == kept, dry
    done = run("check", "--salvage", server.directory)
    assert done.returncode == 1, done
    assert f"{os.path.basename(path)} at byte" in done.stdout and "queued events of webhook:1" in done.stdout, done
    aside = glob.glob(f"{server.directory}/salvage-*")
    assert len(aside) == 1 and os.path.exists(f"{aside[0]}/kv/{os.path.basename(path)}"), aside
    server.start()
    missing = {key for key, body in bodies.items() if server.s3.get("rescue", key).body != body}
    unnamed = {key for key in missing if f"rescue/{key} " not in done.stdout}
    assert missing and len(unnamed) <= 2, (sorted(unnamed), done.stdout)
    assert {server.s3.get("rescue", key).status for key in missing} == {404}
    assert server.s3.put("rescue", "new", b"x" * 70_000).status == 200
    assert run("check", "--salvage", server.directory).returncode == 4, "not while a server runs"
    server.stop()
    assert run("check", server.directory).returncode == 0
    again = run("check", "--salvage", server.directory)
    assert again.returncode == 0 and "nothing to salvage" in again.stdout, again


def test_one_bit(make_server):
    """Nothing is lost: the checksum tells which bit it was."""
    server, bodies = filled(make_server)
    path = the_log(server)
    at = os.path.getsize(path) // 3
    with open(path, "rb") as f:
        f.seek(at)
        byte = f.read(1)[0]
    change(path, at, bytes([byte ^ 8]))
    refusal(server)
    done = run("check", "--salvage", server.directory)
    assert done.returncode == 0 and "nothing is lost there" in done.stdout, done
    server.start()
    assert all(server.s3.get("rescue", key).body == body for key, body in bodies.items())
    server.stop()


def test_a_disk_that_does_not_read(make_server, tmp_path):
    """What the log has cannot be read: that is said, and never taken for its end. A salvage gives up one block of it."""
    server, bodies = filled(make_server, 200)
    name = os.path.basename(the_log(server))
    fault = Fault(str(tmp_path / "fault"), os.path.dirname(binary()))
    server.env.update(fault.env)
    fault.arm(READ, f"*/kv/{name}", EIO, times=EVER)
    log = refusal(server)
    assert f"{name} cannot be read at byte 0: Input/output error" in log and "--salvage" in log, log
    done = run("check", server.directory, env=fault.env)
    assert done.returncode == 1 and f"{name} cannot be read" in done.stderr, done
    fault.clear()
    copied, step = 2, 64 << 10              # after a look at all of it; then the step and its first block fail
    fault.arm(READ, f"*/kv/{name}", EIO, skip=1 + copied, times=2)
    done = run("check", "--salvage", server.directory, env=fault.env)
    assert done.returncode == 1 and f"does not give what is in {name} at byte {copied * step}:" in done.stdout, done
    fault.clear()
    server.start()
    missing = {key for key, body in bodies.items() if server.s3.get("rescue", key).body != body}
    unnamed = {key for key in missing if f"rescue/{key} " not in done.stdout}
    assert 0 < len(missing) < len(bodies) - 20 and len(unnamed) <= 8, (len(missing), sorted(unnamed), done.stdout)
    server.stop()
    assert run("check", server.directory).returncode == 0
    fault.arm(READ, "*/kv/*.sst", EIO, times=EVER)
    log = refusal(server)
    assert ".sst" in log and "Input/output error" in log and "--salvage" in log, log


def test_no_log(make_server):
    """A backup that left out *.log."""
    server, _ = filled(make_server, 10)
    server.start()                                          # makes tables
    assert server.s3.put("rescue", "late", b"late").status == 200
    server.stop()
    os.unlink(the_log(server))
    log = refusal(server)
    assert ".log, or a log after it, is missing" in log and "--salvage" in log, log
    done = run("check", "--salvage", server.directory)
    assert done.returncode == 1 and "a log is missing, which has the newest changes" in done.stdout, done
    server.start()
    assert server.s3.get("rescue", "k01").status == 200 and server.s3.get("rescue", "late").status == 404
    server.stop()
    assert run("check", server.directory).returncode == 0


def test_lost_manifest(make_server):
    server, bodies = filled(make_server)
    server.start()                                          # makes tables
    assert server.s3.put("rescue", "late", b"late").status == 200
    server.kill()
    bodies["late"] = b"late"
    manifest = max(glob.glob(f"{server.directory}/kv/MANIFEST-*"))
    change(manifest, 20, b"\x5a" * 30)
    assert os.path.basename(manifest) in refusal(server)
    done = run("check", "--salvage", server.directory)
    assert done.returncode == 1 and "put together from the tables" in done.stdout, done
    server.start()
    wrong = {key for key, body in bodies.items() if server.s3.get("rescue", key).body != body}
    assert not wrong, (wrong, done.stdout)
    server.stop()


def everything(directory):
    """path -> (content, time of the last change) of all files; what only says who was here last is left out."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if name in ("lock", "LOCK") or name.startswith("LOG"):
                continue
            with open(path, "rb") as f:
                found[os.path.relpath(path, directory)] = hashlib.md5(f.read()).hexdigest(), os.stat(path).st_mtime_ns
    return found


def test_looking_changes_nothing(make_server):
    """Neither a check nor a dry run, of a sound store and of three that are damaged."""
    server, _ = filled(make_server)
    log, body = the_log(server), max(glob.glob(f"{server.directory}/blobs/*/*"))
    middle = os.path.getsize(log) // 2
    harm = [lambda: None, lambda: change(body, 5000, b"\x5a" * 8), lambda: change(log, middle, b"\x5a" * 8),
            lambda: change(log, middle, b"\x5a" * 600)]
    said = []
    for damage in harm:
        damage()
        before = everything(server.directory)
        for command in (("check",), ("check", "--salvage", "--dry-run")):
            done = run(*command, server.directory)
            said.append(done)
            assert everything(server.directory) == before, (command, done)
            assert not glob.glob(f"{server.directory}/salvage*"), done
    assert [d.returncode for d in said] == [0, 0, 1, 1, 1, 1, 1, 1], said
    for done in said[4], said[6]:                           # rows that cannot be opened
        assert "at byte" in done.stderr and "belfry check --salvage --dry-run" in done.stderr, done


def test_keys_are_no_commands(make_server):
    """A terminal that shows the findings does not do what a key says."""
    server = make_server().start()
    server.s3.make_bucket("rescue")
    assert server.s3.put("rescue", "\x1b[2Jgone", b"x" * 70_000).status == 200
    server.stop()
    change(max(glob.glob(f"{server.directory}/blobs/*/*")), 5000, b"\x5a")
    for command in (("check",), ("check", "--salvage", "--dry-run")):
        done = run(*command, server.directory)
        assert done.returncode == 1 and "\x1b" not in done.stdout, done
        assert r"object rescue/\x1b[2Jgone: " in done.stdout, done


def test_help():
    done = run("help", "check")
    assert done.returncode == 0, done
    for words in ("--salvage", "--dry-run", "salvage-TIME", "Exit codes"):
        assert words in done.stdout, done


def test_usage(make_server, tmp_path):
    assert run("check", "--dry-run", tmp_path).returncode == 2
    assert run("check", "--salvage", tmp_path / "none").returncode == 4
    server, _ = filled(make_server, 2)
    done = run("check", "--salvage", server.directory)
    assert done.returncode == 0 and "nothing to salvage" in done.stdout, done
    assert not glob.glob(f"{server.directory}/salvage*")
