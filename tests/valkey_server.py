"""A private Valkey or Redis server, on this machine, for tests: nothing on disk, a password, gone with the test."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PASSWORD = "s3cret-of-the-tests"
_ATTEMPTS = 5


def find_valkey() -> str | None:
    """The server's executable, if this machine has one."""
    return shutil.which("valkey-server") or shutil.which("redis-server")


@dataclass
class ValkeyServer:
    """A server that listens. It can be stopped and started again, on the same port and with nothing in it."""

    executable: str
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    password: str = PASSWORD
    _process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"valkey://:{self.password}@127.0.0.1:{self.port}"

    def start(self) -> bool:
        """Start it. False if it gave up, such as for a port that somebody else took meanwhile."""
        command = [self.executable, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", "--requirepass", self.password, *self.options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        if any("ready to accept connections" in line.lower() for line in self._process.stdout):
            return True
        self.stop()
        return False

    def stop(self) -> None:
        """Stop it at once, and with it every connection."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@contextmanager
def running_valkey(executable: str, folder: Path, *options: str) -> Iterator[ValkeyServer]:
    """A server of its own on a free loopback port."""
    for _ in range(_ATTEMPTS):
        server = ValkeyServer(executable, folder, free_port(), options)
        if server.start():
            break
    else:
        raise RuntimeError(f"{executable} does not start")
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
