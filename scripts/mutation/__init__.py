"""What `scripts/mutate.py` is made of: making mutants, running tests on them, keeping results, explaining survivors."""
