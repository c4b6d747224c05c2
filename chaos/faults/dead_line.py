"""Dead line: connections go silent for good and nobody is told, as when a router forgot them.

Connections made afterwards work. Only a time-out of one's own ends the old ones: neither side gets a reset.
"""

from __future__ import annotations

import http.client
import itertools
from contextlib import suppress

from chaos.faults.base import Bite, Context, Healed, together
from chaos.faults.flow import readings
from chaos.faults.onlink import StarvingFault
from chaos.fleet.links import Link
from chaos.proxy.client import Toxic

SILENT_S = 1.0
NUMBERS = itertools.count(1)


class DeadLine(StarvingFault):
    """Swallows all bytes while it lasts, and those of the connections open then for ever."""

    kind = "dead_line"
    outcome = "silent"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.old: dict[str, http.client.HTTPConnection] = {}
        self.old_said: dict[str, str] = {}
        self.toxics = toxics(next(NUMBERS))

    def impose(self, link: Link) -> None:
        """Open a connection as any other, then swallow everything."""
        self.old[link.name] = opened(link)
        for toxic in self.toxics:
            link.add(toxic, live=True)

    def lift(self, context: Context) -> None:
        """Take the last reading, spare new connections, and see that the old one stays silent."""
        if not self.after:
            for link in self.links(context):
                self.outcomes[link.name] = link.probe(timeout_s=self.probe_timeout_s).outcome
            self.after = readings(context, self.tills())
        for link in self.links(context):
            for toxic in self.toxics:
                link.spare(toxic)
        if not self.old_said:
            self.old_said = {name: asked(connection) for name, connection in self.old.items()}

    def verify(self, context: Context) -> Healed:
        """A new request gets through each link."""
        found = {link.name: link.probe().outcome for link in self.links(context)}
        wrong = [f"{name}: a new request was {said}" for name, said in found.items() if said != "answered"]
        return Healed(ok=not wrong, text="; ".join(wrong) or f"a new request got through {', '.join(found)}")

    def evidence(self, context: Context) -> Bite:
        """Starved as under a black hole, and the connection that was open before is silent still."""
        said = {name: text for name, text in self.old_said.items() if text != "silent"}
        ended = [f"{name}: the old connection was {text}" for name, text in said.items()]
        if ended or not self.old_said:
            return Bite(bit=False, text="; ".join(ended) or "no old connection was watched")
        still = Bite(bit=True, text="a connection from before is silent still")
        return together([super().evidence(context), still])


def toxics(number: int) -> tuple[Toxic, ...]:
    """Return what swallows both directions; numbered, for what an earlier fault left on the link stays."""
    return tuple(
        Toxic(name=f"dead_line_{number}_{stream}", type="timeout", stream=stream, attributes={"timeout": 0})
        for stream in ("upstream", "downstream")
    )


def opened(link: Link) -> http.client.HTTPConnection:
    """Return a connection through a link that was used once."""
    connection = link.connection(timeout_s=SILENT_S)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/v1/health")
        connection.getresponse().read()
    return connection


def asked(connection: http.client.HTTPConnection) -> str:
    """Send a request on a connection from before and return what came of it."""
    try:
        connection.request("GET", "/v1/health")
        connection.getresponse().read()
    except TimeoutError:
        return "silent"
    except (OSError, http.client.HTTPException) as error:
        return f"ended: {error or type(error).__name__}"
    finally:
        connection.close()
    return "answered"
