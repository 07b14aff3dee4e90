# SPDX-License-Identifier: Apache-2.0
"""The guide's PostgreSQL and MySQL sections, step by step."""
import re
import subprocess

import pytest
from support.guide import MC, VARIABLES, Guide
from support.sql import Mysql, Postgres
from support.wait import SCALE, wait_for

pytestmark = pytest.mark.brokers


@pytest.fixture
def postgres(start_broker):
    """Install PostgreSQL; "the postgres user password as `password`", "a database called `minio_events`"."""
    admin = Postgres(start_broker("postgres"))
    if not admin("SELECT 1 FROM pg_roles WHERE rolname = 'postgres'"):
        admin("CREATE ROLE postgres LOGIN SUPERUSER PASSWORD 'password'")
        admin("CREATE DATABASE minio_events OWNER postgres")
    db = Postgres(admin.broker, "postgres", "password", "minio_events")
    db("DROP TABLE IF EXISTS bucketevents")
    return db


@pytest.fixture
def mysql(start_broker):
    """Install MySQL; "the root password as `password`", "a database called `miniodb`"."""
    admin = Mysql(start_broker("mariadb"))
    admin.admin("CREATE DATABASE IF NOT EXISTS miniodb; CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY 'password';"
                "GRANT ALL ON *.* TO 'root'@'127.0.0.1'")
    db = Mysql(admin.broker, "root", "password", "miniodb")
    db("DROP TABLE IF EXISTS minio_images")
    return db


def listed(guide, target):
    text = guide.mc("event", "list", "myminio/images")
    return re.search(rf"{target}\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*(,s3:ObjectAccessed:\*)?\s+Filter: suffix=\W\.jpg\W", text)


def sent(guide, db, table, target, other):
    """Steps 3 and 4: a row comes, is replaced, goes; a restart and a kill change nothing."""
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", target, "--suffix", ".jpg")
    assert listed(guide, target)
    photo = guide.photo()
    guide.mc("cp", photo, "myminio/images")
    record = db.wait_keys(table, ["images/myphoto.jpg"])["images/myphoto.jpg"]
    assert record["eventName"] == "s3:ObjectCreated:Put" and record["s3"]["object"]["size"] == 2586
    guide.mc("cp", photo, "myminio/images/not-this.png")
    for end in (guide.server.restart, lambda: (guide.server.kill(), guide.server.start())):
        end()
        assert listed(guide, target), "the rule outlives the server"
        guide.mc("cp", photo, "myminio/images/again.jpg")
        db.wait_keys(table, ["images/myphoto.jpg", "images/again.jpg"])
        guide.mc("rm", "myminio/images/again.jpg")
        db.wait_keys(table, ["images/myphoto.jpg"])
    shown = other()
    assert "images/myphoto.jpg" in shown and '"s3:ObjectCreated:Put"' in shown
    guide.mc("rm", "myminio/images/myphoto.jpg")
    db.wait_keys(table, [])


def printed(command, env):
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60 * SCALE, check=True)
    return done.stdout


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_postgres(make_server, postgres, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_postgres", table="bucketevents", format="namespace",
                connection_string=f"host=localhost port={postgres.port} dbname=minio_events user=postgres password=password "
                                  "sslmode=disable")
    if how == MC:
        text = guide.mc("admin", "config", "get", "myminio", "notify_postgres")
        assert re.search(r"^notify_postgres:1 .*table=bucketevents", text, re.M) and "password=password" not in text
    sent(guide, postgres, "bucketevents", "arn:minio:sqs::1:postgresql", lambda: printed(
        ["psql", "-h", "127.0.0.1", "-p", str(postgres.port), "-U", "postgres", "-d", "minio_events", "-c",
         "select * from bucketevents"], {"PGPASSWORD": "password", "PATH": "/usr/bin:/bin", "PGSSLMODE": "disable"}))


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_mysql(make_server, mysql, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_mysql", table="minio_images", format="namespace",
                dsn_string=f"root:password@tcp(127.0.0.1:{mysql.port})/miniodb")
    if how == MC:
        text = guide.mc("admin", "config", "get", "myminio", "notify_mysql")
        assert re.search(r"^notify_mysql:1 .*table=minio_images", text, re.M)
    sent(guide, mysql, "minio_images", "arn:minio:sqs::1:mysql", lambda: printed(
        ["mysql", "-h", "127.0.0.1", "-P", str(mysql.port), "-u", "root", "-ppassword", "miniodb", "-e",
         "select * from minio_images"], {"PATH": "/usr/bin:/bin"}))


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
def test_access(make_server, request, tmp_path, kind):
    """"The other format is very similar"."""
    db = request.getfixturevalue(kind)
    guide = Guide(make_server(), tmp_path / "mc")
    table = "bucketevents" if kind == "postgres" else "minio_images"
    address = (f"postgres://postgres:password@localhost:{db.port}/minio_events?sslmode=disable" if kind == "postgres" else
               f"root:password@tcp(127.0.0.1:{db.port})/miniodb")
    guide.start(VARIABLES, f"notify_{kind}", table=table, format="access", **{db.address_key: address})
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", f"arn:minio:sqs::1:{db.kind}", "--suffix", ".jpg")
    guide.mc("cp", guide.photo(), "myminio/images")
    guide.mc("rm", "myminio/images/myphoto.jpg")
    wait_for(lambda: db.count(table) >= 2, 20, "the rows")
    names = [r.event for r in db.journal(table)]
    assert {"s3:ObjectCreated:Put", "s3:ObjectRemoved:Delete"} <= set(names)
