"""The routes between servers, and for the operator: who is live, fence, promote, confirm, parity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from anyio import to_thread
from litestar import Request, get, post
from litestar.datastructures import State
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, QueryParameter

from syncref.errors import ConfigInvalid
from syncref.server.parity import check_parity, read_self
from syncref.server.peers import PeerCalls, peer_secret
from syncref.server.reign import Reign
from syncref.server.state import Worker
from syncref.store.server_open import snapshot
from syncref.store.server_term import TermRow
from syncref.wire.peer_api import FenceAsk, ParityAnswer, PeerAnswer, RoleAnswer
from syncref.wire.sync import Problem

AnyRequest = Request[Any, Any, Any]
Count = Annotated[int, QueryParameter(ge=0, lt=1 << 62)]
_READ: dict[str, Any] = {
    "security": [{"bearer": list[str]()}],
    "responses": {
        401: ResponseSpec(Problem, description="No token, or an expired one."),
        403: ResponseSpec(Problem, description="Not a server's token."),
        503: ResponseSpec(Problem, description="The database does not answer."),
    },
}
_CHANGE: dict[str, Any] = {
    "status_code": 200,
    "security": _READ["security"],
    "responses": _READ["responses"] | {422: ResponseSpec(Problem, description="Not from this role.")},
}


def _reign(worker: Worker) -> Reign:
    return Reign(worker.engine, peers=len(worker.config.peers), rank=worker.config.rank)


def _told(row: TermRow) -> RoleAnswer:
    return RoleAnswer(role=row.role.value, term_n=row.term.n, term_id=row.term.id.hex(), fenced_by=row.fenced_by)


async def _decide(request: AnyRequest, state: State, act: Callable[[Reign], TermRow]) -> RoleAnswer:
    worker: Worker = state.worker
    worker.desk.identify(request, "server")
    reign = _reign(worker)
    return _told(await to_thread.run_sync(act, reign))


@get("/v1/peer", summary="This server as its peers see it", **_READ)
async def peer(request: AnyRequest, state: State, term_n: Count = 0) -> PeerAnswer:
    """Return role, term, replay position, the journals' heads, build, schema and settings.

    `term_n` is the asking server's term: a newer one fences this server before it answers.
    """
    worker: Worker = state.worker
    worker.desk.identify(request, "server")

    def read() -> PeerAnswer:
        if term_n:
            _reign(worker).asked(term_n)
        with snapshot(worker.engine) as connection:
            return read_self(connection, worker.config)

    return await to_thread.run_sync(read)


@post("/v1/fence", summary="Take no more writes", **_CHANGE)
async def fence(request: AnyRequest, state: State, data: JSONBody[FenceAsk]) -> RoleAnswer:
    """Take no more writes, for the sake of a newer term: durable once answered, also over a restart."""
    return await _decide(request, state, lambda reign: reign.fence(data.term_n))


@post("/v1/promote", summary="Make this standby the live server", **_CHANGE)
async def promote(request: AnyRequest, state: State) -> RoleAnswer:
    """Promote the database, persist a new term, open writes. Asked again, a cut promotion is finished."""
    return await _decide(request, state, Reign.promote)


@post("/v1/confirm", summary="Confirm that this server is the live one", **_CHANGE)
async def confirm(request: AnyRequest, state: State) -> RoleAnswer:
    """The operator's word instead of a peer's. Ends a fence under a new term."""
    return await _decide(request, state, Reign.confirm)


@get("/v1/parity", summary="Whether this standby equals its live server", **_READ)
async def parity(request: AnyRequest, state: State) -> ParityAnswer:
    """Compare schema, build, settings and lag with the live peer."""
    worker: Worker = state.worker
    worker.desk.identify(request, "server")
    if not worker.config.peers:
        raise ConfigInvalid("[server] peers: there are none to compare with")

    def check() -> ParityAnswer:
        config = worker.config
        calls = PeerCalls(config.peers, peer_secret(config.peer_secret_file), ca_file=config.ca_file)
        try:
            with snapshot(worker.engine) as connection:
                return check_parity(connection, worker.config, calls)
        finally:
            calls.close()

    return await to_thread.run_sync(check)


PEER_ROUTES = (peer, fence, promote, confirm, parity)
