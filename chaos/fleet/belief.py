"""By which scheme a fleet's nodes are spoken to, and by which authority they are known."""

from __future__ import annotations

import os
from pathlib import Path

CA_VARIABLE = "SSL_CERT_FILE"  # OpenSSL's own: the lab's requests and its child processes go by it


class Belief:
    """Plain http:// until an authority is named; `forget` puts the environment back as it was."""

    def __init__(self) -> None:
        self.scheme = "http"
        self._before: str | None = None

    def trust(self, ca_file: Path) -> None:
        """From now on speak TLS to the system under test, and know it by this authority."""
        if self.scheme == "http":
            self._before = os.environ.get(CA_VARIABLE)
        self.scheme = "https"
        os.environ[CA_VARIABLE] = str(ca_file)

    def forget(self) -> None:
        """Believe what was believed before."""
        if self.scheme == "https":
            self.scheme = "http"
            os.environ.pop(CA_VARIABLE, None)
            if self._before is not None:
                os.environ[CA_VARIABLE] = self._before
