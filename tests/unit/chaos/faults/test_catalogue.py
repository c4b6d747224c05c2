from __future__ import annotations

from pathlib import Path

import pytest

from chaos.errors import FaultInvalid
from chaos.faults.base import Bite, together
from chaos.faults.catalogue import FAULTS, fault
from chaos.faults.parameters import described


def test_every_fault_is_made_with_its_defaults() -> None:
    """Defaults are within their own bounds, and each parameter has words for the documentation."""
    for kind, made in FAULTS.items():
        fields = described(made.parameters)
        assert fault(kind, ["T01"], {one.name: one.default for one in fields}).kind == kind
        assert all(one.text and one.allowed for one in fields)


@pytest.mark.parametrize(
    ("kind", "targets", "given", "told"),
    [
        ("flood", ["T01"], {}, "there is no fault 'flood'; there is: noop, cut,"),
        ("cut", [], {}, "cut has no targets"),
        ("cut", ["T01"], {"how": 1}, "cut has no parameter 'how'; it has: none"),
        ("latency", ["T01"], {"delay": 1}, "latency has no parameter 'delay'; it has: latency_ms, jitter_ms"),
        ("latency", ["T01"], {"latency_ms": 0}, "latency_ms = 0: give a whole number of ms from 1 to 60000"),
        ("latency", ["T01"], {"latency_ms": True}, "latency_ms = True: give a whole number"),
        ("latency", ["T01"], {"latency_ms": "9"}, "latency_ms = '9': give a whole number"),
        ("latency", ["T01"], {"jitter_ms": 200}, "jitter_ms = 200: give less than latency_ms, 200"),
        ("postgres_restart", ["postgres"], {"mode": "slow"}, "mode = 'slow': give one of fast, crash"),
    ],
)
def test_what_a_scenario_gets_wrong_is_named(
    kind: str, targets: list[str], given: dict[str, object], told: str
) -> None:
    """Kind, parameter or value, with what is allowed."""
    with pytest.raises(FaultInvalid) as caught:
        fault(kind, targets, given)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("bits", "all_bit"),
    [([], None), ([True, True], True), ([True, None], None), ([None, False], False), ([True, False], False)],
)
def test_the_weakest_bite_counts(bits: list[bool | None], all_bit: bool | None) -> None:
    """No evidence at all is none."""
    assert together(Bite(bit=bit, text="x") for bit in bits).bit is all_bit


@pytest.mark.parametrize("page", ["faults.md", "scenarios.md"])
def test_the_documentation_has_every_fault(page: str) -> None:
    """A row for each kind, in both tables; the no-op needs no evidence."""
    text = (Path(__file__).parents[4] / "docs" / page).read_text()
    missing = [kind for kind in FAULTS if f"| {kind} |" not in text and kind != "noop"]
    assert missing == []
