"""Counts SQL statements and commits of an engine, as its driver is asked for them."""

from __future__ import annotations

from typing import Any

import psycopg2.extensions
from sqlalchemy import Engine, event


class Statements:
    """Counts since the last `take`. Statements count that go through SQLAlchemy or through `cursor`."""

    def __init__(self) -> None:
        self.statements = 0
        self.commits = 0

    def take(self) -> tuple[int, int]:
        """Return statements and commits so far, and begin anew."""
        counted = (self.statements, self.commits)
        self.statements = self.commits = 0
        return counted

    def watch_sqlalchemy(self, target: Engine | type[Engine]) -> None:
        """Count what goes through SQLAlchemy, of one engine or of all."""
        event.listen(target, "before_cursor_execute", self._executed)
        event.listen(target, "commit", self._committed)

    def watch_psycopg2(self, engine: Engine) -> None:
        """Count what goes through a PostgreSQL engine's cursors, also where they are used directly."""
        event.listen(engine, "do_connect", self._connecting)
        event.listen(engine, "commit", self._committed)

    def _executed(self, *_: Any) -> None:
        self.statements += 1

    def _committed(self, *_: Any) -> None:
        self.commits += 1

    def _connecting(self, _dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        counter = self

        class Counting(psycopg2.extensions.cursor):
            """A cursor that counts."""

            def execute(self, *arguments: Any, **named: Any) -> Any:
                """Count and execute."""
                counter.statements += 1
                return super().execute(*arguments, **named)

            def copy_expert(self, *arguments: Any, **named: Any) -> Any:
                """Count and copy."""
                counter.statements += 1
                return super().copy_expert(*arguments, **named)

        options["cursor_factory"] = Counting
