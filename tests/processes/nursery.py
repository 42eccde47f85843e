"""Where processes come from: one that has imported everything, and forks itself for each one asked for.

Starting Python and importing the library takes longer than most of what the tests do with a process. A fork of a
process that has done so is as much a process of its own as any other: own memory, own connections, own death.

    python -m tests.processes.nursery [MODULE...]

The modules are what else its processes import. A request is one JSON object on the socket that is standard input, with
the new process's standard output and error beside it; the answer is its number. The other request is to wait for a
process that has ended or is about to.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from typing import Any

#: What a role, the command and an agent import.
EVERYTHING = (
    "aauthlib.cli.app",
    "aauthlib.cli.fetch",
    "aauthlib.cli.init",
    "aauthlib.cli.serve",
    "aauthlib.cli.serve_access",
    "tests.processes.agent_program",
    "tests.processes.reports_api",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.loops.auto",
    "aiosqlite",
)
MOST_BYTES = 65536


def run(module: str, arguments: list[str], settings: dict[str, Any]) -> None:
    """Be `python -m module arguments`, with the settings that are nobody's to make: seconds, held in modules."""
    for place, value in settings.items():
        name, _, attribute = place.partition(":")
        owner = importlib.import_module(name)
        assert hasattr(owner, attribute), place
        setattr(owner, attribute, value)
    sys.argv = [module, *arguments]
    # It was imported only for what it imports.
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def be_born(request: dict[str, Any], outputs: list[int]) -> None:
    """In the child. Does not return."""
    status = 1
    try:
        for standard, given in zip((1, 2), outputs, strict=True):
            os.dup2(given, standard)
            os.close(given)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # Shells have their background children ignore Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(request["environment"])
        run(request["module"], request["arguments"], request["settings"])
        status = 0
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else leaving.code is not None
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    for name in (*EVERYTHING, *sys.argv[1:]):
        importlib.import_module(name)
    # What is there stays there: no child has to look through it for garbage, and copy it by doing so.
    gc.collect()
    gc.freeze()
    asked = socket.socket(fileno=os.dup(0))
    living: set[int] = set()
    while True:
        data, outputs, _, _ = socket.recv_fds(asked, MOST_BYTES, 2)
        if not data:
            break
        request = json.loads(data)
        if "awaited" in request:
            _, ended = os.waitpid(request["awaited"], 0)
            living.discard(request["awaited"])
            asked.send(json.dumps({"status": os.waitstatus_to_exitcode(ended)}).encode())
            continue
        child = os.fork()
        if child == 0:
            asked.close()
            be_born(request, outputs)
        living.add(child)
        for output in outputs:
            os.close(output)
        asked.send(json.dumps({"pid": child}).encode())
    # Whoever ran the tests is gone, whatever became of it; so are the processes of its tests.
    for child in living:
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
