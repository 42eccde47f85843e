"""Roles as processes of their own: started, killed, frozen, restarted on the same port, their clocks wrong.

Nothing is waited for by the clock: a process is ready when it says so, and gone when the system says so. Processes come
from the nursery, but for those with a wrong clock: it is given to a process before it imports anything, so no code of
the library knows about it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec

from aauthlib.cli.serving import free_port

from .nursery import MOST_BYTES

ROOT = Path(__file__).parents[2]
_READY_S = 60.0

#: A program that starts with the clock the test wants, in an interpreter of its own.
_WRONG_CLOCK = """
import runpy, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
offset_s, real = float(sys.argv.pop(1)), time.time
time.time = lambda: real() + offset_s
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def environment(home: Path | None = None) -> dict[str, str]:
    found = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    found |= {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    if home is not None:
        found["AAUTH_HOME"] = str(home)
    return found


class Process(Protocol):
    """As much of a process as tests need."""

    @property
    def stdout(self) -> IO[str] | None: ...
    @property
    def stderr(self) -> IO[str] | None: ...
    def send_signal(self, number: int, /) -> None: ...
    def wait(self) -> int: ...


class Nursery:
    """The parent of the processes: `tests.processes.nursery`. `modules` are what they import beside everything."""

    def __init__(self, *modules: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.processes.nursery", *modules]
        self._process = subprocess.Popen(command, env=environment(), cwd=ROOT, stdin=theirs)
        theirs.close()
        self._asking = threading.Lock()

    def bear(
        self, module: str, arguments: Sequence[str], *, home: Path | None = None, settings: Mapping[str, float] = {}
    ) -> Process:
        """`python -m module arguments`. `settings` are seconds by `module:name`, for what nobody can configure."""
        with ExitStack() as stack:
            ends = [os.pipe() for _ in range(2)]
            for _, theirs in ends:
                stack.callback(os.close, theirs)
            request = {
                "module": module,
                "arguments": list(arguments),
                "environment": environment(home),
                "settings": dict(settings),
            }
            pid = self._ask(request, [theirs for _, theirs in ends])["pid"]
        stdout, stderr = (os.fdopen(ours, encoding="utf-8") for ours, _ in ends)
        return Child(self, pid, stdout, stderr)

    def wait(self, pid: int) -> int:
        status: int = self._ask({"awaited": pid}, [])["status"]
        return status

    def _ask(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        with self._asking:
            socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
            answer: dict[str, Any] = json.loads(self._socket.recv(MOST_BYTES))
            return answer

    def close(self) -> None:
        self._socket.close()
        self._process.wait(30)


@dataclass
class Child:
    """A process of the nursery's."""

    nursery: Nursery
    pid: int
    stdout: IO[str] | None
    stderr: IO[str] | None
    _status: int | None = None

    def send_signal(self, number: int, /) -> None:
        if self._status is None:
            os.kill(self.pid, number)

    def wait(self) -> int:
        if self._status is None:
            self._status = self.nursery.wait(self.pid)
        return self._status


@dataclass
class Role:
    """One server. `arguments` follow `aauth`, or `python -m` where `module` is named."""

    nursery: Nursery
    name: str
    arguments: Sequence[str]
    module: str | None = None
    port: int = field(default_factory=free_port)
    said: list[str] = field(default_factory=list)
    _lines: queue.Queue[str] = field(default_factory=queue.Queue)
    _process: Process | None = None
    _reader: threading.Thread | None = None

    @property
    def issuer(self) -> str:
        return f"http://{self.name}.localhost:{self.port}"

    def start(self) -> Role:
        """Start it, and return when it says that it listens."""
        self.launch()
        return self.await_ready()

    def launch(self, *, clock_offset_s: float = 0.0, settings: Mapping[str, float] = {}) -> None:
        """Start it."""
        arguments = [*self.arguments, "--issuer", self.issuer, "--port", str(self.port)]
        if self.module is None:
            arguments.append("--dev")
        module = self.module or "aauthlib"
        process: Process
        if clock_offset_s:
            command = [sys.executable, "-c", _WRONG_CLOCK, str(clock_offset_s), module, *arguments]
            process = subprocess.Popen(
                command, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        else:
            process = self.nursery.bear(module, arguments, settings=settings)
        lines: queue.Queue[str] = queue.Queue()

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                self.said.append(line)
                lines.put(line)
            lines.put("")

        self._process, self._lines, self._reader = process, lines, threading.Thread(target=read, daemon=True)
        self._reader.start()

    def await_ready(self) -> Role:
        """Return when it says that it listens."""
        while "Listening" not in (line := self._lines.get(timeout=_READY_S)):
            if not line:
                raise AssertionError(f"{self.name} ended: {''.join(self.said)}")
        return self

    def _gone(self) -> None:
        process, reader, self._process, self._reader = self._process, self._reader, None, None
        if process is None or reader is None:
            return
        process.wait()
        reader.join(30)
        for output in (process.stdout, process.stderr):
            if output is not None:
                output.close()

    def kill(self) -> None:
        """`kill -9`, with whatever was under way."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
        self._gone()

    def stop(self) -> None:
        """Ctrl-C."""
        self.interrupt()
        self._gone()

    def interrupt(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGINT)

    def freeze(self) -> None:
        """Stop scheduling it: connections are accepted by the system, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self, *, clock_offset_s: float = 0.0, settings: Mapping[str, float] = {}) -> None:
        """Kill it and start it again, on the same port and database."""
        self.kill()
        self.launch(clock_offset_s=clock_offset_s, settings=settings)
        self.await_ready()


def restart(*roles: Role) -> None:
    """Kill them all, then start them all."""
    for role in roles:
        role.kill()
    for role in roles:
        role.launch()
    for role in roles:
        role.await_ready()


@dataclass(frozen=True)
class Ended:
    """What a command said, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def aauth(nursery: Nursery, home: Path, *arguments: str) -> Ended:
    """The command."""
    process = nursery.bear("aauthlib", arguments, home=home)
    return _read_to_the_end(process)


def _read_to_the_end(process: Process) -> Ended:
    assert process.stdout is not None
    assert process.stderr is not None
    complaints: list[str] = []
    reader = threading.Thread(target=lambda: complaints.append(process.stderr.read()))  # type: ignore[union-attr]
    reader.start()
    said = process.stdout.read()
    reader.join()
    process.stdout.close()
    process.stderr.close()
    return Ended(process.wait(), said, "".join(complaints))


@dataclass
class Program:
    """A program that says one JSON object a line; `tests.processes.agent_program` is one."""

    nursery: Nursery
    home: Path
    arguments: Sequence[str]
    _process: Process = field(init=False)

    def __post_init__(self) -> None:
        self._process = self.nursery.bear("tests.processes.agent_program", self.arguments, home=self.home)

    def says(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the agent ended: {_read_to_the_end(self._process).stderr}")
        said: dict[str, Any] = msgspec.json.decode(line)
        return said

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._process.send_signal(signal.SIGKILL)
        assert self._process.stdout is not None
        if not self._process.stdout.closed:
            _read_to_the_end(self._process)
