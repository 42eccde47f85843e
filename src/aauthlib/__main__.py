"""`python -m aauthlib` is the `aauth` command."""

from aauthlib.cli import main

main()
