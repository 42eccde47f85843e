"""While a person is needed: the page, the code, how long there is, and what they want to know, instead of silence."""

from __future__ import annotations

import sys

from rich.progress import Progress, SpinnerColumn, Task, TextColumn
from rich.text import Text

from ..agent import OpenBrowser, PrintURL
from ..effects import Answer, Direct, Report
from .screen import Screen, safe

__all__ = ["Waiting"]


class Waiting:
    """The hooks of an agent that a command runs, and the clock that runs meanwhile; to be used in a `with` statement.

    `wait_s` is how long the agent waits each time the person is needed. `questions` says whether the person's
    questions can be answered here, from standard input; unless given, where that is a terminal. `keeps` says that the
    request stays open when the command is stopped.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        wait_s: int,
        browser: bool = False,
        questions: bool | None = None,
        keeps: bool = False,
    ) -> None:
        self._screen, self._wait_s, self._browser, self._keeps = screen, wait_s, browser, keeps
        self._said = False
        self.takes_questions = sys.stdin.isatty() and not screen.json_output if questions is None else questions
        self._progress: Progress | None = None

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def direct(self, direct: Direct) -> None:
        """Show the person where to go."""
        if self._screen.json_output:
            self._screen.document({"event": "interaction", "url": direct.person_url, "code": direct.code})
            return
        self._said = True
        hook = OpenBrowser() if self._browser else PrintURL()
        hook(direct)
        self._start()

    def clarify(self, question: Answer) -> str | None:
        """Show the person's question and read the answer, one line; nothing withdraws the request."""
        self._stop()
        if self._screen.json_output:
            self._screen.document(
                {
                    "event": "clarification",
                    "question": question.question,
                    "options": list(question.options),
                    "timeout_s": question.timeout_s,
                }
            )
        else:
            self._screen.say("[bold]The person asks:[/]")
            self._screen.say(f"  {safe(question.question)}")
            for number, option in enumerate(question.options, 1):
                self._screen.say(f"  {number}. {safe(option)}")
            self._screen.say("Your answer, on one line; an empty line withdraws the request:")
        answer = sys.stdin.readline().strip()
        if answer.isascii() and answer.isdigit() and 0 < int(answer) <= len(question.options):
            answer = question.options[int(answer) - 1]
        if answer and not self._screen.json_output:
            self._start()
        return answer or None

    def report(self, report: Report) -> None:
        """What the agent says of itself; only arrivals are worth a line."""
        if report.event == "waiting" and not self._said and not self._screen.json_output:
            self._said = True
            # Nobody was shown a page: the person is told by their server, or somebody else decides.
            self._start()
        if report.event == "waiting" and report.details.get("status") == "interacting" and self._progress is not None:
            for task in self._progress.tasks:
                self._progress.update(task.id, description="The person is looking at the page.")
        elif report.event in ("auth-token", "person-token", "mission"):
            self._stop()
        elif report.event == "withdrawn" and not self._screen.json_output:
            self._stop()
            self._screen.say("The pending request was withdrawn at the server.")

    def _start(self) -> None:
        if self._wait_s <= 0:
            return
        if not self._screen.err.is_terminal:
            self._screen.say(f"Waiting up to {self._wait_s} seconds for the decision.")
            return
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            _TimeLeft(self._wait_s),
            console=self._screen.err,
            transient=True,
        )
        self._progress.start()
        stopping = "Ctrl-C stops waiting" if self._keeps else "Ctrl-C withdraws the request"
        self._progress.add_task(f"Waiting for the person to decide. {stopping}.", total=None)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _TimeLeft(TextColumn):
    """Minutes and seconds until the agent gives up."""

    def __init__(self, wait_s: int) -> None:
        super().__init__("")
        self._wait_s = wait_s

    def render(self, task: Task) -> Text:
        left = max(0, int(self._wait_s - (task.elapsed or 0.0)))
        return Text(f"{left // 60}:{left % 60:02d} left", style="dim")
