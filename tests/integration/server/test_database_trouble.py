"""When the database is the trouble: nothing is lost, nothing is taken for poison, and the server comes back."""

from __future__ import annotations

import threading

import pytest

from syncref.errors import Busy
from syncref.server.clock import now_ms
from syncref.server.ingest import Ingest
from syncref.store.server_open import open_engine
from syncref.wire.sync import Ack
from tests.integration.server.shop import Shop

_TRIGGER = """
CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF NEW.cashier = 'odd' THEN RAISE EXCEPTION 'never seen before'; END IF; RETURN NEW; END $$;
CREATE TRIGGER object BEFORE INSERT ON receipt FOR EACH ROW EXECUTE FUNCTION object();
"""


def test_an_error_of_an_unknown_class_is_tried_again_and_then_set_aside(shop: Shop) -> None:
    """The one entry that never goes in is bisected out; its neighbours are posted."""
    shop.execute(_TRIGGER)
    till = shop.till("T01")
    for n in range(5):
        till.sell(cashier="odd" if n == 3 else "c1")
    assert till.flush().seq == 5
    assert shop.value("SELECT string_agg(seq || ' ' || reason, ',') FROM aside WHERE till = 'T01'") == (
        "4 SQLSTATE P0001: never seen before"
    )
    assert shop.value("SELECT count(*) FROM receipt WHERE till = 'T01'") == 4
    shop.execute("DROP TRIGGER object ON receipt")


def test_a_lock_that_is_not_had_in_time_is_busy_and_nothing_is_set_aside(shop: Shop) -> None:
    """Resources and conflicts are no poison: the till sends the same again later."""
    till = shop.till("T02")
    till.sell()
    engine = open_engine(str(shop.engine.url.render_as_string(hide_password=False)), statement_timeout_ms=100)
    with shop.engine.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM journal WHERE till = 'T02' FOR UPDATE")
        with pytest.raises(Busy) as refused:
            Ingest(engine, now_ms).batch(till.batch())
    engine.dispose()
    assert refused.value.details["retry_after_ms"] == 500
    assert shop.value("SELECT count(*) FROM aside WHERE till = 'T02'") == 0
    assert till.flush().seq == 1


def test_a_promoted_database_takes_no_writes_until_its_term_is_opened(shop: Shop) -> None:
    """Another timeline than the term's: uploads and documents are refused as not live."""
    till, clerk = shop.till("T03"), shop.clerk()
    till.sell()
    shop.execute("UPDATE term SET timeline = timeline + 1")
    try:
        refused = till.upload()
        assert (refused.status, refused.json["code"]) == (503, "not_live")
        refused = clerk.document("vendors", vendors=[{"vendor_id": "V1", "name": "x"}])
        assert (refused.status, refused.json["code"]) == (503, "not_live")
        assert till.ask("GET", "/v1/health").json["status"] == "promoting"
    finally:
        shop.execute("UPDATE term SET timeline = timeline - 1")
    assert till.upload().wire(Ack).seq == 1


def test_the_server_outlives_the_loss_of_all_its_connections(shop: Shop) -> None:
    """As after a restart of PostgreSQL: the next upload goes through, and waiting tills are woken again."""
    till, clerk = shop.till("T04"), shop.clerk()
    _, page = till.run(0)
    till.sell()
    shop.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    shop.engine.dispose()
    assert till.flush().seq == 1
    waiting = threading.Thread(target=lambda: till.feed(page.pos, wait_ms=20_000))
    waiting.start()
    assert clerk.document("vendors", vendors=[{"vendor_id": "V1", "name": "Woken"}]).status == 200
    waiting.join(15)
    assert not waiting.is_alive()


def test_status_names_a_transaction_that_holds_the_feed_back(shop: Shop) -> None:
    """Feed lag and the age of the oldest writing transaction are there, and raise an alarm beyond the bound."""
    till, clerk = shop.till("T05"), shop.clerk()
    before = till.ask("GET", "/v1/status").json
    assert (before["role"], before["alarms"]) == ("live", [])
    assert [seen["till"] for seen in before["tills"]] == ["T05"]
    shop.execute("UPDATE change SET at_ms = at_ms - 60000")
    with shop.engine.begin() as connection:
        connection.exec_driver_sql("SELECT pg_current_xact_id()")
        assert clerk.document("vendors", vendors=[{"vendor_id": "V1", "name": "Held"}]).status == 200
        shop.execute("UPDATE change SET at_ms = at_ms - 60000 WHERE version = (SELECT max(version) FROM vendor)")
        held = till.ask("GET", "/v1/status").json
        metrics = till.ask("GET", "/metrics").data.decode()
    assert held["feed_lag_ms"] >= 60_000
    assert held["alarms"][0].startswith("feed_lag: ")
    lag = next(line for line in metrics.splitlines() if line.startswith("syncref_server_feed_lag_seconds "))
    assert float(lag.split()[1]) >= 60
