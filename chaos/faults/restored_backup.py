"""Restored backup: the server's database is lost and restored from an older backup.

The backup is taken at the beginning; at the end server and database are stopped, the backup is laid back, and they
are started. What was acked in between must come again from the tills; clerks' documents are a declared loss.
"""

from __future__ import annotations

from chaos.faults.backups import Forgotten, ServerBackups
from chaos.faults.base import Bite, Context, Healed
from chaos.faults.onnode import NodeFault, start_again


class RestoredBackup(NodeFault):
    """Takes back what one server's database committed between its beginning and its end."""

    kind = "restored_backup"
    aim = "node"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.taken = False
        self.counted = False
        self.laying = False
        self.laid_back = False
        self.lacks: Forgotten | None = None

    def obstacle(self, context: Context) -> str | None:
        """The one target must be a server whose database can be backed up."""
        if len(self.targets) != 1:
            return "one server at a time can be restored"
        if self.targets[0] not in context.system.backups:
            return f"no backup of {self.targets[0]} is planned: it needs a server that stands alone, as processes"
        return super().obstacle(context)

    def backups(self, context: Context) -> ServerBackups:
        """Return the plan; obstacle() has seen it."""
        return context.system.backups[self.targets[0]]

    def inject(self, context: Context) -> None:
        """Take the backup; everything goes on."""
        self.backups(context).take()
        self.taken = True

    def lift(self, context: Context) -> None:
        """Stop whoever uses the database, restore it, and start them again."""
        if not self.taken:
            return
        backups = self.backups(context)
        if not self.laid_back:
            for node in backups.users:
                context.fleet.stop(node)
            if not self.counted:
                backups.inventory()
                self.counted = True
            context.fleet.stop(backups.postgres)
            self.laying = True
            backups.lay_back()
            self.laid_back = True
        if context.fleet.state(backups.postgres) in {"stopped", "ended"}:
            context.fleet.start(backups.postgres)
        if self.lacks is None:
            self.lacks = backups.forgotten()
        # the server comes first: it opens the new term, without which nobody else is well
        start_again(context, reversed(backups.users))

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Start everything on the database as it was; not on one that is half replaced, or was not read again."""
        backups = self.backups(context)
        if self.laying and self.lacks is None:
            return (backups.postgres, *backups.users)
        start_again(context, (backups.postgres, *reversed(backups.users)))
        return ()

    def verify(self, context: Context) -> Healed:
        """The backup was laid back, and all who use it answer."""
        if self.taken and not self.laid_back:
            return Healed(ok=False, text="the backup was not laid back")
        return super().verify(context)

    def evidence(self, context: Context) -> Bite:
        """The restored database lacks entries that the server had taken."""
        if self.lacks is None:
            return Bite(bit=None, text="what the restored database lacks is not known")
        lacks = self.lacks
        text = (
            f"restored on timeline {lacks.timeline} (before: {lacks.timeline_before}); it lacks {lacks.entries} "
            f"entries that had been acked and {lacks.edits} operations of clerks"
        )
        return Bite(bit=lacks.entries > 0, text=text)
