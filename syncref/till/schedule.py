"""The sync's timetable, by the machine's local time: at a time of day, or every so often within a window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from syncref.config import Slot


class Timetable:
    """Calls `sync` at the times of a schedule. APScheduler is loaded only when there is one."""

    def __init__(self, slots: tuple[Slot, ...], sync: Callable[[], object]) -> None:
        self._slots = slots
        self._sync = sync
        self._scheduler: Any = None

    def start(self) -> None:
        """Begin; a window that is open now counts."""
        if not self._slots:
            return
        from apscheduler.schedulers.background import BackgroundScheduler
        from apscheduler.triggers.cron import CronTrigger

        self._scheduler = BackgroundScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 60}
        )
        for slot in self._slots:
            if slot.at is not None:
                hour, minute = _clock_time(slot.at)
                self._scheduler.add_job(self._sync, CronTrigger(hour=hour, minute=minute))
                continue
            assert slot.from_ is not None
            hour, minute = _clock_time(slot.from_)
            self._scheduler.add_job(self._open_window, CronTrigger(hour=hour, minute=minute), args=[slot])
            if window_end(slot, datetime.now().astimezone()) is not None:
                self._scheduler.add_job(self._open_window, args=[slot])
        self._scheduler.start()

    def stop(self) -> None:
        """End without waiting for a run that is under way."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)

    def _open_window(self, slot: Slot) -> None:
        from apscheduler.triggers.interval import IntervalTrigger

        now = datetime.now().astimezone()
        end = window_end(slot, now)
        if end is None:
            return
        trigger = IntervalTrigger(seconds=slot.every_s, start_date=now, end_date=end)
        self._scheduler.add_job(self._sync, trigger, id=f"{slot.from_}-{slot.to}", replace_existing=True)


def window_end(slot: Slot, now: datetime) -> datetime | None:
    """Return when the window that `now` falls into ends, or None outside; it may reach over midnight."""
    assert slot.from_ is not None
    assert slot.to is not None
    for days in (0, -1):
        day = now + timedelta(days=days)
        start = _on(day, slot.from_)
        end = _on(day, slot.to)
        if end <= start:
            end += timedelta(days=1)
        if start <= now < end:
            return end
    return None


def _on(day: datetime, text: str) -> datetime:
    hour, minute = _clock_time(text)
    return day.replace(hour=hour, minute=minute, second=0, microsecond=0)


def _clock_time(text: str) -> tuple[int, int]:
    hour, _, minute = text.partition(":")
    return int(hour), int(minute)
