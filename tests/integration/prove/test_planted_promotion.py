"""R11 on a real primary and its standby: a promotion that is killed leaves a second live server, or none."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from syncref.core.failover import Role
from tests.integration.server.pair import Pair

PROMOTION = """
import os, signal, sys
from rehearsal.prove.planted import planted_of
from syncref.server.reign import Reign
from syncref.store.server_open import open_engine
if sys.argv[2] == "R11":
    planted_of("R11").plant()
else:
    promote = Reign._promote_database
    def killed(self):
        promote(self)
        os.kill(os.getpid(), signal.SIGKILL)
    Reign._promote_database = killed
Reign(open_engine(sys.argv[1], connections=3), peers=1, rank=1).promote()
"""


@pytest.mark.parametrize(("bug", "role"), [("R11", Role.LIVE), ("", Role.PROMOTING)])
def test_a_promotion_that_is_killed_takes_writes_in_the_old_term_only_with_the_bug(
    pair: Pair, bug: str, role: Role
) -> None:
    """Shipped, the database that left its timeline takes nothing until its own term is open."""
    old = pair.live.role().term
    words = [sys.executable, "-c", PROMOTION, pair.preprod.dsn(), bug]
    assert subprocess.run(words, check=False, capture_output=True).returncode == -signal.SIGKILL
    now = pair.preprod.role()
    assert (now.role, now.term) == (role, old)
