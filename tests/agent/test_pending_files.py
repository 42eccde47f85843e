"""Requests that wait, on disk: read by their owner alone, small, and found by the beginning of their names."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from aauthlib.agent import GrantPreferences, PendingRequest
from aauthlib.agent.pending_files import PendingFiles, new_id
from aauthlib.agent.waits import Wait
from aauthlib.errors import ConfigurationError
from aauthlib.http import Fields, Request


def waiting(url: str = "https://api.example/notes", *, since: float = 1.0, **headers: str) -> PendingRequest:
    return PendingRequest.of(
        "aauth:helper@agent.example",
        Request("POST", url, Fields(headers), "Milk, \u00e4pples".encode()),
        GrantPreferences(justification="Tonight.", mission_s256="x" * 43),
        (Wait(location="https://ps.example/pending/abc", gives="person-token"),),
        since=since,
    )


@pytest.fixture
def files(tmp_path: Path) -> PendingFiles:
    return PendingFiles("default", home=tmp_path)


@pytest.mark.spec("#pending-url-security")
def test_only_its_owner_reads_it(files: PendingFiles) -> None:
    path = files.keep("0123abcd", waiting())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="read by others"):
        files.all()


def test_what_is_read_is_what_was_kept(files: PendingFiles) -> None:
    pending = waiting(accept="text/plain")
    files.keep("0123abcd", pending)
    (kept,) = files.all()
    assert (kept.id, kept.pending) == ("0123abcd", pending)
    assert kept.pending.request.body.decode() == "Milk, \u00e4pples"
    assert kept.pending.wishes == GrantPreferences(justification="Tonight.", mission_s256="x" * 43)


def test_the_oldest_comes_first_and_one_is_found_by_its_beginning(files: PendingFiles) -> None:
    files.keep("aa000002", waiting(since=2.0))
    files.keep("aa000001", waiting(since=1.0))
    assert [each.id for each in files.all()] == ["aa000001", "aa000002"]
    assert files.find("aa000002").pending.since == 2.0
    for prefix in ("aa", "bb", "", "../x"):
        with pytest.raises(ConfigurationError, match="begin like this"):
            files.find(prefix)


def test_one_that_was_answered_is_forgotten(files: PendingFiles) -> None:
    files.keep("0123abcd", waiting())
    assert "0123abcd" in files
    for _ in range(2):
        files.remove("0123abcd")
    assert "0123abcd" not in files
    assert files.all() == []


def test_one_that_could_not_be_read_again_is_not_kept(files: PendingFiles) -> None:
    with pytest.raises(ConfigurationError, match="too large"):
        files.keep("0123abcd", waiting(cookie="x" * 60_000))
    assert files.all() == []


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"agent": "x"}'], ids=["empty", "nothing", "list", "part"])
def test_a_damaged_file_is_said_to_be(files: PendingFiles, content: str) -> None:
    path = files.keep("0123abcd", waiting())
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="0123abcd"):
        files.all()


def test_names_do_not_meet() -> None:
    assert len({new_id() for _ in range(100)}) == 100
