"""A run that can't be staged: why, and whether whoever runs several is to end as well."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from chaos.errors import CannotRun
from rehearsal import conduct as conduct_module
from rehearsal.conduct import CouldNotRun, Interrupted, conduct
from rehearsal.options import SCENARIOS, Options
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
