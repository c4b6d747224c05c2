"""The network between tills and servers: one proxy per till and server, so that each link fails by itself.

Keeps: every change is read back from the proxy server; a link that is not as asked raises.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from chaos.fleet.health import connection_to
from chaos.proxy.client import ProxyClient, ProxyState, Toxic


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One request through a link from outside: what came of it, and after how long in ms."""

    outcome: str
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The way from a till to a server. `url` is what the till is configured with instead of the server's own.

    `lab_host` is where the lab finds the same entrance, if the url's host is known to nodes only.
    """

    till: str
    server: str
    url: str
    name: str
    client: ProxyClient
    lab_host: str | None = None

    def cut(self) -> ProxyState:
        """Refuse new connections and drop the open ones."""
        return self.client.enable(self.name, False)

    def add(self, toxic: Toxic, *, live: bool = False) -> ProxyState:
        """Add a toxic; not `live`: no connection escapes it, for all are dropped."""
        return self.client.add(self.name, toxic, live=live)

    def spare(self, toxic: Toxic) -> ProxyState:
        """Let a toxic act on its present connections only; new ones are free of it."""
        return self.client.spare(self.name, toxic)

    def heal(self) -> ProxyState:
        """Remove all toxics and open the link."""
        return self.client.lift(self.name)

    def state(self) -> ProxyState:
        """Return the link as the proxy server describes it now, without what it is like by nature."""
        now, nature = self.client.proxy(self.name), {toxic.name for toxic in self.client.nature(self.name)}
        return replace(now, toxics=tuple(toxic for toxic in now.toxics if toxic.name not in nature))

    def carried(self) -> dict[str, int] | None:
        """Return bytes taken in so far by stream; None where the proxy server keeps no such count."""
        counts = {stream: size for (name, stream), size in self.client.carried().items() if name == self.name}
        return counts or None

    def connection(self, *, timeout_s: float) -> http.client.HTTPConnection:
        """Return an unopened connection through the link."""
        parts = urlsplit(self.url)
        return connection_to(
            parts.scheme, parts.hostname or "", parts.port or 80, timeout_s, reached_at=self.lab_host
        )

    def probe(self, *, path: str = "/v1/health", timeout_s: float = 2.0) -> Probe:
        """Send one request through the link, on a connection of its own.

        Outcome: answered, refused, reset, silent (nothing within the time-out) or broken.
        """
        connection = self.connection(timeout_s=timeout_s)
        begun = time.monotonic()
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            connection.getresponse().read()
            outcome = "answered"
        except ConnectionRefusedError:
            outcome = "refused"
        except http.client.RemoteDisconnected:
            outcome = "broken"
        except ConnectionResetError:
            outcome = "reset"
        except TimeoutError:
            outcome = "silent"
        except (OSError, http.client.HTTPException):
            outcome = "broken"
        finally:
            connection.close()
        return Probe(outcome=outcome, took_ms=(time.monotonic() - begun) * 1000)
