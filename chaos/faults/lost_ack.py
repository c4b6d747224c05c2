"""Lost ack: the server has committed a batch and its answer never reaches the till, which must send it again.

Answers are held up first, so that the commit can be seen while its ack is under way; then the connection is cut,
at once or after some bytes, and the held ack with it. Where the till was only shaking hands, or an ack slipped
through, the link is healed until the till has caught up, and the same is tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chaos.faults.base import Bite, Context, together
from chaos.faults.flow import Reading, read
from chaos.faults.onlink import LinkFault
from chaos.faults.parameters import whole
from chaos.fleet.links import Link
from chaos.proxy.client import Toxic

HELD_MS = 2500
AGAIN_S = 3.0
CERTAIN_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAckParameters:
    """Where the answer is cut."""

    after_bytes: int = whole(
        0, unit="bytes", least=0, most=1_000_000, text="of the answers that still get through; 0: the link is cut"
    )


@dataclass(slots=True, kw_only=True)
class Try:
    """The present state of one link; `server` is what the server held when the answers were cut."""

    state: Literal["held", "cut", "healed"]
    since_s: float
    server: int = 0


class LostAck(LinkFault):
    """Cuts the answers to a till."""

    kind = "lost_ack"
    parameters = LostAckParameters

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.tries: dict[str, Try] = {}
        self.proof: dict[str, str] = {}
        self.attempts = 0

    def inject(self, context: Context) -> None:
        """Hold up the answers of every link."""
        for link in self.links(context):
            self._hold(context, link)

    def observe(self, context: Context) -> None:
        """Cut where an ack is under way, look whether it was lost, and try again where it was not."""
        for link in self.links(context):
            if link.till not in self.proof:
                self._look(context, link)

    def lift(self, context: Context) -> None:
        """Look once more, and heal."""
        for link in self.links(context):
            if link.till not in self.proof and link.name in self.tries:
                for _ in range(2):
                    self._look(context, link)
                    context.sleep(CERTAIN_S)
        super().lift(context)

    def evidence(self, context: Context) -> Bite:
        """For each till, the server held entries for which the till never saw the ack."""
        tries = f" (answers held up {self.attempts} times)"
        return together(
            Bite(bit=till in self.proof, text=f"{till}: {self.proof.get(till, 'no lost ack was seen')}{tries}")
            for till in self.tills()
        )

    def _hold(self, context: Context, link: Link) -> None:
        attributes = {"latency": HELD_MS, "jitter": 0}
        link.add(Toxic(name="held_ack", type="latency", stream="downstream", attributes=attributes), live=True)
        self.attempts += 1
        self.tries[link.name] = Try(state="held", since_s=context.now_s())

    def _cut(self, context: Context, link: Link, server: int) -> None:
        if self.p.after_bytes:
            attributes = {"bytes": self.p.after_bytes}
            link.add(
                Toxic(name="lost_ack", type="limit_data", stream="downstream", attributes=attributes), live=True
            )
        else:
            link.cut()  # Toxiproxy lets a held answer go when another toxic is added
        self.tries[link.name] = Try(state="cut", since_s=context.now_s(), server=server)

    def _look(self, context: Context, link: Link) -> None:
        """Take a link's next step."""
        this = self.tries[link.name]
        now = read(context.witness, link.till)
        passed_s = context.now_s() - this.since_s
        if this.state == "healed":
            if caught_up(now):
                self._hold(context, link)
        elif this.state == "cut":
            if now.acked is not None and passed_s >= CERTAIN_S:
                self._conclude(context, link, this.server, now.acked)
        elif now.server is not None and now.acked is not None and now.server > now.acked:
            self._cut(context, link, now.server)
        elif passed_s > AGAIN_S and now.head is not None and now.server is not None and now.head > now.server:
            self._heal(context, link)

    def _conclude(self, context: Context, link: Link, server: int, acked: int) -> None:
        """What the server held some time ago and the till does not know now is a lost ack."""
        if server > acked:
            self.proof[link.till] = f"the server held seq {server}, the till knew of {acked}"
        else:
            self._heal(context, link)

    def _heal(self, context: Context, link: Link) -> None:
        link.heal()
        self.tries[link.name] = Try(state="healed", since_s=context.now_s())


def caught_up(now: Reading) -> bool:
    """Tell whether a till knows that all of its entries are on the server."""
    return now.head is not None and now.acked is not None and now.acked >= now.head
