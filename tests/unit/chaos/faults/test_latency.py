from __future__ import annotations

from contextlib import nullcontext

import pytest

from chaos.errors import ProxyUnavailable
from chaos.faults.latency import Latency, LatencyParameters
from chaos.fleet.links import Probe
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered

LATE = LatencyParameters(latency_ms=300, jitter_ms=50)


def test_it_bites_a_till_that_uses_the_link() -> None:
    """A request was late, and the till's bytes went through."""
    shop = shop_of()
    bite, healed = suffered(context_of(shop), Latency(("T01",), LATE))
    assert (bite.bit, healed.ok) == (True, True)
    assert "301 ms" in bite.text


def test_it_does_not_bite_an_unused_link() -> None:
    """The toxic acts, but nobody is there to feel it."""
    shop = shop_of()
    shop.tills["T01"].detour = True
    bite, _ = suffered(context_of(shop), Latency(("T01",), LATE))
    assert bite.bit is False
    assert "sent nothing" in bite.text


def test_a_request_that_was_not_late_refutes_it() -> None:
    """A toxic that does nothing is found out."""
    shop = shop_of()
    shop.wires["T01"].delay_ms = lambda: 1.0  # type: ignore[method-assign]
    assert suffered(context_of(shop), Latency(("T01",), LATE))[0].bit is False


def test_a_proxy_server_that_counts_nothing_proves_nothing() -> None:
    """Without counts it can't be told whether the till used the link."""
    shop = shop_of()
    shop.wires["T01"].bytes = None
    assert suffered(context_of(shop), Latency(("T01",), LATE))[0].bit is None


@pytest.mark.parametrize(("wedged", "bit"), [(False, False), (True, None)])
def test_one_that_is_not_on_to_its_end_does_not_count(wedged: bool, bit: bool | None) -> None:
    """Somebody else healed the link after the request that was late; or nobody can say."""
    shop = shop_of()
    context, one, wire = context_of(shop), Latency(("T01",), LATE), shop.wires["T01"]
    one.inject(context)
    wire.toxics.clear()
    wire.wedged = wedged
    with pytest.raises(ProxyUnavailable) if wedged else nullcontext():
        one.lift(context)
    wire.wedged = False
    context.sleep(1.0)
    one.lift(context)
    assert one.evidence(context).bit is bit


def test_a_silent_server_is_no_late_answer() -> None:
    """No answer within ten seconds shows a latency only where that may be so long."""
    silent = Probe(outcome="silent", took_ms=10_000)
    assert Latency(("T01",), LATE).acted(silent).bit is False
    assert Latency(("T01",), LatencyParameters(latency_ms=15_000)).acted(silent).bit is True
