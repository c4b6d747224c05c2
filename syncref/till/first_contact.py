"""What a till that is being set up asks of the servers."""

from __future__ import annotations

from syncref.config import TillSettings
from syncref.errors import ConfigInvalid
from syncref.till.connection import Verifier
from syncref.till.deadline import Rejected, Unreachable
from syncref.till.servers import ServerCalls


def ask_cluster(settings: TillSettings, secret: str, verifier: Verifier | None = None) -> str:
    """Return the cluster's name as the first server that answers gives it. Raises ConfigInvalid."""
    calls = ServerCalls(
        till=settings.till.name,
        secret=secret,
        timeout_s=settings.sync.request_timeout_ms / 1000,
        verifier=verifier,
    )
    failures: list[str] = []
    for server in settings.till.servers:
        try:
            return calls.cluster(server)
        except (Rejected, Unreachable) as error:
            failures.append(f"{server}: {error.message}")
        finally:
            calls.close()
    raise ConfigInvalid(f"no server told the cluster's name; give --cluster ({'; '.join(failures)})")
