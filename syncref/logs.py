"""Structured logs: one JSON object per line on stderr, and never a secret in one."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_HIDDEN = ("secret", "token", "pin", "password", "authorization")


class JsonLines(logging.Formatter):
    """Formats a record as {ts, level, logger, event, ...fields}."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON; exceptions are under `error`."""
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields: dict[str, object] = getattr(record, "fields", {})
        for key, value in fields.items():
            line[key] = "(hidden)" if key.lower() in _HIDDEN else value
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: int = logging.INFO) -> None:
    """Send the process's log to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").disabled = True


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log an event by its name with its fields."""
    logger.log(level, name, extra={"fields": fields})
