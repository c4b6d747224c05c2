"""Clock jump: a till's wall clock is suddenly off, as after a flat battery or a wrong time zone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.faults.base import Bite, Context, Fault, Healed, together
from chaos.faults.parameters import whole

DAY_MS = 86_400_000
LEEWAY_MS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJumpParameters:
    """How far."""

    offset_ms: int = whole(
        -3_600_000, unit="ms", least=-30 * DAY_MS, most=30 * DAY_MS, text="added to the till's clock"
    )


class ClockJump(Fault):
    """Writes the file from which a till takes its clock's offset."""

    kind = "clock_jump"
    aim = "till"
    parameters = ClockJumpParameters

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.before: dict[str, str | None] = {}
        self.began_ms = 0
        self.ended_ms = 0
        self.last_ms: dict[str, int | None] = {}

    def obstacle(self, context: Context) -> str | None:
        """The system must take its offset from a file, and the plan must name it."""
        missing = [till for till in self.targets if till not in context.system.clock_files]
        return f"no clock file is known for {', '.join(missing)}" if missing else None

    def inject(self, context: Context) -> None:
        """Write the offset."""
        self.began_ms = context.wall_ms()
        for till in self.targets:
            path = context.system.clock_files[till]
            self.before[till] = content(path)
            replace(path, str(self.p.offset_ms))

    def lift(self, context: Context) -> None:
        """Note the clock of the latest receipt, and put the files back as they were."""
        if not self.ended_ms:
            self.ended_ms = context.wall_ms()
            self.last_ms = {till: context.witness.till_last_sale_ms(till) for till in self.targets}
        for till, text in self.before.items():
            path = context.system.clock_files[till]
            if text is None:
                path.unlink(missing_ok=True)
            else:
                replace(path, text)

    def verify(self, context: Context) -> Healed:
        """The files are as they were."""
        wrong = [till for till, text in self.before.items() if content(context.system.clock_files[till]) != text]
        if wrong:
            return Healed(ok=False, text=f"the clock file of {', '.join(wrong)} is not as it was")
        return Healed(ok=True, text="the clock files are as they were")

    def evidence(self, context: Context) -> Bite:
        """Each till dated a receipt by the shifted clock."""
        return together(self._of(till) for till in self.targets)

    def _of(self, till: str) -> Bite:
        stamp = self.last_ms.get(till)
        if stamp is None:
            return Bite(bit=None, text=f"{till}: no receipt could be read")
        earliest, latest = self.began_ms - LEEWAY_MS, self.ended_ms + LEEWAY_MS
        off = stamp - self.ended_ms
        if earliest + self.p.offset_ms <= stamp <= latest + self.p.offset_ms and not earliest <= stamp <= latest:
            return Bite(bit=True, text=f"{till}: dated its latest receipt {off / 1000:+.1f} s off")
        return Bite(
            bit=False, text=f"{till}: its latest receipt is dated {off / 1000:+.1f} s off, not by the jump"
        )


def content(path: Path) -> str | None:
    """Return a file's text, or None if there is none."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def replace(path: Path, text: str) -> None:
    """Write a file in one step: a till never reads half a number."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    fresh.replace(path)
