# SPDX-License-Identifier: Apache-2.0
"""Dead letters of Redis: removals that it has refused for ten minutes while everything else went through, replayed."""
import pytest
from support.redis import Redis, redis_env
from support.s3raw import arn, rule
from support.wait import holds_for, wait_for
from test_commands import belfry, status


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_replay(make_server, tmp_path):
    """Format namespace mirrors what is there now, whatever was refused; --as-is removes what is there again."""
    names = {"1:redis": "truth", "2:redis": "as_is"}
    with Redis(tmp_path / "redis", durable=False) as redis:
        server = make_server(env=redis_env(redis, "1", key="truth") | redis_env(redis, "2", key="as_is")).start()
        s3 = server.s3
        s3.make_bucket("images")
        assert s3.set_rules("images", *(rule(arn(n, "redis"), "s3:ObjectCreated:*", "s3:ObjectRemoved:*") for n in "12")).status == 200
        for key in ("back", "gone"):
            assert s3.put("images", key, b"1").status == 200
        for key in names.values():
            redis.wait_hash(["images/back", "images/gone"], key=key)
        redis("ACL", "SETUSER", "default", "-hdel")
        for key in ("back", "gone"):
            assert s3.delete("images", key).status == 204

        def refused():
            assert s3.put("images", "good", b"1").status == 200
            holds_for(server.alive, 2)
            return all(status(server, n)["deadLetters"] == 2 for n in names)
        wait_for(refused, 900, "the dead letters")
        assert "NOPERM" in belfry(server, "dead-letter", "list", "--target", "1:redis", "--json")
        redis("ACL", "SETUSER", "default", "+hdel")
        for name, key in names.items():
            assert set(redis.hash(key)) == {"images/back", "images/gone", "images/good"}, "it was not removed"
            belfry(server, "target", "pause", name)
        assert s3.put("images", "back", b"22").status == 200
        for name, more in zip(names, ([], ["--as-is"])):
            assert "replayed 2 " in belfry(server, "dead-letter", "replay", "--target", name, *more)
            belfry(server, "target", "resume", name)
            wait_for(lambda n=name: status(server, n)["queued"] == 0, 60, f"{name} to take it")
            assert status(server, name)["deadLetters"] == 0
        assert {f: r["s3"]["object"]["size"] for f, r in redis.hash("truth").items()} == {"images/back": 2, "images/good": 1}
        assert set(redis.hash("as_is")) == {"images/good"}
