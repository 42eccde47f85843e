"""Take the pictures in docs/pictures anew, in Chromium. Run it in the development environment (`make screenshots`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the tests that take pictures, and keep what they take."""
    environment = {**os.environ, "AAUTHLIB_PICTURES": str(ROOT / "docs" / "pictures")}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "browser", "-k", "picture", "tests/browser"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
