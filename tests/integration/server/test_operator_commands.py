"""The operator's runbook as commands: standby, parity, promote, the old server's return, confirm."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import urllib3

from syncref.server.embedded import embedded
from tests.integration.server.pair import until
from tests.integration.server.test_commands import answers, command, free_port, run


@dataclass
class Place:
    """One server's configuration and its process, if it runs."""

    config: Path
    data: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run `syncref server` until it answers, whatever its role."""
        log = self.config.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(command("server", "--config", str(self.config)), stdout=log, stderr=log)
        log.close()
        assert answers(f"{self.url}/v1/alive"), self.config.with_suffix(".log").read_text()[-2000:]

    def kill(self) -> None:
        """Take process and database away at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        embedded(self.data).stop(mode="immediate")

    def status(self) -> dict[str, Any]:
        """Return what it says of itself."""
        found: dict[str, Any] = urllib3.request("GET", f"{self.url}/v1/alive", retries=False).json()
        return found


@dataclass
class Places:
    """The two servers of a shop, as the runbook has them."""

    folder: Path
    live: Place = field(init=False)
    preprod: Place = field(init=False)

    def __post_init__(self) -> None:
        """Write both configurations."""
        secret = self.folder / "peer.secret"
        secret.write_text(secrets.token_hex(16))
        self.live, self.preprod = (
            Place(config=self.folder / f"{name}.toml", data=self.folder / name, port=free_port())
            for name in ("live", "preprod")
        )
        for rank, (own, other) in enumerate(((self.preprod, self.live), (self.live, self.preprod))):
            own.config.write_text(
                f'[server]\nname = "{own.data.name}"\nlisten = "127.0.0.1:{own.port}"\ndata_dir = "{own.data}"\n'
                f'workers = 1\nrank = {rank}\npeers = ["{other.url}"]\npeer_secret_file = "{secret}"\n'
            )

    def copy(self, source: Place, target: Place) -> subprocess.CompletedProcess[str]:
        """Make a standby of one of the other."""
        primary = embedded(source.data).dsn("postgres")
        return run("provision", "standby", "--config", str(target.config), "--primary", primary)


@pytest.fixture
def places() -> Iterator[Places]:
    """Yield a live server and a standby of it, both serving."""
    folder = Path(tempfile.mkdtemp(prefix="syncref-runbook-"))
    folder.chmod(0o711)
    made = Places(folder=folder)
    try:
        done = run("provision", "server", "--config", str(made.live.config))
        assert done.returncode == 0, done.stderr
        made.live.start()
        done = made.copy(made.live, made.preprod)
        assert done.returncode == 0, done.stderr
        made.preprod.start()
        assert answers(f"{made.live.url}/v1/health")
        yield made
    finally:
        for place in (made.preprod, made.live):
            place.kill()
        shutil.rmtree(folder)


@pytest.mark.long
def test_the_runbook_from_parity_to_the_old_server_as_standby(places: Places) -> None:
    """Each command as docs/operations.md writes it, with its output and exit code."""
    live, preprod = places.live, places.preprod
    equal = run("parity", "--config", str(preprod.config))
    assert (equal.returncode, equal.stdout.split(",")[0]) == (0, "equal"), equal.stdout + equal.stderr
    wrong = run("parity", "--config", str(live.config))
    assert wrong.returncode == 1
    assert "live peer: here expected one, there none answers" in wrong.stdout

    live.kill()
    promoted = run("promote", "--config", str(preprod.config))
    assert (promoted.returncode, promoted.stdout) == (0, "live, term 2\n"), promoted.stderr
    assert "not fenced now" in promoted.stderr
    assert run("promote", "--config", str(preprod.config), "--no-fence").stdout == "live, term 2\n"

    live.start()
    until(lambda: live.status()["status"] == "fenced", "the old server's fence")
    refused = places.copy(preprod, live)
    assert refused.returncode != 0
    assert "there is a cluster below" in refused.stderr
    live.kill()
    shutil.rmtree(live.data)
    copied = places.copy(preprod, live)
    assert copied.returncode == 0, copied.stderr
    live.start()
    until(lambda: run("parity", "--config", str(live.config)).returncode == 0, "parity the other way round")


def test_a_promotion_that_can_not_be_fences_nobody(places: Places) -> None:
    """Asked of the wrong server it must not cost the shop the live one; nor when it was done already."""
    live, preprod = places.live, places.preprod
    assert run("promote", "--config", str(live.config)).stdout == "live, term 1\n"
    promoted = run("promote", "--config", str(preprod.config)).stdout.splitlines()
    assert (promoted[0], promoted[1][:9]) == (f"{live.url}: fenced", "live, ter"), promoted
    again = run("promote", "--config", str(preprod.config))
    assert (again.stdout, again.stderr) == (f"{promoted[1]}\n", "")
    refused = run("promote", "--config", str(live.config))
    assert refused.returncode != 0
    assert "only a standby can be promoted, this server is fenced" in refused.stderr
    assert (live.status()["status"], preprod.status()["status"]) == ("fenced", "live")
    assert answers(f"{preprod.url}/v1/health")


def test_the_operator_confirms_a_server_whose_peer_is_gone(places: Places) -> None:
    """Started alone it takes nothing, until the operator says that it is the live one."""
    live, preprod = places.live, places.preprod
    preprod.kill()
    live.kill()
    live.start()
    assert live.status()["status"] == "starting"
    confirmed = run("confirm", "--config", str(live.config))
    assert (confirmed.returncode, confirmed.stdout) == (0, "live, term 1\n"), confirmed.stderr
    assert answers(f"{live.url}/v1/health")


def test_a_standby_needs_a_folder_of_its_own(places: Places, tmp_path: Path) -> None:
    """A database given by address is somebody else's to copy; a rank must be one of the servers'."""
    config = tmp_path / "server.toml"
    text = places.preprod.config.read_text()
    config.write_text(text + 'database = "postgresql://nobody@127.0.0.1:1/nothing"\n')
    refused = run("provision", "standby", "--config", str(config), "--primary", "postgresql://x@127.0.0.1:1/x")
    assert refused.returncode != 0
    assert "needs data_dir, and no database" in refused.stderr
    config.write_text(text.replace("rank = 0", "rank = 2"))
    assert "rank = 2: expected 0 to 1" in run("parity", "--config", str(config)).stderr
