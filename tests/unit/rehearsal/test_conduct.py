"""A run that can't be staged: why, and whether whoever runs several is to end as well."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.errors import CannotRun, ChaosError
from rehearsal import conduct as conduct_module
from rehearsal.conduct import CouldNotRun, Interrupted, conduct, note_lost
from rehearsal.drive import system
from rehearsal.drive.generator import start_load
from rehearsal.drive.till_api import Refused
from rehearsal.options import SCENARIOS, LocustWorkers, Options
from rehearsal.progress import Progress
from rehearsal.running import read_scenario


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (KeyboardInterrupt(), Interrupted, "interrupted while the shop was being staged"),
        (CannotRun("no PostgreSQL here"), CouldNotRun, "no PostgreSQL here"),
    ],
)
def test_ctrl_c_while_staging_is_told_from_a_lab_that_can_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: type[CouldNotRun], said: str
) -> None:
    """Only after Ctrl-C does a suite or a matrix end."""

    def staged(*_: object) -> None:
        raise error

    monkeypatch.setattr(conduct_module, "open_fleet", lambda *_, **__: (nullcontext(), ""))
    monkeypatch.setattr(conduct_module, "announce", lambda *_: None)
    monkeypatch.setattr(conduct_module, "_catalogue", staged)
    options = Options(scenario="smoke", reports=tmp_path)
    with pytest.raises(CouldNotRun, match=said) as caught:
        conduct(read_scenario(SCENARIOS / "smoke.toml", options), options, Progress())
    assert caught.type is kind


def test_an_address_that_is_not_this_machines_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    """The shop was staged for it, and then nothing listened."""
    bind = LocustWorkers(remote=1, bind="192.0.2.1")
    options = Options(scenario="smoke", reports=tmp_path, locust=bind)
    with pytest.raises(CannotRun, match=r"--locust-bind 192\.0\.2\.1: .*Cannot assign requested address"):
        conduct(read_scenario(SCENARIOS / "smoke.toml", options), options, Progress())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("bind", "named"), [("0.0.0.0", "ADDRESS_OF_THIS_MACHINE"), ("127.0.0.1", "127.0.0.1")])  # noqa: S104
def test_workers_elsewhere_are_told_an_address_that_leads_here(tmp_path: Path, bind: str, named: str) -> None:
    """No worker reaches a master at 0.0.0.0."""
    said: list[str] = []
    fleet = SimpleNamespace(dir=lambda _: tmp_path, stage=lambda _: None)
    start_load(cast(Any, fleet), b"{}", LocustWorkers(remote=1, bind=bind), say=said.append)
    assert f"--master-host {named} --master-port" in said[0]


def test_a_part_of_the_lab_that_ended_is_trouble_and_left_behind() -> None:
    """The run can't be GO, and nobody is convicted for what no till could do then."""
    run = SimpleNamespace(trouble=[], left_behind=[])
    note_lost(cast(Any, run), cast(Any, SimpleNamespace(lost=lambda: ["proxy"])))
    assert (run.trouble, run.left_behind) == (["the lab's proxy ended by itself"], ["its proxy"])


def test_a_server_that_refuses_before_the_selling_is_a_run_that_could_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lab logs in there for a fault of later; what it is told is no traceback."""

    def refused(*_: object, **__: object) -> None:
        raise Refused("503: this server is not the live one")

    monkeypatch.setattr(system, "identity_session", refused)
    (tmp_path / "till.secret").write_text("word")
    fault = SimpleNamespace(kind=system.VANISHED_KIND, targets=("server",))
    fleet = SimpleNamespace(dir=lambda _: tmp_path)
    shop = SimpleNamespace(fleet=fleet, tills=("T01",), sides=(), url=lambda node: f"http://{node}")
    with pytest.raises(ChaosError, match="T01 can't log in at server: 503"):
        system.system_plan(cast(Any, SimpleNamespace(faults=(fault,))), cast(Any, shop), cast(Any, None), None)
