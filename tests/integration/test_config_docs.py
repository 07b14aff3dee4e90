# SPDX-License-Identifier: Apache-2.0
"""The pages that are made of the tables of keys."""
import os
import subprocess

import pytest
from support.server import binary

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
SUBSYSTEMS = [f"notify_{kind}" for kind in ("webhook", "amqp", "kafka", "mqtt", "nats", "nsq", "mysql", "postgres",
                                            "elasticsearch", "redis")] + ["belfry"]


def help_of(topic):
    return subprocess.run([binary(), "help", topic], capture_output=True, text=True, check=True, timeout=10).stdout


def test_keys_md_is_up_to_date():
    with open(os.path.join(DOCS, "keys.md"), encoding="utf-8") as f:
        assert f.read() == help_of("markdown"), "run scripts/config-docs"


@pytest.mark.parametrize("subsys", SUBSYSTEMS)
def test_every_sub_system_has_a_page(subsys):
    page = help_of(subsys)
    assert page.startswith(subsys + ": ")
    assert ("enable: 'on' makes the target (off)" in page) == (subsys != "belfry")
    assert subsys in help_of("help")


def test_pages_by_other_names():
    assert help_of("postgresql") == help_of("notify_postgres") == help_of("notify_postgresql")
    page = help_of("amqp")
    assert "MINIO_NOTIFY_AMQP_PUBLISHING_CONFIRMS_<ID>\n      publisher_confirms: " in page
    assert "MINIO_NOTIFY_AMQP_IMMEDIATE_<ID>" in page
