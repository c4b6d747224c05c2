"""What a till that is being set up asks of the servers."""

from __future__ import annotations

from syncref.config import TillSettings
from syncref.errors import ConfigInvalid
from syncref.till.deadline import Rejected, Unreachable
from syncref.till.servers import server_calls


def ask_cluster(settings: TillSettings, secret: str) -> str:
    """Return the cluster's name as the first server that answers gives it. Raises ConfigInvalid."""
    calls = server_calls(settings, secret)
    failures: list[str] = []
    for server in settings.till.servers:
        try:
            return calls.cluster(server)
        except (Rejected, Unreachable) as error:
            failures.append(f"{server}: {error.message}")
        finally:
            calls.close()
    raise ConfigInvalid(f"no server told the cluster's name; give --cluster ({'; '.join(failures)})")
