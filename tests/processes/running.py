"""Roles as processes of their own: started, killed, frozen, restarted on the same port, their clocks wrong.

Nothing is waited for by the clock: a process is ready when it says so, and gone when the system says so. A wrong clock
is given to a process before it imports anything, so no code of the library knows about it.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from aauthlib.cli.serving import free_port

ROOT = Path(__file__).parents[2]
_READY_S = 60.0

#: What runs the command: with Ctrl-C at its default, since shells have background children ignore it, and with the
#: clock the test wants.
_COMMAND = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
offset_s, real = float(sys.argv.pop(1)), time.time
if offset_s:
    time.time = lambda: real() + offset_s
"""
_AAUTH = _COMMAND + "from aauthlib.cli import main; main()"


def environment(home: Path | None = None) -> dict[str, str]:
    found = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    found |= {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    if home is not None:
        found["AAUTH_HOME"] = str(home)
    return found


@dataclass
class Role:
    """One server. `arguments` follow `aauth`, or `python -m` where `module` is named."""

    name: str
    arguments: Sequence[str]
    module: str | None = None
    port: int = field(default_factory=free_port)
    clock_offset_s: float = 0.0
    said: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None

    @property
    def issuer(self) -> str:
        return f"http://{self.name}.localhost:{self.port}"

    def start(self) -> Role:
        """Start it, and return when it says that it listens."""
        common = ["--issuer", self.issuer, "--port", str(self.port)]
        if self.module is None:
            command = [sys.executable, "-c", _AAUTH, str(self.clock_offset_s), *self.arguments, *common, "--dev"]
        else:
            program = _COMMAND + f"import runpy; runpy.run_module({self.module!r}, run_name='__main__')"
            command = [sys.executable, "-c", program, str(self.clock_offset_s), *self.arguments, *common]
        process = subprocess.Popen(
            command, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        lines: queue.Queue[str] = queue.Queue()

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                self.said.append(line)
                lines.put(line)
            lines.put("")

        self._process, self._reader = process, threading.Thread(target=read, daemon=True)
        self._reader.start()
        while "Listening" not in (line := lines.get(timeout=_READY_S)):
            if not line:
                raise AssertionError(f"{self.name} ended: {''.join(self.said)}")
        return self

    def _gone(self) -> None:
        process, reader, self._process, self._reader = self._process, self._reader, None, None
        if process is None or reader is None:
            return
        process.wait(30)
        reader.join(30)
        if process.stderr is not None:
            process.stderr.close()

    def kill(self) -> None:
        """`kill -9`, with whatever was under way."""
        if self._process is not None:
            self._process.kill()
        self._gone()

    def stop(self) -> None:
        """Ctrl-C."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGINT)
        self._gone()

    def freeze(self) -> None:
        """Stop scheduling it: connections are accepted by the system, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self, *, clock_offset_s: float = 0.0) -> None:
        """Kill it and start it again, on the same port and database."""
        self.kill()
        self.clock_offset_s = clock_offset_s
        self.start()


def aauth(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as its user runs it."""
    return subprocess.run(
        [sys.executable, "-c", _AAUTH, "0", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=100,
    )


@dataclass
class Program:
    """A program that says one JSON object a line; `tests.processes.agent_program` is one."""

    home: Path
    arguments: Sequence[str]
    _process: subprocess.Popen[str] = field(init=False)

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.agent_program", *self.arguments],
            env=environment(self.home),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, complaint = self._process.communicate(timeout=30)
            raise AssertionError(f"the agent ended: {complaint}")
        said: dict[str, Any] = msgspec.json.decode(line)
        return said

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate(timeout=60)
