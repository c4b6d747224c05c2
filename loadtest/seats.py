"""Who serves which till: seats given out once each, by one process, to Locust users wherever they run.

The lone process or Locust's master keeps the book; a worker's user asks it for a seat and gives it back. So
no till's schedule is ever run twice, however many workers share the tills. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from loadtest.plan import Plan, Seat, planned_seats


class SeatBook:
    """The seats of a plan. With a fixed schedule each seat is worked through once; without one, seats never
    run out: further cashiers sit down at the tills in turn.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        cashiers, clerks = planned_seats(plan)
        self._fixed = plan.start_at_ms is not None
        self._seats = {"cashier": list(cashiers), "clerk": list(clerks)}
        self._owner: dict[tuple[str, int], str] = {}
        self._done: set[tuple[str, int]] = set()
        self._had: set[tuple[str, int]] = set()

    def claim(self, kind: str, owner: str) -> Seat | None:
        """Give the first free seat of a kind to an owner; None when all are taken or done."""
        for seat in self._known(kind):
            key = (kind, seat.index)
            if key not in self._owner and key not in self._done:
                self._owner[key] = owner
                again = key in self._had
                self._had.add(key)
                return replace(seat, again=again)
        return None

    def leave(self, kind: str, index: int, owner: str, *, done: bool) -> None:
        """Take a seat back from its owner; `done` says that its schedule was worked through."""
        if self._owner.get((kind, index)) == owner:
            del self._owner[kind, index]
            if done:
                self._done.add((kind, index))

    def keep_owners(self, present: set[str]) -> None:
        """Free the seats of owners that are gone."""
        self._owner = {key: owner for key, owner in self._owner.items() if owner in present}

    @property
    def all_done(self) -> bool:
        """Whether every seat of a fixed schedule has been worked through."""
        return self._fixed and len(self._done) == sum(map(len, self._seats.values()))

    def _known(self, kind: str) -> list[Seat]:
        seats = self._seats[kind]
        tills = len(self._plan.tills)
        if not self._fixed and kind == "cashier" and tills:
            taken = sum(1 for owned_kind, _ in self._owner if owned_kind == kind)
            while len(seats) <= taken:
                index = len(seats)
                seats.append(Seat(kind=kind, index=index, place=index % tills, slot=index // tills))
        return seats
