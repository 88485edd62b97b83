"""Keys: kept as hashes, found by the whole of them, counted by all processes together."""

import json
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.__main__ import main
from service.errors import ConfigurationError, RateLimited
from service.security.keys import Key, add_key, digest, find, read_keys, remove_key
from service.security.rate_limiter import RateLimiter, make_file
from tests.fakes import Clock


def key(**limits: float | int) -> Key:
    return Key(id="web", sha256=digest("secret"), scopes=frozenset({"infer"}), **limits)


def test_a_file_holds_no_key_but_its_hash_and_is_its_users_alone(tmp_path):
    path = tmp_path / "keys.json"
    secret = add_key(path, "web", ["infer"], requests_per_second=5)
    other = add_key(path, "boss", ["infer", "admin"], concurrent=2)
    assert secret not in path.read_text()
    assert len(secret) > 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    web, boss = read_keys(path)
    assert (find((web, boss), secret), find((web, boss), other)) == (web, boss)
    for wrong in ("", secret[:-1], secret + "x", web.sha256):
        assert find((web, boss), wrong) is None
    remove_key(path, "web")
    assert [one.id for one in read_keys(path)] == ["boss"]
    with pytest.raises(ConfigurationError, match="no key 'web'"):
        remove_key(path, "web")
    with pytest.raises(ConfigurationError, match="has a key 'boss' already"):
        add_key(path, "boss", ["infer"])
    with pytest.raises(ConfigurationError, match="scopes"):
        add_key(path, "third", ["everything"])


def test_keys_that_are_added_at_the_same_time_are_all_stored(tmp_path):
    path = tmp_path / "keys.json"
    add_key(path, "first", ["infer"])
    began = threading.Barrier(8)

    def add(number: int) -> str:
        began.wait()
        return add_key(path, f"k{number}", ["infer"])

    with ThreadPoolExecutor(8) as pool:
        secrets = list(pool.map(add, range(8)))
    remove_key(path, "first")
    keys = read_keys(path)
    assert {key.id for key in keys} == {f"k{number}" for number in range(8)}
    assert all(find(keys, secret) is not None for secret in secrets)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", r"keys\.json cannot be read as a file of keys"),
        ('[{"id": "a"}]', r"keys\.json cannot be read as a file of keys"),
        ('[{"id": "a b", "sha256": "", "scopes": []}]', r"keys\.json cannot be read as a file of keys"),
        (json.dumps([{"id": "a", "sha256": digest(key), "scopes": []} for key in "xy"]), "two keys have the same id"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, content, reason):
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ConfigurationError, match=reason):
        read_keys(tmp_path / "keys.json")


def test_the_command_adds_lists_and_removes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TAGWERK_API_KEYS_FILE", str(tmp_path / "keys.json"))
    assert main(["keys", "add", "web", "--rate", "5", "--tokens", "400", "--concurrent", "2"]) == 0
    secret = capsys.readouterr().out.strip()
    assert find(read_keys(tmp_path / "keys.json"), secret) is not None
    assert main(["keys"]) == 0
    assert capsys.readouterr().out == "web  infer, 5 requests a second, 400 tokens a second, 2 at the same time\n"
    assert main(["keys", "remove", "web"]) == 0
    assert main(["keys", "remove", "web"]) == 1
    monkeypatch.delenv("TAGWERK_API_KEYS_FILE")
    assert main(["keys"]) == 1
    assert "set TAGWERK_API_KEYS_FILE" in capsys.readouterr().err


def wait(rate_limiter: RateLimiter, key: Key) -> float:
    """Returns 0 if a request is admitted, else the seconds until it may be retried."""
    try:
        rate_limiter.acquire(key)
    except RateLimited as error:
        return error.retry_after_seconds
    return 0.0


@pytest.mark.parametrize(("rate", "at_once"), [(4, 4), (0.1, 1)])
def test_a_rate_holds_in_the_long_run_and_lets_a_second_s_worth_come_at_once_or_one(rate, at_once):
    clock = Clock()
    rate_limiter, limited = RateLimiter(clock=clock), key(requests_per_second=rate)
    assert [wait(rate_limiter, limited) for _ in range(at_once)] == [0.0] * at_once
    assert wait(rate_limiter, limited) == pytest.approx(1 / rate)
    clock.now += 1 / rate
    assert wait(rate_limiter, limited) == 0.0
    assert wait(rate_limiter, limited) > 0
    clock.now += 100
    assert [wait(rate_limiter, limited) > 0 for _ in range(at_once + 1)] == [False] * at_once + [True]


def test_tokens_are_taken_when_a_request_is_done_and_what_is_owed_holds_the_next_ones_back():
    clock = Clock()
    rate_limiter, limited = RateLimiter(clock=clock), key(tokens_per_second=10)
    assert [wait(rate_limiter, limited) for _ in range(3)] == [0.0] * 3
    rate_limiter.charge(limited, 10)
    assert wait(rate_limiter, limited) == 0.0, "a second's worth may come at once"
    rate_limiter.charge(limited, 25)
    assert wait(rate_limiter, limited) == pytest.approx(2.5)
    assert rate_limiter.take(limited) == pytest.approx(2.5), "of a line, too"
    clock.now += 2.5
    assert (wait(rate_limiter, limited), rate_limiter.take(limited)) == (0.0, 0.0)
    rate_limiter.charge(limited, 1)
    assert wait(rate_limiter, limited) == pytest.approx(0.1)
    clock.now += 100
    rate_limiter.charge(limited, 11)
    assert wait(rate_limiter, limited) == pytest.approx(0.1), "no more than a second's worth is saved"


def test_tokens_and_requests_are_counted_apart_and_by_all_processes():
    file, clock = make_file(), Clock()
    first, second = RateLimiter(file, 1, clock), RateLimiter(file, 2, clock)
    both = key(tokens_per_second=10, requests_per_second=2)
    assert [wait(first, both), wait(second, both)] == [0.0, 0.0]
    assert wait(first, both) == pytest.approx(0.5)
    first.charge(both, 30)
    assert wait(second, both) == pytest.approx(2.0)
    clock.now += 2.0
    assert [wait(first, both), wait(second, both)] == [0.0, 0.0]
    assert wait(first, both) == pytest.approx(0.5)
    os.close(file)


def test_processes_count_together_and_one_that_died_holds_no_place():
    file, limited = make_file(), key(concurrent=2)
    first, second = RateLimiter(file, 1), RateLimiter(file, 2)
    assert [wait(first, limited), wait(second, limited)] == [0.0, 0.0]
    assert wait(first, limited) > 0
    assert wait(second, limited) > 0
    first.release(limited)
    assert wait(second, limited) == 0.0
    assert wait(first, limited) > 0
    again = RateLimiter(file, 2)  # the second process has died with two requests, and is started again
    assert [wait(again, limited), wait(first, limited)] == [0.0, 0.0]
    assert wait(again, limited) > 0
    os.close(file)


def test_many_keys_do_not_share_their_counts():
    rate_limiter = RateLimiter()
    keys = [Key(id=f"k{i}", sha256=digest(str(i)), scopes=frozenset(), concurrent=1) for i in range(900)]
    assert [wait(rate_limiter, one) for one in keys] == [0.0] * 900
    assert all(wait(rate_limiter, one) > 0 for one in keys)


def test_a_key_without_limits_is_not_counted():
    rate_limiter = RateLimiter()
    assert [wait(rate_limiter, key()) for _ in range(9)] == [0.0] * 9
    rate_limiter.release(key())


def test_no_path_leads_to_the_file_of_counts():
    file = make_file()
    assert os.fstat(file).st_nlink == 0
    assert str(Path(f"/proc/self/fd/{file}").readlink()).startswith("/memfd:"), "a full disk is nothing to it"
    os.close(file)
