"""`aauth demo`: open the parties, walk the steps, print what happened, keep the sequence page up."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import webbrowser
from pathlib import Path

from ..agent import OpenBrowser, PrintURL
from ..cli.exchanges import Exchange
from ..cli.exits import Exit
from ..cli.screen import Screen, safe
from ..cli.transcript import transcript_lines
from ..effects import Direct
from ..errors import AAuthError
from .browser import PageError, ScriptedPerson
from .parties import Parties, loopback_client, open_parties
from .steps import STEPS, Outcome, Step

__all__ = ["run_demo"]

_WAIT_FOR_PERSON_S = 600.0
_WAIT_FOR_SCRIPT_S = 60.0
#: Questions that one visit leads through, and times that one page looks by itself.
_MOST_PAGES = 10


def run_demo(screen: Screen, *, yes: bool, browser: bool) -> int:
    """Run the demo. Exit code 0 only if each step had the expected outcome."""
    with tempfile.TemporaryDirectory(prefix="aauth-demo-") as directory:
        return asyncio.run(_Demo(screen, yes=yes, browser=browser).run(Path(directory)))


class _Demo:
    def __init__(self, screen: Screen, *, yes: bool, browser: bool) -> None:
        self._screen, self._yes = screen, yes
        self._hook = OpenBrowser() if browser else PrintURL()
        self._decision = "approve"
        self._person: ScriptedPerson | None = None
        self._password = secrets.token_urlsafe(18)
        self._group: asyncio.TaskGroup | None = None
        self._parties: Parties | None = None

    async def run(self, data: Path) -> int:
        screen = self._screen
        screen.say("[bold]AAuth, first contact.[/] Starting the parties on this machine ...")
        wait_s = _WAIT_FOR_SCRIPT_S if self._yes else _WAIT_FOR_PERSON_S
        parties = self._parties = await open_parties(data, on_interaction=self._direct, wait_s=wait_s)
        try:
            for name, url in (
                ("agent provider", parties.provider),
                ("person server", parties.person),
                ("calendar", parties.calendar),
                ("expenses", parties.expenses),
                ("access server", parties.access),
                ("trips", parties.trips),
                ("hotels", parties.hotels),
                ("sequence page", parties.page),
            ):
                screen.say(f"  {name:<15} {safe(url)}")
            if not self._yes:
                screen.say("\nThe agent will need you a few times: make an account at your person server, then decide.")
            parties.exchanges.on_exchange = self._tell
            outcomes = [await self._step(number, step, parties) for number, step in enumerate(STEPS, start=1)]
            self._summary(outcomes, parties)
            if not self._yes:
                await self._stay(parties)
        finally:
            if self._person is not None:
                await self._person.close()
            await parties.close()
        return Exit.OK if all(outcome.ok for outcome in outcomes) else Exit.FAILED

    async def _step(self, number: int, step: Step, parties: Parties) -> Outcome:
        self._screen.say(f"\n[bold reverse] {number} [/] [bold]{safe(step.title)}[/]")
        parties.exchanges.note(f"{number}. {step.title}", "step")
        self._decision = step.decision
        if step.asks_person and not self._yes and step.decision == "deny":
            self._screen.say("  This time, choose [bold]Don't allow[/].")
        try:
            outcome = await self._while_person_decides(step, parties)
        except* (AAuthError, PageError) as errors:
            error = errors.exceptions[0]
            outcome = Outcome(False, f"{type(error).__name__}: {error}")
        mark = "[green]✓[/]" if outcome.ok else "[bold red]✗[/]"
        self._screen.say(f"  {mark} {safe(outcome.text)}")
        return outcome

    async def _while_person_decides(self, step: Step, parties: Parties) -> Outcome:
        """Run the step; stop it at once when the scripted person could not do their part."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            running = group.create_task(step.run(parties), name=step.title)
        return running.result()

    def _tell(self, exchange: Exchange) -> None:
        for line in transcript_lines(exchange):
            self._screen.say(line)

    async def _direct(self, direct: Direct) -> None:
        """The person is needed."""
        if self._parties is not None:
            self._parties.exchanges.note(f"The person is sent to {direct.url} with a code")
        if not self._yes:
            self._hook(direct)
            return
        if self._group is not None:
            self._group.create_task(self._decide(direct), name="the person decides")

    async def _decide(self, direct: Direct) -> None:
        """What a person does in a browser: follow the link, sign in or make the account, decide."""
        person = self._person
        if person is None:
            person = self._person = ScriptedPerson(loopback_client())
        await person.visit(direct.person_url)
        if 'name="display_name"' in person.text:
            form = person.form_with("display_name", "username", "password")
            values = {"display_name": "Ada", "username": "ada", "password": self._password}
            await person.submit(form, values)
        word = "allows it" if self._decision == "approve" else "says no"
        form = person.form_with("decision")
        for _ in range(_MOST_PAGES):
            await person.submit(form, {}, button=("decision", self._decision))
            self._screen.say(f"  [magenta]the person {word}[/] [dim]({person.status} from the consent page)[/]")
            if self._parties is not None:
                self._parties.exchanges.note(f"The person reads the consent page and {word}")
            # Down a chain the page they are sent back to takes them on to the next question, or says it is over.
            await person.follow_refreshes(_MOST_PAGES)
            try:
                form = person.form_with("decision")
            except PageError:
                return

    def _summary(self, outcomes: list[Outcome], parties: Parties) -> None:
        if self._screen.json_output:
            self._screen.document(
                {
                    "ok": all(outcome.ok for outcome in outcomes),
                    "steps": [
                        {"step": step.title, "ok": outcome.ok, "outcome": outcome.text}
                        for step, outcome in zip(STEPS, outcomes, strict=True)
                    ],
                }
            )
            return
        self._screen.say("\n[bold]What happened[/]")
        for number, (step, outcome) in enumerate(zip(STEPS, outcomes, strict=True), start=1):
            mark = "[green]✓[/]" if outcome.ok else "[bold red]✗[/]"
            self._screen.say(f"  {mark} {number}  {safe(step.title)}")
            if not outcome.ok:
                self._screen.say(f"       {safe(outcome.text)}")
        count = sum(isinstance(entry, Exchange) for entry in parties.exchanges.entries)
        done = sum(outcome.ok for outcome in outcomes)
        self._screen.say(
            f"\n{done} of {len(STEPS)} steps as expected, {count} messages, every one signed or public; "
            "no registration, no shared secret, no bearer token."
        )

    async def _stay(self, parties: Parties) -> None:
        self._screen.say(f"\nEvery message, opened and decoded: [bold]{safe(parties.page)}[/]  (Ctrl-C ends the demo)")
        if isinstance(self._hook, OpenBrowser):
            await asyncio.to_thread(webbrowser.open, parties.page)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._screen.say("The demo is over; its data is gone.")
