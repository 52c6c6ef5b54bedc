"""Callbacks of a flow: addresses whose callers wait for the flow's result."""

from typing import Final

from millrace.domain.callback import Callback, CallbackInput
from millrace.usecases.crud import Crud, Events

CALLBACKS: Final = Crud(
    Callback,
    CallbackInput,
    events=Events("callbackCreated", "callbackReplaced", "callbackPatched", "callbackDeleted"),
)
