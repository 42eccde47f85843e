"""Interleaved rounds: every subject has its turn in every round, in short slices, so that noise hits all alike.

A subject prepares its inputs outside the clock and runs them in one go inside it. The clock is the processor time of
this process, since one thread that waits for nothing is measured and others may use the machine. The rate of a round is
what a subject did over the time it took; figures are medians over rounds, and ratios medians of the ratios in a round.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import process_time

ROUNDS = 7
SLICES = 6


@dataclass(frozen=True)
class Subject:
    """Something to measure. `prepare` returns what is timed, which returns how many operations it did."""

    name: str
    prepare: Callable[[], Callable[[], int]]


@dataclass
class Rates:
    """Operations per second of each subject in each round."""

    by_name: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        return statistics.median(self.by_name[name])

    def ratio(self, name: str, raw: str) -> float:
        return statistics.median(a / b for a, b in zip(self.by_name[name], self.by_name[raw], strict=True))

    def spread(self, name: str) -> float:
        """Distance of the extremes as a share of the median."""
        rates = self.by_name[name]
        return (max(rates) - min(rates)) / statistics.median(rates)


def measure(subjects: Sequence[Subject], *, rounds: int = ROUNDS, slices: int = SLICES) -> Rates:
    """One round to warm up, then `rounds` that count."""
    rates = Rates({subject.name: [] for subject in subjects})
    for number in range(rounds + 1):
        done = dict.fromkeys(rates.by_name, 0)
        took = dict.fromkeys(rates.by_name, 0.0)
        for turn in range(slices):
            start = turn % len(subjects)  # nobody always follows the same neighbour
            for subject in (*subjects[start:], *subjects[:start]):
                run = subject.prepare()
                began = process_time()
                count = run()
                took[subject.name] += process_time() - began
                done[subject.name] += count
        if number:
            for name, seconds in took.items():
                rates.by_name[name].append(done[name] / seconds)
        gc.collect()
    return rates
