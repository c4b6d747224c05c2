from __future__ import annotations

from chaos.faults.bandwidth import Bandwidth, BandwidthParameters
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_when_the_line_is_full() -> None:
    """5 kB/s of 5 are used."""
    shop = shop_of()
    bite, healed = suffered(context_of(shop), Bandwidth(("T01",), BandwidthParameters(rate_kb_s=5)))
    assert (bite.bit, healed.ok) == (True, True)
    assert "% of the rate used" in bite.text


def test_it_does_not_bite_when_the_line_is_wide_enough() -> None:
    """A limit that was never reached held nothing back."""
    shop = shop_of()
    bite, _ = suffered(context_of(shop), Bandwidth(("T01",), BandwidthParameters(rate_kb_s=1000)))
    assert bite.bit is False
    assert "0 entries queued" in bite.text


def test_it_bites_when_entries_queue() -> None:
    """A backlog shows the limit even on a line that is idle between batches."""
    shop = shop_of()
    one = Bandwidth(("T01",), BandwidthParameters(rate_kb_s=1000))
    one.inject(context_of(shop))
    shop.sleep(1)
    shop.tills["T01"].head += 40
    for _ in range(2):
        one.observe(context_of(shop))
    one.lift(context_of(shop))
    bite = one.evidence(context_of(shop))
    assert bite.bit is True
    assert "40 entries queued" in bite.text


def test_a_sale_that_is_under_way_at_every_look_is_no_queue() -> None:
    """On the widest line the till is one entry ahead for a moment; the next look finds that one on the server."""
    shop = shop_of()
    context, one = context_of(shop), Bandwidth(("T01",), BandwidthParameters(rate_kb_s=100_000))
    one.inject(context)
    for _ in range(6):
        shop.sleep(0.5)
        shop.tills["T01"].head += 1
        one.observe(context)
    one.lift(context)
    bite = one.evidence(context)
    assert bite.bit is False
    assert "0 entries queued" in bite.text


def test_a_new_journal_is_not_measured_by_the_old_one() -> None:
    """A till that begins to count anew has no queue of the entries that it had before."""
    shop = shop_of()
    context, one = context_of(shop), Bandwidth(("T01",), BandwidthParameters(rate_kb_s=100_000))
    one.inject(context)
    one.observe(context)
    shop.tills["T01"].head = shop.tills["T01"].at_server = 3
    one.observe(context)
    one.lift(context)
    assert one.evidence(context).bit is False


def test_it_does_not_bite_an_unused_link() -> None:
    """No bytes of the till went through."""
    shop = shop_of()
    shop.tills["T01"].detour = True
    assert suffered(context_of(shop), Bandwidth(("T01",), BandwidthParameters(rate_kb_s=5)))[0].bit is False
