"""Cleaning a till: it hands everything over, refuses, or exports; killed anywhere, it is the old or the new."""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syncref.errors import ConfigInvalid, Fork, RuleBroken
from syncref.server.import_entries import import_export
from syncref.store import till_clean
from syncref.store.till_journal import check_chain
from syncref.store.till_open import TillDatabase
from syncref.store.till_rebase import closed_journals
from syncref.store.till_state import read_state
from syncref.till.clean import Cleaned, cancel, clean
from syncref.till.process import Till
from syncref.wire.export import read_export
from tests.integration.server.pair import Pair, until
from tests.integration.server.shop import SECRET
from tests.integration.server.test_commands import free_port
from tests.integration.till.shop import Counter
from tests.integration.till.test_failover import pair, shop
from tests.integration.till.test_sync import Shop

__all__ = ["pair", "shop"]


def close_day(shop: Shop) -> None:
    """Close the open day."""
    shop.till.desk._checkout.close_day(op_id=os.urandom(16), cashier="C1", counted_cash=0)


def cleaned(shop: Shop, *, export: Path | None = None, wait_s: float = 60.0) -> Cleaned:
    """Stop the till and clean it."""
    shop.till.stop()
    return clean(shop.settings, SECRET + "T01", export=export, wait_s=wait_s, say=lambda text: None)


def test_a_till_that_is_safe_begins_anew_and_sells(pair: Pair, shop: Shop) -> None:
    """Its transactions have left, its masters are loaded anew, and the server holds one unbroken story."""
    shop.sell(3)
    close_day(shop)
    old = shop.state()
    done = cleaned(shop)
    assert done.exported == 0
    assert pair.preprod.value("SELECT count(*) FROM entry") == old.head_seq
    shop.till = Till(shop.settings)
    shop.till._secret = SECRET + "T01"
    with shop.till.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM receipt").scalar_one() == 0
        assert check_chain(connection, where="here").seq == 1
    state = shop.state()
    assert (state.incarnation, state.mode, state.closed_date) == (done.key.incarnation, "closed", old.closed_date)
    assert not state.loaded
    shop.till.start()
    shop.until_loaded()
    with pytest.raises(RuleBroken, match="not after"):
        shop.open_day()
    shop.till.desk._checkout.open_day(op_id=os.urandom(16), cashier="C1", business_date="2025-03-02", float_cash=0)
    shop.sell(2)
    shop.until_acked()
    closed = pair.live.value("SELECT closed_at_seq FROM journal WHERE seq = :n", n=old.head_seq)
    assert (closed, pair.live.value("SELECT count(*) FROM receipt WHERE status = 'posted'")) == (old.head_seq, 5)


def test_an_open_day_or_a_running_till_is_refused(shop: Shop) -> None:
    """Nothing is changed: the Z would be missing, or two would write."""
    with pytest.raises(RuleBroken, match="the day 2025-03-01 is open"):
        cleaned(shop)
    port = free_port()
    settings = replace(shop.settings, till=replace(shop.settings.till, listen=f"127.0.0.1:{port}"))
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigInvalid, match="listen"):
        clean(settings, SECRET, export=None, wait_s=0, say=print)
    assert shop.state().mode == "selling"


def test_a_till_that_is_not_safe_keeps_draining_until_told_otherwise(pair: Pair, shop: Shop) -> None:
    """It sells nothing meanwhile, also after a restart; --cancel lets it sell, another try goes on."""
    shop.until_acked()
    until(lambda: pair.preprod.value("SELECT count(*) FROM entry") == 1, "the opening's replay")
    pair.preprod.cut()
    shop.sell(2)
    close_day(shop)
    shop.until_acked()
    with pytest.raises(RuleBroken, match="3 entries are not safe: on the live server alone"):
        cleaned(shop, wait_s=8.0)
    shop.till = Till(shop.settings)
    with pytest.raises(RuleBroken, match="draining"):
        shop.till.desk._checkout.open_day(
            op_id=os.urandom(16), cashier="C1", business_date="2025-03-02", float_cash=0
        )
    assert cancel(shop.settings)
    assert not cancel(shop.settings)
    assert shop.state().mode == "closed"


def test_what_is_on_no_server_can_be_exported_and_imported(pair: Pair, shop: Shop, tmp_path: Path) -> None:
    """Into the closed journal, under its hashes, once; the till sells on meanwhile."""
    shop.sell(1)
    shop.until_acked()
    until(lambda: pair.preprod.value("SELECT count(*) FROM entry") == 2, "the replay")
    pair.live.kill()
    shop.sell(2)
    close_day(shop)
    head = shop.state().head_seq
    with pytest.raises(RuleBroken, match=r"of them on no server \(.+\);"):
        cleaned(shop, wait_s=3)
    file = tmp_path / "till.export"
    done = cleaned(shop, export=file, wait_s=0.5)
    assert done.exported == head
    pair.live.start()
    pair.live.reign().confirm()
    shop.till = Till(shop.settings)
    shop.till._secret = SECRET + "T01"
    shop.restart()
    shop.until_acked()
    engine = pair.live.engine()
    for known in (2, head):
        found = import_export(engine, read_export(file))
        assert (found.entries, found.known) == (head, known)
    assert pair.live.value("SELECT count(*) FROM receipt WHERE status = 'posted'") == 3
    settled = pair.live.value("SELECT count(*) FROM z_report")
    assert settled == 1
    _refuses_what_does_not_follow(engine, file)
    engine.dispose()


def _refuses_what_does_not_follow(engine: Any, file: Path) -> None:
    """Another cluster's, or other bytes than the server has."""
    export = read_export(file)
    with pytest.raises(ConfigInvalid, match="of cluster other"):
        import_export(engine, replace(export, cluster="other"))
    journal = export.journals[0]
    payloads = (b"\x90", *journal.payloads[1:])
    with pytest.raises(Fork):
        import_export(engine, replace(export, journals=(replace(journal, payloads=payloads),)))
    ahead = replace(journal, incarnation=os.urandom(16), first_seq=9)
    with pytest.raises(ConfigInvalid, match="up to 0, the export begins at 9"):
        import_export(engine, replace(export, journals=(ahead,)))


STEPS = ("create_tables", "_fill", "_checkpoint", "_sync", "_remove")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("times", [1, 2, 3])
def test_killed_at_any_step_it_is_done_again(counter: Counter, till_dsn: str, step: str, times: int) -> None:
    """kill -9 before a step's work: the till is whole, old or new, and cleaning it once more ends well."""
    counter.close_day()
    with counter.database.read() as connection:
        old = read_state(connection)
    counter.database.close()
    child = os.fork()
    if child == 0:
        _killed_in(till_dsn, step, times)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (-signal.SIGKILL, 7)
    database = TillDatabase(till_dsn)
    database.check()
    with database.read() as connection:
        assert check_chain(connection, where="here").seq in (1, old.head_seq)
    _replace(database)
    database.check()
    with database.read() as connection:
        state = read_state(connection)
        assert check_chain(connection, where="here").seq == 1
        assert closed_journals(connection) == []
    assert state.incarnation != old.incarnation
    assert (state.till, state.closed_date, state.counter, state.mode) == ("T01", "2025-03-01", 0, "closed")
    database.close()


def _replace(database: TillDatabase) -> None:
    """Clean what is safe."""
    state = till_clean.begin_draining(database)
    tail = till_clean.Tail(key=state.key, end=state.head, acked=state.head_seq, safe=state.head_seq)
    till_clean.replace(database, [tail], at_ms=1)


def _killed_in(dsn: str, step: str, times: int) -> None:
    """In a child: clean the till, and die when a step begins; 7: the step never came so often."""
    left = [times]

    def dying(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*given, **named)

    try:
        owner: Any = TillDatabase if step == "create_tables" else till_clean
        original = getattr(owner, step)
        setattr(owner, step, dying)
        _replace(TillDatabase(dsn))
    finally:
        sys.stdout.flush()
        os._exit(7)
