"""What the matrix promises, and the document people read it in."""

from __future__ import annotations

import pytest

from .flows import FLOWS, REVOCATIONS, Flow, promises
from .hosts import Fault
from .strikes import SERVED, USELESS
from .table import DOCUMENT, render
from .town import MIDDLE

PROMISED = promises()
#: Another process answers and nobody notices, unless the old one had a person's answer to wait for.
_UNNOTICED = (Fault.SLOW, Fault.RESTARTED)


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), "write it anew with `make docs`"


@pytest.mark.parametrize("flow", [*FLOWS, *REVOCATIONS], ids=lambda flow: flow.name)
def test_there_is_a_promise_for_every_cell_and_no_other(flow: Flow) -> None:
    assert {name: set(row) for name, row in PROMISED[flow.name].items()} == {
        str(strike): set(flow.faults) for strike in flow.strikes
    }


@pytest.mark.parametrize("flow", [flow for flow in FLOWS if not flow.denied], ids=lambda flow: flow.name)
def test_no_promise_is_worse_than_the_failure(flow: Flow) -> None:
    """Slowness and restarts are not noticed; who cannot do anything does not serve; a restart ends what waits there."""
    for strike in flow.strikes:
        for fault in flow.faults:
            ends = PROMISED[flow.name][str(strike)][fault].split("|")
            if fault in _UNNOTICED and not (strike.host == MIDDLE and strike.asks_only):
                assert ends == [SERVED], (str(strike), fault)
            if fault in USELESS:
                assert SERVED not in ends, (str(strike), fault)


@pytest.mark.parametrize("flow", [flow for flow in FLOWS if flow.denied], ids=lambda flow: flow.name)
def test_nothing_turns_a_no_into_a_yes(flow: Flow) -> None:
    assert all(SERVED not in end.split("|") for row in PROMISED[flow.name].values() for end in row.values())
