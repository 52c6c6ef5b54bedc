"""Callbacks of a flow: addresses whose callers wait for the flow's result."""

from typing import Final

from millrace.domain.callback import Callback, CallbackInput
from millrace.usecases.addresses import check_address, verifies
from millrace.usecases.crud import Crud, Events

CALLBACKS: Final = Crud(
    Callback,
    CallbackInput,
    check=check_address,
    keeps_secrets=verifies,
    events=Events("callbackCreated", "callbackReplaced", "callbackPatched", "callbackDeleted"),
)
"""Callbacks of flows; the address of one stays when it changes."""
