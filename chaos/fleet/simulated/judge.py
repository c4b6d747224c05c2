"""What must hold once everything is quiet: judged from stores and histories, not from the system's word."""

from __future__ import annotations

from collections.abc import Callable

from chaos.fleet.simulated.clerks import OPENING_STOCK
from chaos.fleet.simulated.reception import decoded
from chaos.fleet.simulated.server_store import ServerStore
from chaos.fleet.simulated.settling import day_facts, sums
from chaos.fleet.simulated.till import TillNode
from chaos.fleet.simulated.watch import Finding
from chaos.fleet.simulated.world import World
from syncref.core.settlement import State, add, settle
from syncref.domain.identity import Key
from syncref.wire.entry import Receipt


def judge(world: World) -> list[Finding]:
    """Return everything that must not be, found while the schedule ran and at its end."""
    live = world.live()
    if live is not None:
        for check in (receipts, money, gapless, chain, settlement, masters, edits, stock):
            check(world, live.store, world.watch.find)
    return world.watch.findings


Find = Callable[[str, str], None]


def receipts(world: World, store: ServerStore, find: Find) -> None:
    """Every ok sale is on the server exactly once; nothing refused or invented is; numbers are unique."""
    seen = _posted(world, store, find)
    aside = _aside_ops(store)
    for op, asked in world.history.operations.items():
        if asked.operation.kind in ("open", "close") or asked.state != "ok" or op in world.declared:
            continue
        if op not in seen and op not in aside:
            find("receipts", f"{op.hex()} of till {asked.node} was ok and is not on the server")
        elif op in seen and asked.told is not None and asked.node not in world.losers:
            number = store.by_op[op].row.receipt_no
            if number != asked.told.receipt_no:
                find("receipts", f"{op.hex()} is {number} on the server, {asked.told.receipt_no} on paper")
    for till in world.tills:
        _on_till(world, till, find)


def _posted(world: World, store: ServerStore, find: Find) -> set[bytes]:
    """Return the op ids posted on the server, each of them once and asked for by somebody."""
    seen: dict[bytes, int] = {}
    numbers: dict[str, bytes] = {}
    for journal in store.journals.values():
        for row in journal.receipts:
            op = row.receipt.op_id
            if row.status == "posted":
                seen[op] = seen.get(op, 0) + 1
            asked = world.history.operations.get(op)
            twins = asked is not None and asked.node in world.twins
            if numbers.setdefault(row.receipt_no, op) != op and not twins:
                find("receipts", f"receipt {row.receipt_no} is on the server twice")
    for op, count in seen.items():
        asked = world.history.operations.get(op)
        if asked is None:
            find("receipts", f"{op.hex()} is on the server and nobody asked for it")
        elif count > 1:
            find("receipts", f"{op.hex()} is posted {count} times")
        elif asked.state == "fail" and asked.node not in world.losers:
            find("receipts", f"{op.hex()} was refused and is on the server")
    return set(seen)


def _on_till(world: World, till: TillNode, find: Find) -> None:
    """A till has what it said ok to, and nothing that it refused."""
    lossy = till.index in world.losers
    for op in till.store.ops:
        asked = world.history.operations.get(op)
        if asked is None or (asked.state == "fail" and not lossy):
            find("receipts", f"{op.hex()} is on {till.name} and was never sold")
    for op, asked in world.history.operations.items():
        if asked.node == till.index and asked.state == "ok" and not lossy and op not in till.store.ops:
            find("receipts", f"{op.hex()} was ok and is not on {till.name}")


def money(world: World, store: ServerStore, find: Find) -> None:
    """What is posted is what was printed: each line and each payment."""
    for op, asked in world.history.operations.items():
        posted, told = store.by_op.get(op), asked.told
        if posted is None or told is None or not told.ok or asked.node in world.losers:
            continue
        printed = world.watch.printed.get(told.receipt_no)
        receipt = posted.row.receipt
        if printed is not None and (receipt.lines, receipt.payments) != (printed.lines, printed.payments):
            find("money", f"{told.receipt_no} is on the server with {receipt.payments}, not as printed")


def gapless(world: World, store: ServerStore, find: Find) -> None:
    """Receipt numbers run from 1 without a gap within an incarnation."""
    for key, journal in store.journals.items():
        counters = [0]
        for _, payload in journal.entries:
            entry = decoded(payload)
            if isinstance(entry, Receipt) and entry.number is None:
                counters.append(entry.counter)
        if counters != list(range(len(counters))):
            find("receipts", f"{key.till} numbers its receipts {counters[1:]}")


def _aside_ops(store: ServerStore) -> set[bytes]:
    """Return the op ids of receipts that are set aside; their bytes tell."""
    found = set()
    for journal in store.journals.values():
        for row in journal.asides:
            entry = decoded(journal.entries[row.seq - 1][1])
            if isinstance(entry, Receipt):
                found.add(entry.op_id)
    return found


def chain(world: World, store: ServerStore, find: Find) -> None:
    """Till bytes are server bytes wherever both have them, and the hashes follow from the bytes."""
    for till in world.tills:
        if till.gone:
            continue
        journals = dict(till.store.archive)
        current = till.store.journal.key.incarnation
        journals[current] = (till.store.anchor, till.store.entries)
        for incarnation, (base, entries) in journals.items():
            key = Key(till=till.key.till, incarnation=incarnation)
            journal = store.journals.get(key)
            stored = [] if journal is None else journal.entries
            for index, (value, payload, _) in enumerate(entries):
                seq = base.seq + index + 1
                if seq <= len(stored) and stored[seq - 1] != (value, payload):
                    find("chain", f"{till.name} and server differ at {seq}")
                    break
    for key, journal in store.journals.items():
        if len(journal.entries) != journal.row.durable.seq:
            find("chain", f"{key.till} claims {journal.row.durable.seq}, has {len(journal.entries)}")


def settlement(world: World, store: ServerStore, find: Find) -> None:
    """Each closed date is tallied, and its sums are those of the history."""
    expected: dict[tuple[str, str], list[Receipt]] = {}
    aside = _aside_ops(store)
    for op, asked in world.history.operations.items():
        if asked.operation.kind in ("open", "close"):
            continue
        posted = store.by_op.get(op)
        if posted is not None:
            place = (world.tills[asked.node].name, posted.row.receipt.business_date)
            expected.setdefault(place, []).append(posted.row.receipt)
    lossy = {world.tills[index].name for index in world.losers}
    dates = _closed_dates(world, store, find)
    for op in sorted(aside - world.poison):
        find("settlement", f"{op.hex()} is set aside and nothing is wrong with it")
    for node in world.tills:
        if node.index not in world.losers and node.store.journal.business_date is not None:
            find("settlement", f"{node.name} can't close {node.store.journal.business_date}")
    for till, date in sorted(dates):
        facts = day_facts(store, till, date)
        settled = settle(facts)
        if till not in lossy and settled.state is not State.TALLIED:
            find("settlement", f"{till} {date} is {settled.state.value}: {'; '.join(settled.reasons)}")
        if facts.missing and till in lossy:
            find("settlement", f"{till} {date}: {facts.missing} numbers are missing that no till has lost")
        held = add(facts.posted, facts.late)
        wanted = sums(expected.get((till, date), []))
        if (held.receipts, held.gross, held.tax) != (wanted.receipts, wanted.gross, wanted.tax):
            find("settlement", f"{till} {date}: server has {held.gross}, sold were {wanted.gross}")


def _closed_dates(world: World, store: ServerStore, find: Find) -> set[tuple[str, str]]:
    """Return (till, date) of each day whose close was ok; each has a Z on the server."""
    zs = {z.op_id: (key.till, z.business_date) for key, held in store.journals.items() for _, z in held.zs}
    dates = set()
    for op, asked in world.history.operations.items():
        if asked.operation.kind != "close" or asked.state != "ok":
            continue
        if op in zs:
            dates.add(zs[op])
        elif op not in world.declared and asked.node not in world.losers:
            find("settlement", f"{world.tills[asked.node].name} closed a day by {op.hex()} without a Z")
    return dates


def masters(world: World, store: ServerStore, find: Find) -> None:
    """Every till has the server's rows, at the server's versions."""
    for till in world.tills:
        if till.gone:
            continue
        have = till.store.masters.tables
        for table in store.tables.keys() | have.keys():
            want = {key: row for key, row in store.tables.get(table, {}).items() if row[0] is not None}
            rows = have.get(table, {})
            if rows != want:
                different = [key for key in rows.keys() | want.keys() if rows.get(key) != want.get(key)]
                find("masters", f"{till.name} differs in {table} at {sorted(map(str, different))[:3]}")


def edits(world: World, store: ServerStore, find: Find) -> None:
    """A document that was ok is there, with the versions that were told or later ones."""
    for op, document in world.history.documents.items():
        answer = document.answer
        if answer is None or answer.at_risk or (world.edits_lost and answer.at_ms <= world.restored_ms):
            continue
        if op not in store.operations:
            find("edits", f"document {op.hex()} was ok and is gone")
            continue
        for table, key, version in answer.rows:
            there = store.tables.get(table, {}).get(key)
            if (there is None and store.floor == 0) or (there is not None and there[1] < version):
                find("edits", f"{table} {key} is below version {version}")


def stock(world: World, store: ServerStore, find: Find) -> None:
    """Opening stock and deliveries, less what was sold, is what the rows say."""
    expected = {f"p{n}": OPENING_STOCK for n in range(world.plan.products)}
    for op, document in world.history.documents.items():
        if op in store.operations:
            for change in document.asked.changes:
                if change.table == "stock" and change.values is not None:
                    expected[str(change.key[0])] += int(change.values[0] or 0)
    for journal in store.journals.values():
        for row in journal.receipts:
            if row.status == "posted":
                for line in row.receipt.lines:
                    expected[line.sku] -= line.qty
    for sku, qty in expected.items():
        there, _ = store.tables["stock"][(sku,)]
        if there is None or there[1] != qty:
            find("stock", f"{sku} has {there and there[1]}, and should have {qty}")
