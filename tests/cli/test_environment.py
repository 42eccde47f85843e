"""What the command takes from the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aauthlib.cli.exits import Exit

SOURCE = str(Path(__file__).parents[2] / "src")


def _run(**variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": SOURCE, **variables}
    command = [sys.executable, "-m", "aauthlib", "--help"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("backend", ["cryptography", "pynacl"])
def test_one_variable_chooses_the_ed25519_backend(backend: str):
    result = _run(AAUTHLIB_ED25519=backend)
    assert result.returncode == 0, result.stderr
    assert "fetch" in result.stdout


def test_a_backend_that_does_not_exist_is_a_usage_error_that_names_the_variable():
    result = _run(AAUTHLIB_ED25519="abacus")
    assert result.returncode == Exit.USAGE
    assert "AAUTHLIB_ED25519" in result.stderr
