"""The forty failures as data: what happened, where it was reported, which story tells it, and its planted twin.

A simulated story is a profile of the simulated fleet, by default that of its twin; `bites` are the misfortunes
that must have been felt in the reference's schedules, or nothing was shown. A real story runs real processes
or the real store, and returns what it convicts of by checker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chaos.fleet.simulated.plan import Profile
from rehearsal.prove.field import real_server, real_till


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """Told by the simulated fleet under a planted bug of it."""

    mutant: str
    bites: tuple[str, ...]
    profile: Profile | None = None
    expected: str = ""  # the mutant's own checker unless given


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """Told by real processes or the real store. `run` takes a folder and the plant's name, "" for none."""

    run: Callable[[Path, str], dict[str, str]]
    plant: str
    twin: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One failure. `where`: owner/repo#n of GitHub, or in words."""

    id: str
    happened: str
    where: str
    told: str
    by: Simulated | Real


def _sim(mutant: str, *bites: str, profile: Profile | None = None, expected: str = "") -> Simulated:
    return Simulated(mutant=mutant, bites=bites, profile=profile, expected=expected)


RESTORED = Profile(misfortunes={"restore": 1.0, "cut": 1.0}, sales=14)
TWO_UPLOADERS = Profile(misfortunes={"second_uploader": 5.0, "cut": 3.0, "noise": 2.0}, sales=14)
TWO_CUTS = Profile(misfortunes={"cut": 6.0, "black": 2.0, "outage": 0.5}, sales=14)
COLD_COPY = Profile(misfortunes={"restore": 1.0}, sales=0, edits=10, edit_kinds=("price", "pair"))
BOTH = "PostgreSQL 18.6 logical replication and SymmetricDS 3.15.22"
LOGICAL = "PostgreSQL 18.6 logical replication"
SYMMETRIC = "SymmetricDS 3.15.22"

STORIES: tuple[Story, ...] = (
    Story(
        id="F1",
        happened="Server commits, ack lost, retry duplicates the sale",
        where="odoo/odoo#40567, #85527",
        told="answers are lost after the batch was committed; tills send again",
        by=_sim("S2", "net.answer"),
    ),
    Story(
        id="F2",
        happened="Two uploaders drain one queue",
        where="odoo/odoo#152259; frappe/erpnext#11000",
        told="another process of the till uploads its queue beside it, batches out of order",
        by=_sim("S2", "uploader", profile=TWO_UPLOADERS),
    ),
    Story(
        id="F3",
        happened="Receipt printed, sale gone after power cut or crash",
        where="odoo/odoo#60939, #125037, #284790",
        told="tills lose their power between write and sync; what was not synced is gone, with a torn tail",
        by=_sim("F3", "power.lost", "power.torn"),
    ),
    Story(
        id="F4",
        happened="Draft synced, paid offline, server's draft overwrites the payment",
        where="odoo/odoo#288974",
        told="sales are paid while the link is cut and come late; the server must post what was printed",
        by=_sim("F4", "net.cut", "net.black"),
    ),
    Story(
        id="F5",
        happened="Second cut during the flush strands the rest",
        where="odoo/odoo#261096, #203431",
        told="links are cut again and again while backlogs are sent",
        by=_sim("S18", "net.cut", profile=TWO_CUTS),
    ),
    Story(
        id="F6",
        happened="Sales arrive after the day's close",
        where="odoo/odoo#182058, #137648",
        told="days roll over while links are cut; late sales belong to their own date",
        by=_sim("S38", "close", "net.black"),
    ),
    Story(
        id="F7",
        happened="One bad invoice blocks the queue",
        where="frappe/erpnext#13388, #10278, #8112",
        told="the server's database can't hold one sale's values; those behind it must arrive",
        by=_sim("S14", "poison"),
    ),
    Story(
        id="F8",
        happened="Retry hits a duplicate name, sync stops for good",
        where="frappe/erpnext#11230",
        told="answers are lost; what is sent again is there already",
        by=_sim("F8", "net.answer"),
    ),
    Story(
        id="F9",
        happened="Sales silently missing",
        where="frappe/erpnext#11461, #11745",
        told="the server is killed between two effects; what it acked must be there",
        by=_sim("S1", "kill.server"),
    ),
    Story(
        id="F10",
        happened="A failed closing entry deadlocks the shift",
        where="frappe/erpnext#57157",
        told="the till's disk is full at the close; the shift closes once there is room",
        by=_sim("F10", "disk.till", "close"),
    ),
    Story(
        id="F11",
        happened="Duplicate receipt numbers while offline",
        where="OCA/l10n-spain#2047, #2582, #4921",
        told="tills are re-imaged while they are cut off and sell on",
        by=_sim("S13", "reimage", "net.black"),
    ),
    Story(
        id="F12",
        happened="Offline sale syncs without tax or payment; totals differ",
        where="defendicon/POS-Awesome-V15#914, #310",
        told="sales with several payments are made while links are cut",
        by=_sim("S40", "net.cut", "net.black"),
    ),
    Story(
        id="F13",
        happened="Till runs out of memory with a large backlog",
        where="CORE-POS/IS4C#698",
        told="a real till sends a backlog of 100,000 sales; its memory may grow by 24 MiB",
        by=Real(
            run=real_till.backlog,
            plant="backlog_whole",
            twin="the backlog is read whole",
            expected="experience",
        ),
    ),
    Story(
        id="F14",
        happened="One dead till hangs the server's sync of the others",
        where="CORE-POS/IS4C#947",
        told="tills die for good in mid-sync; the others must come to rest",
        by=_sim("F14", "scrap"),
    ),
    Story(
        id="F15",
        happened="Initial load: memory, time-outs, stall at 2M rows",
        where="odoo/odoo#120683; Mimetis/Dotmim.Sync#1004",
        told="a real till loads 150,000 products with a price and stock each, and is killed in the midst",
        by=Real(
            run=real_till.initial_load,
            plant="load_in_memory",
            twin="the load is gathered in memory and begins at zero",
            expected="drain",
        ),
    ),
    Story(
        id="F16",
        happened="Per-row errors pile up to out of memory; endless silent retries",
        where="Mimetis/Dotmim.Sync#1122, #1363",
        told="several sales can't be stored; each is set aside after one refusal, none is tried for ever",
        by=_sim("F16", "poison"),
    ),
    Story(
        id="F17",
        happened="Bad link (50 kbps, 1 s): restarts at zero; partial batches unsaved",
        where="apache/pouchdb#3999; medic/cht-core#7528",
        told="a till's line has a second's delay and is cut every six seconds, for ever",
        by=_sim("F17", "net.cut"),
    ),
    Story(
        id="F18",
        happened="Server restored behind the tills: they never resend",
        where="medic/cht-core#8093; benbjohnson/litestream#783",
        told="the live server is restored from an older backup",
        by=_sim("S5", "restore", profile=RESTORED),
    ),
    Story(
        id="F19",
        happened="Failed upload waits for the next local write",
        where="powersync-ja/powersync-native#15",
        told="a link is cut, then nothing is sold any more",
        by=_sim("S17", "net.cut"),
    ),
    Story(
        id="F20",
        happened="Kill in mid-write blocks sync; partition wedges the queue",
        where="powersync-ja/powersync-sqlite-core#162; powersync.dart#307",
        told="tills are killed between any two effects, and links swallow what is sent",
        by=_sim("F20", "kill.till", "net.black"),
    ),
    Story(
        id="F21",
        happened="Stalled readers exhaust the server's memory",
        where="electric-sql/electric#4708",
        told="thirty readers ask a real server for 40,000 long rows and read nothing; 40 MiB are allowed",
        by=Real(
            run=real_server.stalled_readers,
            plant="page_per_reader",
            twin="each reader gets a whole table of its own",
            expected="experience",
        ),
    ),
    Story(
        id="F22",
        happened="Long outage, huge delta never applies",
        where="bucardo/bucardo#144, #157",
        told="a till is cut off while the masters change throughout",
        by=_sim("F22", "net.cut", "document"),
    ),
    Story(
        id="F23",
        happened='A few rows missing after a "synchronized" copy',
        where="2ndQuadrant/pglogical#64",
        told="tills load their masters anew while clerks go on editing",
        by=_sim("F23", "reimage", "document"),
    ),
    Story(
        id="F24",
        happened="Column rename misaligns data",
        where="JumpMind/symmetric-ds release notes 0005824, 0005691",
        told="a price file's columns come in another order, then under another name, into a real database",
        by=Real(
            run=real_server.moved_columns,
            plant="columns_by_place",
            twin="columns are taken by their place",
            expected="masters",
        ),
    ),
    Story(
        id="F25",
        happened="Late-committing transaction skipped; foreign-key error on reload",
        where="jumpmindinc/symmetric-ds#914, #318",
        told="a clerk's transaction begins early and commits late",
        by=_sim("S19", "document"),
    ),
    Story(
        id="F26",
        happened="Adding tills floods the server; offline switch fails with pending downloads",
        where="Dynamics CDX troubleshooting",
        told="ten tills begin together and are cut off while downloads are pending; each must go on selling",
        by=_sim("F26", "net.cut", "sale"),
    ),
    Story(
        id="F27",
        happened="Packages out of order hit unique keys",
        where="Dynamics CDX best practices",
        told="batches overtake each other",
        by=_sim("S4", "net.reorder"),
    ),
    Story(
        id="F28",
        happened="Checkout succeeded online while the till went offline; cart then edited",
        where="Dynamics ideas 7667d49d",
        told="replies are lost; the basket is asked for again, edited",
        by=_sim("S11", "edited"),
    ),
    Story(
        id="F29",
        happened="Fast device clock skips rows for ever",
        where="dynos-fit/dynos-sync#93",
        told="tills' clocks jump by up to an hour while the masters change",
        by=_sim("F29", "clock.jump"),
    ),
    Story(
        id="F30",
        happened="Stored orders unloadable after an upgrade",
        where="odoo/odoo#162408",
        told="a real till has orders of another version in its journal: more fields, and a kind it does not know",
        by=Real(
            run=real_till.other_version,
            plant="entries_read_strictly",
            twin="orders are read before they are sent",
            expected="drain",
        ),
    ),
    Story(
        id="F31",
        happened="Messages stuck on the old broker after failover",
        where="ActiveMQ network-of-brokers notes",
        told="a standby that lags is promoted: what only the old server acked must come again",
        by=_sim("S5", "promote", "promote.lag"),
    ),
    Story(
        id="F32",
        happened="A sync error halts replication and needs a restart even when fixed",
        where="Openbravo monitoring notes",
        told="the server's disk is full for a while",
        by=_sim("F32", "disk.server"),
    ),
    Story(
        id="P1",
        happened="Server restored from a backup: 1,000 sales acked since never came back, no error",
        where=BOTH,
        told="the live server is restored from an older backup",
        by=_sim("S5", "restore", profile=RESTORED),
    ),
    Story(
        id="P2",
        happened="After the restore batch numbers were reused: 9 of 14 price changes skipped as loaded",
        where=SYMMETRIC,
        told="prices change before and after a restore",
        by=_sim("P2", "restore", "document"),
    ),
    Story(
        id="P3",
        happened="After a cold-copy restore a price change never reached the till; it kept prices that were gone",
        where=LOGICAL,
        told="a server is restored from a copy, and nothing is edited afterwards",
        by=_sim("S26", "restore", profile=COLD_COPY),
    ),
    Story(
        id="P4",
        happened="A duplicate key stopped the queue; skipping it dropped the sale's lines and payment",
        where=LOGICAL,
        told="the database refuses an entry, which is set aside whole and resolved",
        by=_sim("S15", "poison"),
    ),
    Story(
        id="P5",
        happened="A duplicate key was silently overwritten: 999999 became 1714",
        where=SYMMETRIC,
        told="two machines of one image print the same receipt number",
        by=_sim("P5", "clone"),
    ),
    Story(
        id="P6",
        happened="One poison row was resent 98 times in 50 s without back-off",
        where=SYMMETRIC,
        told="the server's database can't hold one sale's values",
        by=_sim("F16", "poison"),
    ),
    Story(
        id="P7",
        happened="Ten tills started together: one captured nothing, two sent receipts without lines or payments",
        where=f"{SYMMETRIC} on SQLite",
        told="ten tills start together and sell",
        by=_sim("P7", "sale"),
    ),
    Story(
        id="P8",
        happened="Tills cloned from one image fought over one slot and stuck",
        where=LOGICAL,
        told="a second machine runs with a copy of a till's disk",
        by=_sim("P8", "clone", "rebase"),
    ),
)
