# SPDX-License-Identifier: Apache-2.0
"""The guide's webhook section, step by step; a receiver of ours in place of its thumbnailer."""
import re

import pytest
from support.guide import MC, VARIABLES, Guide


@pytest.mark.parametrize("how", [VARIABLES, MC])
def test_webhook(make_server, receiver, tmp_path, how):
    guide = Guide(make_server(), tmp_path / "mc")
    guide.start(how, "notify_webhook", queue_limit="0", endpoint=receiver.url, queue_dir="")
    if how == MC:
        assert re.search(r'^notify_webhook:1 .*endpoint=.?http://127\.0\.0\.1', guide.mc("admin", "config", "get", "myminio/", "notify_webhook"), re.M)
    guide.mc("mb", "myminio/images")
    guide.mc("mb", "myminio/images-thumbnail")
    guide.mc("event", "add", "myminio/images", "arn:minio:sqs::1:webhook", "--event", "put", "--suffix", ".jpg")
    listed = guide.mc("event", "list", "myminio/images")
    assert re.search(r'arn:minio:sqs::1:webhook\s+s3:ObjectCreated:\*\s+Filter: suffix="\.jpg"', listed), listed
    photo = guide.photo()
    guide.mc("cp", photo, "myminio/images/images.jpg")
    post = receiver.wait_delivered(1)[0]
    assert post.event == "s3:ObjectCreated:Put" and post.key == "images/images.jpg"
    assert post.record["s3"]["object"]["size"] == 2586
    for end in (guide.server.restart, lambda: (guide.server.kill(), guide.server.start())):
        end()
        receiver.clear()
        guide.mc("cp", photo, "myminio/images/again.jpg")
        assert receiver.wait_delivered(1)[0].key == "images/again.jpg"
        guide.mc("cp", photo, "myminio/images/not-a-photo.txt")
        guide.mc("rm", "myminio/images/again.jpg")
    guide.mc("cp", photo, "myminio/images/last.jpg")
    receiver.wait_delivered(2)
    assert [p.key for p in receiver.snapshot()] == ["images/again.jpg", "images/last.jpg"]
