"""Writes docs/attacks.md: what every party of the protocol tries on every other, from the tables of the attack tests.

`tests/attacks/test_pairs.py` fails when the document on disk is not what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests.attacks import deputies_agents, deputies_resources, deputies_servers  # noqa: E402, F401
from tests.attacks.deputies import TABLE, document  # noqa: E402

if __name__ == "__main__":
    (ROOT / "docs" / "attacks.md").write_text(document(TABLE), encoding="utf-8")
