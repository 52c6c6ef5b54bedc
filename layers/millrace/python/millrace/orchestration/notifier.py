"""Notifications on their way as executions of one hand-written state machine."""

from typing import TYPE_CHECKING

from millrace.domain.errors import ConflictError, UnavailableError

if TYPE_CHECKING:
    from millrace.domain.notification import Notification
    from millrace.domain.ports import Machines


class NotificationMachine:
    """The `Notifications` port: statemachines/notify.asl.json, which waits without compute."""

    def __init__(self, machines: "Machines", arn: str) -> None:
        self._machines = machines
        self._arn = arn

    def start(self, note: "Notification") -> None:
        """Start an execution, named after the notification so that it starts once."""
        try:
            self._machines.start(self._arn, note.id, {"note": note.to_json()})
        except ConflictError as error:
            raise UnavailableError("the notification machine is not there") from error
