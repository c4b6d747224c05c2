"""Who is live: promotion, fence, confirmation and safe, on a PostgreSQL with a streaming standby."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from syncref.core.failover import Role
from syncref.errors import RuleBroken
from syncref.server.client import fetch_status
from syncref.wire.sync import Ack
from tests.integration.server.pair import Pair, Site, until
from tests.integration.server.shop import Till

ACME = {"vendor_id": "V1", "name": "Acme"}


def replayed(pair: Pair, site: Site, till: Till) -> None:
    """Wait until a standby has all of a till's journal."""
    until(lambda: site.value("SELECT seq FROM journal WHERE till = :t", t=till.name) == till.acked, "the replay")


def move(pair: Pair, till: Till, site: Site) -> None:
    """Take a till to another server, with its journal as it is."""
    till.url = site.url
    till.close()
    assert till.log_in().status == 200


def test_a_server_takes_nothing_until_a_peer_confirms_it_and_a_standby_never(pair: Pair) -> None:
    """Until preproduction answers the live server refuses tills and clerks; preproduction refuses always."""
    pair.live.start()
    till = pair.till(pair.live)
    clerk = pair.clerk(pair.live)
    assert pair.live.role().role is Role.STARTING
    assert till.hello().json["code"] == "not_live"
    assert till.ask("GET", "/v1/feed", fields={"pos": 0}).json["code"] == "not_live"
    assert clerk.document("tax-rates", tax_rates=[{"tax_code": "A", "rate_bp": 1900}]).json["code"] == "not_live"
    health = till.ask("GET", "/v1/health")
    assert (health.status, health.json["status"]) == (503, "starting")
    pair.preprod.start()
    until(lambda: till.ask("GET", "/v1/health").status == 200, "the confirmation")
    till.greet()
    till.sell()
    assert till.flush().seq == 1
    assert fetch_status(pair.preprod.url, None, None)["status"] == "standby", "nobody needs a log-in to see that"
    at_standby = pair.till(pair.preprod)
    refused = at_standby.hello()
    assert (refused.status, refused.json["code"]) == (503, "not_live")
    document = pair.clerk(pair.preprod).document("tax-rates", tax_rates=[{"tax_code": "A", "rate_bp": 1}])
    assert (document.status, document.json["code"]) == (503, "not_live")
    parity = pair.peer(pair.preprod).ask("GET", "/v1/parity").json
    assert (parity["ok"], parity["differences"]) == (True, [])


def standbys(site: Site) -> dict[str, float]:
    """Return what a server's metrics say of its standbys."""
    with urllib.request.urlopen(f"{site.url}/metrics") as answer:  # noqa: S310 - our own http URL
        families = text_string_to_metric_families(answer.read().decode())
    return {each.name: each.value for family in families for each in family.samples if "standby_" in each.name}


def test_safe_and_the_clerks_ok_follow_the_standby_and_stand_still_without_one(pair: Pair) -> None:
    """A till is told what the standby has, never more; a clerk's ok means that the standby has it."""
    pair.start()
    till, clerk = pair.till(pair.live), pair.clerk(pair.live)
    till.greet()
    till.sell()
    till.flush()
    until(lambda: till.greet().safe == 1, "the safe sequence")
    answer = clerk.document("tax-rates", tax_rates=[{"tax_code": "A", "rate_bp": 1900}])
    assert answer.json["status"] == "ok"
    assert pair.preprod.value("SELECT rate_bp FROM tax_rate WHERE tax_code = 'A'") == 1900
    assert standbys(pair.live)["syncref_server_standby_streaming"] == 1
    assert standbys(pair.live)["syncref_server_standby_lag_bytes"] >= 0
    assert standbys(pair.preprod) == {}
    pair.preprod.kill()
    till.sell()
    assert till.upload(2).wire(Ack).safe == 1
    assert till.greet().safe == 1
    op_id = "ab" * 16
    changed = {"tax_rates": [{"tax_code": "A", "rate_bp": 700}]}
    assert clerk.document("tax-rates", op_id=op_id, **changed).json["status"] == "at_risk"
    pair.preprod.start()
    until(lambda: till.greet().safe == 2, "the safe sequence to go on")
    assert clerk.document("tax-rates", op_id=op_id, **changed).json["status"] == "ok"


def test_a_standby_that_has_clean_ups_to_replay_is_promoted_and_does_not_wait_for_itself(pair: Pair) -> None:
    """The snapshot of a promotion that waits would hold its own replay up until it gives up."""
    pair.start()
    standby, live = (
        site.engine().execution_options(isolation_level="AUTOCOMMIT") for site in (pair.preprod, pair.live)
    )
    with standby.connect() as there, live.connect() as here:
        there.exec_driver_sql("SELECT pg_wal_replay_pause()")
        until(
            lambda: there.exec_driver_sql("SELECT pg_get_wal_replay_pause_state()").scalar() == "paused",
            "the pause",
        )
        here.exec_driver_sql("CREATE TABLE junk AS SELECT generate_series(1, 100) AS n")
        here.exec_driver_sql("DELETE FROM junk WHERE n < 100")
        here.exec_driver_sql("VACUUM junk")
        end = here.exec_driver_sql("SELECT pg_current_wal_flush_lsn()").scalar()
        reached = f"SELECT pg_last_wal_receive_lsn() >= '{end}'"
        until(lambda: there.exec_driver_sql(reached).scalar(), "the WAL at the standby")
    pair.live.kill()
    assert pair.preprod.reign().promote().role is Role.LIVE
    assert pair.preprod.value("SELECT n FROM junk") == 100
    standby.dispose()
    live.dispose()


def test_the_standby_is_promoted_and_the_old_live_server_that_returns_is_fenced_for_good(pair: Pair) -> None:
    """The till resumes after what the new server has; the old one takes nothing, whoever asks, restarts or not."""
    pair.start()
    till = pair.till(pair.live)
    till.greet()
    till.sell()
    till.flush()
    replayed(pair, pair.preprod, till)
    old = till.term
    pair.live.kill()
    promoted = pair.peer(pair.preprod).ask("POST", "/v1/promote")
    assert promoted.status == 200, promoted.data
    assert (promoted.json["role"], promoted.json["term_n"]) == ("live", 2)
    assert pair.peer(pair.preprod).ask("POST", "/v1/promote").json["term_n"] == 2
    till.sell()
    move(pair, till, pair.preprod)
    answer = till.greet()
    assert (answer.durable_seq, answer.term.n, answer.safe) == (1, 2, 0)
    assert till.upload(2).wire(Ack).seq == 2
    stale = till.upload(2, term=old)
    assert (stale.status, stale.json["code"]) == (409, "stale_term")
    document = pair.clerk(pair.preprod).document("vendors", vendors=[ACME])
    assert (document.status, document.json["status"]) == (200, "at_risk")

    pair.live.start()
    until(lambda: pair.live.role().role is Role.FENCED, "the fence")
    stranger = pair.till(pair.live, "T02")
    assert stranger.hello().json["code"] == "not_live"
    assert pair.clerk(pair.live).document("vendors", vendors=[ACME]).json["code"] == "not_live"
    pair.preprod.stop()
    pair.live.kill()
    pair.live.start()
    assert pair.live.role().role is Role.FENCED
    assert pair.till(pair.live, "T02").hello().json["code"] == "not_live"


def test_a_fence_is_refused_to_an_older_term_and_ends_only_by_the_operator(pair: Pair) -> None:
    """Fenced by a newer term before any promotion, the server comes back under a term above the fence."""
    pair.start()
    peer = pair.peer(pair.live)
    refused = peer.ask("POST", "/v1/fence", json={"term_n": 1})
    assert (refused.status, refused.json["code"]) == (422, "rule_broken")
    fenced = peer.ask("POST", "/v1/fence", json={"term_n": 4})
    assert (fenced.status, fenced.json["role"], fenced.json["fenced_by"]) == (200, "fenced", 4)
    assert pair.till(pair.live).hello().json["code"] == "not_live"
    forbidden = pair.till(pair.live).ask("POST", "/v1/confirm")
    assert forbidden.status == 403
    confirmed = peer.ask("POST", "/v1/confirm")
    assert (confirmed.json["role"], confirmed.json["term_n"]) == ("live", 5)
    assert pair.till(pair.live).greet().term.n == 5


def test_another_timeline_writes_nothing_until_its_term_is_open(pair: Pair) -> None:
    """A database promoted behind the server's back, or restored, is no live server; `promote` finishes it."""
    pair.start()
    till = pair.till(pair.preprod)
    pair.live.kill()
    pair.preprod.value("SELECT pg_promote(true, 30)")
    assert pair.preprod.role().role is Role.PROMOTING
    assert till.hello().json["code"] == "not_live"
    assert pair.clerk(pair.preprod).document("vendors", vendors=[ACME]).json["code"] == "not_live"
    pair.preprod.stop()
    pair.preprod.start()
    assert pair.preprod.role().role is Role.PROMOTING
    with pytest.raises(RuleBroken):
        pair.preprod.reign().fence(1)
    assert pair.preprod.reign().promote().term.n == 2
    assert till.greet().term.n == 2


def test_a_server_restored_behind_its_tills_opens_a_new_term(pair: Pair) -> None:
    """A till that was acked more in the same term shows it: the till sends again what was lost."""
    pair.start()
    till = pair.till(pair.live)
    till.greet()
    for _ in range(3):
        till.sell()
    till.flush()
    pair.live.value("SELECT 1")
    engine = pair.live.engine()
    with engine.begin() as connection:  # what a restored disk looks like: the same timeline, less in it
        for table in ("entry", "receipt", "line", "payment", "flag"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE till = 'T01' AND seq > 1")  # noqa: S608
        values = (1, till.hash_at(1))
        connection.exec_driver_sql("UPDATE journal SET seq = %s, hash = %s WHERE till = 'T01'", values)
    engine.dispose()
    answer = till.greet()
    assert (answer.term.n, answer.durable_seq, answer.durable_hash) == (3, 1, till.hash_at(1))
    assert till.upload(2).wire(Ack).seq == 3
    until(lambda: pair.preprod.role().term.n == 3, "the standby's replay of the term")
    until(lambda: till.greet().safe == 3, "safe in the new term")
