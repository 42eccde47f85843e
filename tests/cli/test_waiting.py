"""What a person sees in a terminal while an agent waits for them: the page, the code, and a clock that runs."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import subprocess
import time

import pytest

from aauthlib.cli.exits import Exit
from aauthlib.cli.screen import Screen
from aauthlib.cli.waiting import Waiting
from aauthlib.effects import Answer


def _read_until(terminal: int, texts: tuple[bytes, ...], limit_s: float) -> bytes:
    """What the terminal shows until every one of `texts` was there."""
    shown, end = b"", time.monotonic() + limit_s
    while not all(text in shown for text in texts):
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, shown.decode("utf-8", "replace")
        shown += os.read(terminal, 65536)
    return shown


@pytest.mark.spec("#interaction-required")
def test_a_terminal_shows_the_page_the_code_and_how_much_time_is_left(world):
    enrolled = world.aauth("init", "--provider", world.parties.provider, "--ps", world.parties.person, "--dev")
    assert enrolled.returncode == 0, enrolled.stderr
    terminal, theirs = pty.openpty()
    command = world.command("fetch", f"{world.parties.calendar}/me", "--wait", "300")
    environment = {**world.environment, "TERM": "xterm", "COLUMNS": "160"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    try:
        shown = _read_until(terminal, (b"/interaction/", b"the code", b"4:59 left"), 30)
        assert b"Ctrl-C stops waiting" in shown
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == Exit.INTERRUPTED
        os.close(terminal)


@pytest.mark.spec("#agent-response-to-clarification")
@pytest.mark.parametrize(("typed", "answer"), [("2", "A week"), ("3", "3"), ("Until June.", "Until June."), ("", None)])
def test_a_question_is_answered_by_the_number_of_an_option_in_words_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, answer: str | None
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\nnext line\n"))
    with Waiting(Screen(), wait_s=60) as waiting:
        assert not waiting.takes_questions  # where nobody sits
        assert waiting.clarify(Answer("For how\x1b[2J long?", ("A day", "A week"))) == answer
    shown = capsys.readouterr().err
    assert "For how\\x1b[2J long?" in shown and "2. A week" in shown
