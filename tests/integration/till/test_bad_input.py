"""What can't be used is refused with what and where, and nothing is overwritten or lost."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from syncref.cli import SYNCREF
from syncref.errors import ConfigInvalid, DiskFull, StorageCorrupt, SyncrefError
from syncref.store.till_faults import meaning
from syncref.store.till_journal import check_chain
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from tests.integration.till.shop import Counter, fill_catalogue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a till's configuration."""
    (tmp_path / "till.secret").write_text("a secret of the test")
    write_config(tmp_path)
    return tmp_path


def write_config(
    folder: Path, *, database: str | None = None, listen: str = "127.0.0.1:0", more: str = ""
) -> None:
    """Write till.toml."""
    dsn = database or f"sqlite:///{folder}/till.db"
    (folder / "till.toml").write_text(
        f'[till]\nname = "T01"\ndatabase = "{dsn}"\nlisten = "{listen}"\nservers = ["http://127.0.0.1:1"]\n'
        f'credential_file = "{folder}/till.secret"\n{more}'
    )


def syncref(folder: Path, *command: str) -> Result:
    """Run a subcommand in this process."""
    return CliRunner().invoke(SYNCREF, [*command, "--config", str(folder / "till.toml")])


def refusal(folder: Path, *command: str) -> SyncrefError:
    """Return what a subcommand refused with."""
    result = syncref(folder, *command)
    assert isinstance(result.exception, SyncrefError), result.output
    return result.exception


def sold_till(folder: Path, sales: int = 30) -> Path:
    """Return the file of a till that has sold something, closed cleanly."""
    database = TillDatabase(f"sqlite:///{folder}/till.db")
    provision(database, name="T01", cluster="lab")
    fill_catalogue(database)
    counter = Counter(database)
    counter.open_day("2025-03-01")
    for _ in range(sales):
        counter.sell("P001", "P002")
    with database._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return folder / "till.db"


def test_provision_makes_a_till_once(folder: Path) -> None:
    """A second provision refuses and changes nothing."""
    assert syncref(folder, "provision", "till", "--cluster", "lab").exit_code == 0
    before = (folder / "till.db").read_bytes()
    refused = refusal(folder, "provision", "till", "--cluster", "lab")
    assert "holds till T01 already" in refused.message
    assert (folder / "till.db").read_bytes() == before


def test_provision_without_cluster_and_server_says_so(folder: Path) -> None:
    """The cluster's name comes from a server, or from the operator."""
    assert "give --cluster" in refusal(folder, "provision", "till").message
    assert not (folder / "till.db").exists()


def garbage(file: Path) -> None:
    """Write something that is no database."""
    file.write_bytes(b"these are not the bytes of a database" * 200)


def nothing(file: Path) -> None:
    """Leave an empty file."""
    file.write_bytes(b"")


def half(file: Path) -> None:
    """Cut a till's database in half."""
    sold_till(file.parent)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def bad_page(file: Path) -> None:
    """Overwrite pages in the middle of a till's database."""
    sold_till(file.parent)
    data = bytearray(file.read_bytes())
    for at in range(4096 * 3, len(data) - 4096, 4096 * 4):
        data[at : at + 64] = b"\xff" * 64
    file.write_bytes(data)


@pytest.mark.parametrize("spoil", [garbage, nothing, half, bad_page])
def test_a_spoilt_database_is_named_and_left_alone(folder: Path, spoil: Callable[[Path], None]) -> None:
    """The till does not start on it, and does not repair, replace or shorten it."""
    file = folder / "till.db"
    spoil(file)
    before = file.read_bytes()
    refused = refusal(folder, "till")
    assert str(file) in refused.message
    assert refused.definite
    assert file.read_bytes() == before


def test_garbage_is_not_provisioned_over(folder: Path) -> None:
    """A foreign file stays as it is."""
    garbage(folder / "till.db")
    before = (folder / "till.db").read_bytes()
    assert "nothing was changed" in refusal(folder, "provision", "till", "--cluster", "lab").message
    assert (folder / "till.db").read_bytes() == before


def test_a_journal_whose_hashes_do_not_follow_is_refused(tmp_path: Path) -> None:
    """An entry changed behind the till's back is found at the start."""
    sold_till(tmp_path)
    database = TillDatabase(f"sqlite:///{tmp_path}/till.db")
    with database.step() as connection:
        connection.exec_driver_sql("UPDATE journal SET payload = x'00' WHERE seq = 20")
    with database.read() as connection, pytest.raises(StorageCorrupt, match="journal entry 20"):
        check_chain(connection, where=database.where)
    database.close()


def test_another_tills_database_is_refused(folder: Path) -> None:
    """A till does not sell under another's name."""
    sold_till(folder)
    text = (folder / "till.toml").read_text().replace('name = "T01"', 'name = "T02"')
    (folder / "till.toml").write_text(text)
    assert "is till T01's" in refusal(folder, "till").message


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    """The key and its value are in the message."""
    sold_till(folder)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write_config(folder, listen=f"127.0.0.1:{port}")
        refused = refusal(folder, "till")
    assert isinstance(refused, ConfigInvalid)
    assert f"127.0.0.1:{port}" in refused.message


@pytest.mark.parametrize(
    ("database", "told"),
    [
        ("postgresql+psycopg2://nobody:secret@127.0.0.1:1/none", "127.0.0.1:1"),
        ("sqlite:////nowhere/at/all/till.db", "/nowhere/at/all/till.db"),
    ],
)
def test_a_database_that_does_not_answer_is_named_without_its_secret(
    folder: Path, database: str, told: str
) -> None:
    """Where it was looked for is told, the password is not."""
    write_config(folder, database=database)
    refused = refusal(folder, "till")
    assert isinstance(refused, ConfigInvalid)
    assert told in refused.message
    assert "secret" not in refused.message


def test_a_missing_or_empty_credential_is_named(folder: Path) -> None:
    """The credential's file is in the message."""
    (folder / "till.secret").write_text("\n")
    assert "till.secret is empty" in refusal(folder, "till").message
    (folder / "till.secret").unlink()
    assert "till.secret can't be read" in refusal(folder, "till").message


class _PostgresError(Exception):
    def __init__(self, state: str) -> None:
        super().__init__("from the server")
        self.pgcode = state


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (_PostgresError("53100"), DiskFull),
        (_PostgresError("XX001"), StorageCorrupt),
        (OSError(28, "No space left on device"), DiskFull),
    ],
)
def test_errors_keep_their_meaning(error: Exception, kind: type[SyncrefError]) -> None:
    """Full and damaged are told apart from everything else."""
    from sqlalchemy.exc import DBAPIError

    wrapped = error if isinstance(error, OSError) else DBAPIError("INSERT", None, error)
    assert type(meaning(wrapped, where="here")) is kind
