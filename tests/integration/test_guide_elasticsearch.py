# SPDX-License-Identifier: Apache-2.0
"""The guide's Elasticsearch section, step by step."""
import json
import re
import subprocess

import pytest
from support.elastic import Elastic
from support.guide import MC, VARIABLES, Guide
from support.wait import wait_for

LISTED = re.compile(r"arn:minio:sqs::1:elasticsearch\s+s3:ObjectCreated:\*,s3:ObjectRemoved:\*(,s3:ObjectAccessed:\*)?\s+"
                    r"Filter: suffix=\W\.jpg\W")
pytestmark = pytest.mark.brokers


@pytest.fixture(scope="module")
def elastic(start_broker):
    return Elastic(start_broker("elasticsearch"))


def records(elastic):
    """curl "http://localhost:9200/minio_events/_search?pretty=true"; in the order of the events."""
    elastic.refresh("minio_events")
    done = subprocess.run(["curl", "-s", f"{elastic.url}/minio_events/_search?pretty=true"], capture_output=True, text=True,
                          timeout=30, check=True)
    hits = json.loads(done.stdout).get("hits", {}).get("hits", [])
    return sorted((hit["_source"]["Records"][0] for hit in hits), key=lambda r: r["eventTime"])


@pytest.mark.parametrize("how", [VARIABLES, MC])
@pytest.mark.parametrize("style", ["namespace", "access"])
def test_section(make_server, elastic, tmp_path, how, style):
    elastic("DELETE", "/minio_events")
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_elasticsearch", queue_limit="0", url=elastic.url, format=style, index="minio_events", queue_dir="")
    if how == MC:
        shown = guide.mc("admin", "config", "get", "myminio/", "notify_elasticsearch")
        assert re.search(r"^notify_elasticsearch:1 .*index=.?minio_events", shown, re.M)
    guide.mc("mb", "myminio/images")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:elasticsearch", "--suffix", ".jpg")
    assert LISTED.search(guide.mc("event", "list", "myminio/images"))
    guide.mc("cp", guide.photo(), "myminio/images")
    record = wait_for(lambda: records(elastic), 20, "the document")[0]
    assert record["eventName"] == "s3:ObjectCreated:Put" and record["s3"]["object"]["size"] == 2586
    assert record["s3"]["bucket"]["name"] == "images" and record["s3"]["object"]["key"] == "myphoto.jpg"
    guide.mc("rm", "myminio/images/myphoto.jpg")
    if style == "namespace":
        wait_for(lambda: records(elastic) == [], 20, "the document to be gone")
    else:       # mc looks at the object, too, which is another event
        wait_for(lambda: "s3:ObjectRemoved:Delete" in [r["eventName"] for r in records(elastic)], 20, "the removal")
