"""A laboratory to be killed: a fleet with PostgreSQL, the proxy, and a node whose grandchildren go their own way.

    lab.py RUN_DIR [thread]

Prints the warden's id and the working folder on one line when everything runs, then waits for its end.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from chaos.fleet.plan import NodePlan
from chaos.fleet.process import ProcessFleet

STRAY = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
open("stray", "w").close()
time.sleep(600)
"""


def stage(fleet: ProcessFleet) -> None:
    """Start everything."""
    fleet.start_postgres()
    fleet.start_proxy()
    fleet.stage(NodePlan(name="stray", argv=(sys.executable, "-c", STRAY)))
    while not (fleet.dir("stray") / "stray").exists():
        time.sleep(0.05)


def main() -> None:
    """Start, tell, wait."""
    with ProcessFleet(run_dir=Path(sys.argv[1]), engine="builtin") as fleet:
        if sys.argv[2:] == ["thread"]:
            thread = threading.Thread(target=stage, args=(fleet,))
            thread.start()
            thread.join()
            time.sleep(0.5)
            assert all(fleet.state(node) == "running" for node in fleet.names())
        else:
            stage(fleet)
        print(fleet._warden.pid, fleet.work, flush=True)
        time.sleep(600)


if __name__ == "__main__":
    main()
