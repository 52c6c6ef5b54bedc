"""Queues of the account whose messages start runs: which flow has which."""

from typing import ClassVar, Final

from millrace.domain.resource import Resource

ACCOUNT: Final = "account"
"""Stands for the workspace of what there is once in the account, whatever workspaces there are."""


class QueueOwner(Resource):
    """Whose runs the messages of a queue start; its id is the queue's name.

    A queue hands each message to one receiver, so it has one owner in all workspaces.
    """

    prefix: ClassVar[str] = "queue"

    owner_workspace_id: str
    flow_id: str


class FlowQueue(Resource):
    """The queue that was connected for a flow, under the flow's id."""

    prefix: ClassVar[str] = "flowqueue"

    queue: str
