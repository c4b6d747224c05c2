"""Attacks of somebody who has a till's credential, or none: each is refused, changes nothing, and is reported."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec
import pytest

from syncref.auth import Identity, TokenSigner
from syncref.wire.entry import encode_entry
from syncref.wire.sync import Ack, TermWire
from tests.integration.server.shop import SECRET, Clerk, Client, Shop, Till, sale

WAIT_S = 10.0


def reported(shop: Shop, name: str, code: str, *, least: int = 1) -> dict[str, Any]:
    """Return what the server's status shows of a refusal, once it has counted at least so many."""
    clerk = Clerk(url=shop.server_url)
    shop.clients.append(clerk)
    assert clerk.log_in().status == 200
    end = time.monotonic() + WAIT_S
    while True:
        status = clerk.ask("GET", "/v1/status").json
        for one in status["refused"]:
            if (one["name"], one["code"]) == (name, code) and one["count"] >= least:
                assert any(code in alarm for alarm in status["alarms"])
                found: dict[str, Any] = one
                return found
        assert time.monotonic() < end, f"{code} of {name} is not reported: {status['refused']}"
        time.sleep(0.05)


def entries(shop: Shop, name: str) -> int:
    """Count what the server holds of a till."""
    return int(shop.value("SELECT count(*) FROM entry WHERE till = :till", till=name))


def test_a_till_can_neither_write_nor_shake_hands_as_another(shop: Shop) -> None:
    """Its token speaks for itself alone, whatever the body says."""
    honest, thief = shop.till("T02"), shop.till("T01")
    honest.sell()
    stolen = honest.batch()
    assert (thief.post_wire("/v1/journal", stolen).status, entries(shop, "T02")) == (403, 0)
    assert thief.hello(till="T02", incarnation=honest.incarnation).status == 403
    assert reported(shop, "T01", "forbidden", least=2)
    assert honest.flush().seq == 1, "the honest till goes on"


def test_a_till_can_not_read_what_is_another_s(shop: Shop) -> None:
    """Settlement and status show it itself; the servers' and the clerks' routes are closed to it."""
    shop.till("T02")
    thief = shop.till("T03")
    assert thief.ask("GET", "/v1/settlement?till=T02").status == 403
    assert {one["till"] for one in thief.ask("GET", "/v1/status").json["tills"]} <= {"T03"}
    assert {row["till"] for row in thief.ask("GET", "/v1/settlement").json} <= {"T03"}
    assert thief.ask("GET", "/v1/peer").status == 403
    assert thief.ask("POST", "/v1/fence", json={"term_n": 99}).status == 403
    assert thief.ask("POST", "/v1/promote").status == 403
    office = Client(url=shop.office_url, kind="till", name="T03", token=thief.token)
    shop.clients.append(office)
    assert office.ask("POST", "/v1/products", json={"op_id": "0" * 32, "products": []}).status in (400, 403)
    assert office.ask("GET", "/v1/asides").status == 403
    assert reported(shop, "T03", "forbidden", least=4)


def test_a_batch_can_not_be_replayed_into_another_s_journal(shop: Shop) -> None:
    """Neither under the thief's name nor in the victim's old session; its own replay is counted once."""
    victim = shop.till("T04")
    victim.sell()
    batch = victim.batch()
    victim.flush()
    old_session = victim.session
    victim.greet()
    late = victim.post_wire("/v1/journal", msgspec.structs.replace(batch, session=old_session))
    assert (late.status, late.json["code"]) == (409, "session_unknown")
    again = victim.post_wire("/v1/journal", msgspec.structs.replace(batch, session=victim.session))
    assert again.wire(Ack).seq == 1
    thief = shop.till("T01")
    mine = msgspec.structs.replace(
        batch, till="T01", incarnation=thief.incarnation, session=thief.session, prev_hash=batch.prev_hash
    )
    assert thief.post_wire("/v1/journal", mine).status in (200, 409), "at most in its own journal"
    assert shop.value("SELECT count(*) FROM receipt WHERE till = 'T04'") == 1
    posted = shop.value(
        "SELECT count(*) FROM receipt WHERE status = 'posted' AND op_id ="
        " (SELECT op_id FROM receipt WHERE till = 'T04')"
    )
    assert posted == 1, "one op id is posted once in the whole chain"


def test_a_forged_chain_is_a_fork_and_overwrites_nothing(shop: Shop) -> None:
    """Other bytes at a sequence that the server has are never acked."""
    till = shop.till("T05")
    till.sell()
    till.flush()
    before = shop.value("SELECT payload FROM entry WHERE till = 'T05'")
    forged = encode_entry(sale(1, (("P1", 1000, 1),)))
    answer = till.post_wire("/v1/journal", till.batch(1, 1, payloads=(forged,)))
    assert (answer.status, answer.json["code"], answer.json["at_seq"]) == (409, "fork", 1)
    wrong_prev = till.post_wire("/v1/journal", till.batch(1, 1, first_seq=2, prev_hash=secrets.token_bytes(32)))
    assert wrong_prev.json["code"] == "fork"
    assert shop.value("SELECT payload FROM entry WHERE till = 'T05'") == before
    assert reported(shop, "T05", "fork", least=2)


@pytest.mark.parametrize(
    ("name", "change", "code", "reason"),
    [
        ("T06", {"n": 1 << 40}, "not_live", "term_ahead"),
        ("T07", {"id": bytes(16)}, "stale_term", "false_term"),
        ("T08", {"cluster": "elsewhere"}, "stale_term", "false_term"),
    ],
)
def test_a_forged_term_fences_nobody(
    shop: Shop, name: str, change: dict[str, Any], code: str, reason: str
) -> None:
    """A till's word about a newer server is no proof: the others go on at this one, and it is reported."""
    forger, honest = shop.till(name), shop.till("T02")
    assert forger.term is not None
    known = forger.term
    forged = TermWire(**(msgspec.structs.asdict(known) | change))
    answer = forger.hello(term=forged)
    assert answer.json["code"] == code
    honest.greet()
    assert honest.term == known
    assert shop.value("SELECT fenced_by IS NULL FROM term")
    assert reported(shop, name, reason)["detail"]


def test_a_till_can_not_raise_the_term_again_and_again(shop: Shop) -> None:
    """That it was acked more than is here is believed once, for a restored server; then it is an attack."""
    forger = shop.till("T09")
    before = int(shop.value("SELECT n FROM term"))
    forger.greet(acked=10, head_seq=10, head_hash=bytes(32))
    assert int(shop.value("SELECT n FROM term")) == before + 1
    assert forger.hello(acked=10, head_seq=10, head_hash=bytes(32)).status == 403
    assert int(shop.value("SELECT n FROM term")) == before + 1
    assert reported(shop, "T09", "term_raised", least=1)
    assert reported(shop, "T09", "forbidden", least=1)


def test_a_token_of_another_cluster_is_worth_nothing(shop: Shop) -> None:
    """Nor is one with a changed name, and an expired one is renewed, not reported."""
    kid, key = shop.value("SELECT kid FROM token_key"), bytes(shop.value("SELECT secret FROM token_key"))
    till, who = shop.till("T01"), Identity(kind="till", name="T01")
    far = 1 << 50
    till.token = TokenSigner(keys={kid: secrets.token_bytes(32)}).sign(who, expires_ms=far)
    assert till.hello().status == 401
    till.token = TokenSigner(keys={kid: key}).sign(who, expires_ms=far)
    assert till.hello().status == 200
    body, _, seal = till.token.partition(".")
    server = TokenSigner(keys={kid: key}).sign(Identity(kind="server", name="peer"), expires_ms=far)
    till.token = f"{server.partition('.')[0]}.{seal}"
    assert till.ask("GET", "/v1/peer").status == 401
    found = reported(shop, "", "forged_token")
    assert found["count"] >= 1
    assert body not in found["detail"]
    till.token = TokenSigner(keys={kid: key}).sign(who, expires_ms=1)
    assert "expired" in till.hello().json["message"]


def test_a_wrong_secret_is_reported_and_locks_out_for_a_while(shop: Shop) -> None:
    """Only the identity that failed, only for log-ins, and not for ever: its token goes on to be good."""
    till = shop.till("T02")
    for _ in range(3):
        assert till.log_in("a wrong secret").status == 401
    waits = till.log_in()
    assert (waits.status, waits.json["code"]) == (429, "too_many_attempts")
    assert int(waits.headers["Retry-After"]) >= 1
    assert till.hello().status == 200, "the token that it has is good"
    other = Till(url=shop.server_url, name="T03")
    shop.clients.append(other)
    assert other.log_in().status == 200
    end = time.monotonic() + WAIT_S
    while till.log_in(SECRET + "T02").status != 200:
        assert time.monotonic() < end, "the lock-out does not end"
        time.sleep(0.1)
    assert reported(shop, "T02", "wrong_secret", least=3)
    assert reported(shop, "T02", "locked_out", least=1)
