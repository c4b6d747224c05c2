"""F14: the server serves one till from its handshake to its batch, and waits for it for ever."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.network import Lost, Respond
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.reception import Reception
from syncref.core.ingest import Refusal
from syncref.wire.sync import Batch, Hello

_hello = Reception.hello
_batch = Reception.batch
_SERVED: WeakKeyDictionary[Reception, str] = WeakKeyDictionary()


def hello(self: Reception, hello: Hello, respond: Respond, lost: Lost) -> None:
    """Serve the till that has the turn; one with nothing to send gives it back at once."""
    if _SERVED.get(self, hello.till) != hello.till:
        respond(Refusal(code="busy", message="another till is being served"))
        return
    if hello.head_seq > hello.acked:
        _SERVED[self] = hello.till
    _hello(self, hello, respond, lost)


def batch(self: Reception, batch: Batch, respond: Respond, lost: Lost) -> None:
    """Take the batch; the turn is over."""
    _SERVED.pop(self, None)
    _batch(self, batch, respond, lost)


MUTANT = Mutant(
    id="F14",
    title="a dead till holds the server's only turn",
    fault="a till dies for good in mid-sync",
    expected="drain",
    profile=Profile(misfortunes={"scrap": 2.0, "noise": 2.0, "cut": 2.0}, tills=(3, 4), sales=12),
    swaps=[(Reception, "hello", hello), (Reception, "batch", batch)],
)
