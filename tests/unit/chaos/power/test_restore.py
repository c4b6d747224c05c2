"""What a power cut takes back, and what it leaves, with the real library in real processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chaos.errors import FaultFailed
from chaos.power import shim
from chaos.power.restore import Dropped, cut, is_loaded, records, unsynced

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="a power cut needs a C compiler")
BANK = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1] + "/bank.db", isolation_level=None)
c.execute("PRAGMA journal_mode=WAL")
c.execute("PRAGMA synchronous=" + sys.argv[2])
c.execute("CREATE TABLE entry (n INTEGER PRIMARY KEY)")
for n in range(1, 10_000):
    c.execute("INSERT INTO entry VALUES (?)", (n,))
    print(n, flush=True)
"""


class Disk:
    """A folder whose writers are followed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self.folder.mkdir()
        self.log = folder / "log"
        self.env = shim.environment(shim.build(folder), disk=self.folder, log=self.log, single=True)

    def run(self, program: str, *words: str, until: int | None = None) -> int:
        """Run a program that prints numbers, kill it after the number `until`, and return the last one told."""
        argv = [sys.executable, "-c", program, str(self.folder), *words]
        with subprocess.Popen(argv, env={**os.environ, **self.env}, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            told = 0
            for line in process.stdout:
                told = int(line)
                if told == until:
                    process.send_signal(signal.SIGKILL)
        return told

    def cut(self, survive_percent: int = 0) -> Dropped:
        """The power fails."""
        return cut(self.folder, self.log, seed=7, survive_percent=survive_percent)

    def entries(self) -> list[int]:
        """What the database holds afterwards; it must be whole."""
        with closing(sqlite3.connect(self.folder / "bank.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if not database.execute("SELECT 1 FROM sqlite_master").fetchall():
                return []
            return [row[0] for row in database.execute("SELECT n FROM entry ORDER BY n")]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty one."""
    return Disk(tmp_path)


@pytest.mark.parametrize("survive_percent", [0, 50, 100])
def test_a_synced_commit_outlives_the_power_cut(disk: Disk, survive_percent: int) -> None:
    """With synchronous=FULL every entry that was told is there, torn writes or not."""
    told = disk.run(BANK, "FULL", until=200)
    disk.cut(survive_percent)
    assert disk.entries()[:told] == list(range(1, told + 1))


def test_an_unsynced_commit_is_lost(disk: Disk) -> None:
    """With synchronous=OFF nothing was ever synced, though a mere kill would have left it all."""
    told = disk.run(BANK, "OFF", until=200)
    lost = disk.cut()
    assert told >= 200
    assert lost.bytes > 0
    assert disk.entries() == []


def test_a_kill_alone_keeps_the_page_cache(disk: Disk) -> None:
    """The control: the same program, killed and not cut off its power."""
    told = disk.run(BANK, "OFF", until=200)
    assert disk.entries()[:told] == list(range(1, told + 1))


def test_renames_and_removals_wait_for_their_directory(disk: Disk) -> None:
    """A replaced file comes back whole until the directory was synced; afterwards the new one stays."""
    (disk.folder / "state").write_bytes(b"old")
    (disk.folder / "gone").write_bytes(b"precious")
    program = """
import os, sys
os.chdir(sys.argv[1])
with open("fresh", "wb") as file:
    file.write(b"new")
    file.flush()
    os.fsync(file.fileno())
os.replace("fresh", "state")
os.unlink("gone")
if sys.argv[2] == "synced":
    fd = os.open(".", os.O_RDONLY)
    os.fsync(fd)
print(1, flush=True)
"""
    disk.run(program, "unsynced")
    lost = disk.cut()
    assert (disk.folder / "state").read_bytes() == b"old"
    assert (disk.folder / "gone").read_bytes() == b"precious"
    assert lost.names == 2
    (disk.folder / "fresh").unlink()
    disk.run(program, "synced")
    disk.cut()
    assert (disk.folder / "state").read_bytes() == b"new"
    assert not (disk.folder / "gone").exists()


def test_overwritten_truncated_and_appended_bytes_come_back(disk: Disk) -> None:
    """To the byte, in whatever order they were changed, also through a descriptor that can't read."""
    before = bytes(range(256)) * 40
    (disk.folder / "file").write_bytes(before)
    program = """
import os, sys
fd = os.open(sys.argv[1] + "/file", os.O_WRONLY)
os.pwrite(fd, b"x" * 700, 100)
os.ftruncate(fd, 5000)
os.pwrite(fd, b"y" * 9000, 4000)
os.lseek(fd, 0, os.SEEK_SET)
os.writev(fd, [b"head", b"er"])
open(sys.argv[1] + "/new", "w").write("not synced")
open(sys.argv[1] + "/file2", "w").close()
print(1, flush=True)
"""
    disk.run(program)
    lost = disk.cut()
    assert (disk.folder / "file").read_bytes() == before
    assert not (disk.folder / "new").exists()
    assert "file" in lost.files


def test_only_what_a_sync_began_after_is_durable(disk: Disk) -> None:
    """A write after the last sync is unsynced, those before are not, and the log says which."""
    program = """
import os, sys
fd = os.open(sys.argv[1] + "/file", os.O_RDWR | os.O_CREAT)
os.write(fd, b"durable")
os.fsync(fd)
os.write(fd, b" and not")
print(1, flush=True)
"""
    disk.run(program)
    assert is_loaded(disk.log)
    assert [record.kind for record in unsynced(disk.log)] == ["W"]
    disk.cut()
    assert (disk.folder / "file").read_bytes() == b"durable"


def test_a_shared_mapping_is_told_as_unclear(disk: Disk) -> None:
    """What is written through it can't be followed, and no bite is claimed for it."""
    program = """
import mmap, sys
with open(sys.argv[1] + "/mapped", "w+b") as file:
    file.write(bytes(4096))
    file.flush()
    m = mmap.mmap(file.fileno(), 4096)
print(1, flush=True)
"""
    disk.run(program)
    assert disk.cut().unclear


def test_another_file_is_no_log(tmp_path: Path) -> None:
    """It is refused, not guessed at."""
    (tmp_path / "log").write_bytes(b"something else entirely, and long enough to hold a record's head")
    with pytest.raises(FaultFailed, match="no log"):
        list(records(tmp_path / "log"))
