"""What a container is made with, where the lab is not root."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.fleet.docker import hulls


def test_the_labs_own_account_has_a_name_in_its_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL's initdb looks its user up, and the image knows no account of this machine."""
    monkeypatch.setattr("os.geteuid", lambda: 1234)
    monkeypatch.setattr("os.getegid", lambda: 567)
    mount = hulls.accounts(tmp_path)
    assert (mount["Target"], mount["ReadOnly"]) == ("/etc/passwd", True)
    named = [line.split(":")[2:4] for line in Path(mount["Source"]).read_text().splitlines()]
    assert named == [["0", "0"], ["1234", "567"]]
    assert hulls.accounts(tmp_path) == mount
