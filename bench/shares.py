"""Where the time of a verification goes, by sampling: what share is inside the Ed25519 call, and where the rest is.

    .venv/bin/python bench/shares.py [SECONDS]      processor seconds for each subject, 10 unless given

A timer of processor time interrupts every millisecond and notes the Python frame that is running. A call into C is
noted for the line that made it, so the signature shows as the module that calls `cryptography`. Nothing is slowed down
for being looked at, unlike under `cProfile`. Writes nothing.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from pathlib import PurePath
from types import FrameType

import core
import peers
from rounds import Subject
from world import World

#: Files that make the call into OpenSSL for an Ed25519 verification.
CALLERS = ("aauthlib/ed25519.py", "http_message_signatures/_algorithms.py")
SUBJECTS = ("verify_warm", "verify_cold", "http-message-signatures")


def place(frame: FrameType) -> str:
    """The module of a frame, short; the call of the signature by name."""
    parts = PurePath(frame.f_code.co_filename).parts
    name = "/".join(parts[-2:])
    if name in CALLERS and frame.f_code.co_name == "verify":
        return "Ed25519 (OpenSSL)"
    if "http_sf" in parts:
        return "http_sf"
    return name if "site-packages" in parts or "aauthlib" in parts else "the rest"


def sample(subject: Subject, seconds: float) -> Counter[str]:
    """Samples by place over `seconds` of processor time; what prepares the inputs is not sampled."""
    seen: Counter[str] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        if frame is not None:
            seen[place(frame)] += 1

    spent = 0.0
    previous = signal.signal(signal.SIGPROF, note)
    try:
        while spent < seconds:
            run = subject.prepare()
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
            run()
            signal.setitimer(signal.ITIMER_PROF, 0)
            spent += time.process_time() - began
    finally:
        signal.signal(signal.SIGPROF, previous)
    return seen


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    world = World()
    found = {subject.name: subject for subject in (*core.subjects(world), *peers.subjects(world)[0])}
    for name in SUBJECTS:
        if name in found:
            seen = sample(found[name], seconds)
            total = sum(seen.values())
            print(f"{name} ({total} samples)")
            for where, count in seen.most_common(12):
                print(f"  {count / total:6.1%}  {where}")


if __name__ == "__main__":
    main()
