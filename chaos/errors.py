"""What can go wrong in the laboratory itself, told apart from what goes wrong in the system under test.

Each error has a stable code. A ChaosError never counts against the system: the run could not be made, or a
fault could not be applied or lifted.
"""

from __future__ import annotations

from typing import ClassVar


class ChaosError(Exception):
    """The root of the laboratory's own errors."""

    code: ClassVar[str] = "lab"


class NodeFailed(ChaosError):
    """A node did not start, ended by itself or never became healthy; the message ends with its log's tail."""

    code = "node_failed"


class NodeUnknown(ChaosError):
    """No node of that name was staged."""

    code = "node_unknown"


class StepFailed(ChaosError):
    """A one-shot command of the staging ended with another code than 0, or too late."""

    code = "step_failed"


class WardenLost(ChaosError):
    """The process that starts and guards the nodes is gone, so the fleet is, too."""

    code = "warden_lost"


class ProxyUnavailable(ChaosError):
    """The network proxy did not answer in time, or answered with a server error."""

    code = "proxy_unavailable"


class ProxyRefused(ChaosError):
    """The network proxy refused a request, or its state read back is not the one asked for."""

    code = "proxy_refused"


class CannotRun(ChaosError):
    """This machine or this system can't do what was asked; the message says what is missing."""

    code = "cannot_run"


class FaultInvalid(ChaosError):
    """A fault's kind, parameter or target can't be used; the message names it and what is allowed."""

    code = "fault_invalid"


class FaultFailed(ChaosError):
    """A fault could not be injected, or its lifting could not be confirmed."""

    code = "fault_failed"
