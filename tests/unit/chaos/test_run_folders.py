"""Working folders, their records and ports: what a dead lab leaves is found, and nothing else is touched."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from chaos.errors import CannotRun
from chaos.fleet import ports, processes, rundir
from chaos.fleet.ports import Ports
from chaos.fleet.processes import identity
from chaos.waiting import wait_until

DEAD = (2**22 + 1, "1")  # above the highest process id


def folder_of(root: Path, lab: tuple[int, str | None], **more: object) -> Path:
    """Make a working folder with a record."""
    folder = root / (rundir.prefix() + "x" + str(len(list(root.iterdir()))))
    folder.mkdir()
    (folder / rundir.RECORD).write_text(
        json.dumps({"lab": lab, "warden": DEAD, "groups": [], "mounts": [], **more})
    )
    return folder


def test_only_the_folders_of_dead_labs_are_swept(tmp_path: Path) -> None:
    """A living lab's, a foreign one and one without a record stay."""
    dead = folder_of(tmp_path, DEAD)
    reused = folder_of(tmp_path, (os.getpid(), "not when we began"))
    alive = folder_of(tmp_path, (os.getpid(), identity(os.getpid())))
    guarded = folder_of(tmp_path, DEAD, warden=(os.getpid(), identity(os.getpid())))
    boot, _, _ = processes.machine().partition("/")
    hidden = folder_of(tmp_path, DEAD, machine=f"{boot}/pid:[1]")  # in another container that shares the folder
    before = folder_of(tmp_path, DEAD, machine="another boot/pid:[1]")
    bare = tmp_path / (rundir.prefix() + "bare")
    bare.mkdir()
    assert set(rundir.sweep(tmp_path)) == {dead, reused, before}
    assert sorted(path for path in tmp_path.iterdir()) == sorted([alive, guarded, hidden, bare])


def test_whoever_only_looks_at_a_run_is_not_ended_with_it(tmp_path: Path) -> None:
    """A shell in a till's folder, and what was started from one that had been there; nodes have no terminal."""
    folder = folder_of(tmp_path, DEAD)
    sleeping = ("sleep", "600")
    spawn = f"import pty; pty.spawn(['sh', '-c', 'cd {folder} && exec sleep 600'])"
    with ExitStack() as stack:

        def begun(*argv: str, **more: Any) -> psutil.Process:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, **more)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return psutil.Process(process.pid)

        terminal = begun(sys.executable, "-c", spawn, cwd="/")
        lookers = [terminal, begun(*sleeping, cwd="/", env={**os.environ, "OLDPWD": str(folder)})]
        nodes = [
            begun(*sleeping, cwd="/", env={**os.environ, rundir.MARKER: str(folder)}),
            begun(*sleeping, cwd=folder),
        ]
        assert wait_until(lambda: any(one.cwd() == str(folder) for one in terminal.children()), 30.0, every_s=0.05)
        lookers += terminal.children()
        assert rundir.sweep(tmp_path) == [folder]
        assert [processes.state_letter(one.pid) in {"", "Z"} for one in nodes] == [True, True]
        assert [processes.state_letter(one.pid) in {"", "Z"} for one in lookers] == [False, False, False]


def test_a_dead_labs_groups_are_removed(tmp_path: Path) -> None:
    """Empty control groups are folders; one that is gone already is no error."""
    group = tmp_path / "group"
    group.mkdir()
    folder_of(tmp_path, DEAD, groups=[str(group), str(tmp_path / "gone")])
    rundir.sweep(tmp_path)
    assert not group.exists()


def test_a_working_folder_is_made_where_another_account_can_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root the first passable root is taken; without any the error lists them."""
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setattr(rundir, "passable", lambda folder: folder == tmp_path / "open")
    for name in ("closed", "open"):
        (tmp_path / name).mkdir()
    made = rundir.make([tmp_path / "closed", tmp_path / "open"])
    assert made.parent == (tmp_path / "open").resolve()
    assert made.stat().st_mode & 0o777 == 0o711
    monkeypatch.setattr(rundir, "passable", lambda folder: False)
    with pytest.raises(CannotRun, match="that another account can reach"):
        rundir.make()


def test_two_labs_never_share_a_port(tmp_path: Path) -> None:
    """A name keeps its port; a port that another lab holds, or a stranger listens on, is not given."""
    first, second = Ports(tmp_path), Ports(tmp_path)
    mine = {first.of(f"T{n:02}") for n in range(30)}
    others = {second.of(f"T{n:02}") for n in range(30)}
    assert len(mine) == len(others) == 30
    assert not mine & others
    assert first.of("T00") in mine
    first.close()
    second.close()


def test_a_port_in_use_is_not_free() -> None:
    """Whoever listens there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not ports.free(taken.getsockname()[1])


def test_ports_run_out_with_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of searching for ever."""
    monkeypatch.setattr(ports, "free", lambda port: False)
    with pytest.raises(CannotRun, match="no free port found"):
        Ports(tmp_path).of("T01")
