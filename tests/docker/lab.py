"""A laboratory to be killed: a fleet of one container.

lab.py RUN_DIR

Prints the warden's id, the run's name and the lab's folder on one line, then waits for its end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from chaos.fleet.docker.fleet import DockerFleet
from tests.docker.conftest import serving


def main() -> None:
    """Start, tell, wait."""
    with DockerFleet(run_dir=Path(sys.argv[1])) as fleet:
        fleet.stage(serving(fleet, "T01"))
        print(fleet._lab._warden.pid, fleet.run, flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main()
