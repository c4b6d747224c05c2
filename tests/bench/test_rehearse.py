"""How long the go-live rehearsal takes, from its command to its verdict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXIT_GO = 0


def test_rehearse_wall_s(benchmark: Any) -> None:
    """The same command as `make rehearse`; a run that isn't GO gives no figure."""

    def rehearse() -> int:
        command = "from rehearsal.cli import main; main()"
        return subprocess.run([sys.executable, "-c", command, "run", "go-live"], cwd=ROOT, check=False).returncode

    code = benchmark.pedantic(rehearse, rounds=1, iterations=1)
    assert code == EXIT_GO, f"the rehearsal ended with {code}"
    benchmark.extra_info["rehearse_wall_s"] = benchmark.stats.stats.max
