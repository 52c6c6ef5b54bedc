"""The webhooks and callbacks of an imported flow: found by stable key in a flow that is there.

One without a stable key comes with a new flow only: otherwise each import would open one more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow
from millrace.domain.flow_document import ExportedFlow
from millrace.domain.ports import KeyRef
from millrace.domain.token import Caller
from millrace.domain.virtual_environment import VirtualEnvironment
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.addresses import check_address
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.finders import lookup
from millrace.usecases.import_result import ImportPlan
from millrace.usecases.plan import keys_used_twice
from millrace.usecases.webhooks import WEBHOOKS


class ImportedAddresses:
    """What becomes of the addresses that a document gives a flow; `before` is what is there."""

    def __init__(
        self, context: Context, caller: Caller, given: ExportedFlow, before: Flow | None
    ) -> None:
        self._context = context
        self._caller = caller
        self._given = given
        self._before = before
        self._find_environment = lookup(context, VirtualEnvironment, caller.workspace_id)
        webhooks = [self._ref(Webhook, each) for each in given.webhooks]
        callbacks = [self._ref(Callback, each) for each in given.callbacks]
        refs: list[KeyRef[Any]] = [ref for ref in (*webhooks, *callbacks) if ref is not None]
        found = context.resources.find_many(caller.workspace_id, refs)
        self._webhooks = [None if ref is None else found.get(ref) for ref in webhooks]
        self._callbacks = [None if ref is None else found.get(ref) for ref in callbacks]

    def faults(self) -> Iterator[Violation]:
        """All that is wrong with them, but for secrets, which no document holds."""
        yield from self._faults("/webhooks", self._given.webhooks, self._webhooks)
        yield from self._faults("/callbacks", self._given.callbacks, self._callbacks)

    def _faults(
        self,
        pointer: str,
        given: Sequence[WebhookInput | CallbackInput],
        before: Sequence[Webhook | Callback | None],
    ) -> Iterator[Violation]:
        yield from keys_used_twice(
            (f"{pointer}/{number}", each.stable_key) for number, each in enumerate(given)
        )
        find = self._find_environment
        for number, (each, stored) in enumerate(zip(given, before, strict=True)):
            for fault in check_address(self._context, self._caller, each, stored, find):
                if fault.code != "secretMissing":
                    yield replace(fault, pointer=f"{pointer}/{number}{fault.pointer}")

    def plan(self, flow: Flow, plan: ImportPlan) -> None:
        """Plan what becomes of them, and tell what they lack."""
        self._plan(WEBHOOKS, self._given.webhooks, self._webhooks, flow, plan)
        self._plan(CALLBACKS, self._given.callbacks, self._callbacks, flow, plan)

    def _plan[I: (WebhookInput, CallbackInput), R: (Webhook, Callback)](
        self,
        crud: Crud[I, R],
        given: Sequence[I],
        stored: Sequence[R | None],
        flow: Flow,
        plan: ImportPlan,
    ) -> None:
        for each, before in zip(given, stored, strict=True):
            if before is not None:
                stays = {"virtual_environment_id": before.virtual_environment_id}
                sent_with = each.model_copy(update=stays)
                address, secrets = crud.changed(self._context, self._caller, before, sent_with)
            elif self._is_made(each):
                address, secrets = crud.new(self._context, self._caller, each, flow.id)
            else:
                continue
            plan.put(before, address, secrets=secrets, parent_id=flow.id)
            if address.hmac_algorithm is not None and address.secrets_key is None:
                message = "Set the secret that its sender signs with; until then it lets nobody in."
                plan.leave(address, "hmacSecretKey", message)
            is_for_customers = flow.endpoint_security_type == "customerRequired"
            if is_for_customers and address.virtual_environment_id is None:
                message = "Name the virtual environment that has the customer's API keys."
                plan.leave(address, "virtualEnvironmentId", message)

    def _is_made(self, given: WebhookInput | CallbackInput) -> bool:
        return self._before is None or given.stable_key is not None

    def _ref[R: (Webhook, Callback)](
        self, kind: type[R], given: WebhookInput | CallbackInput
    ) -> KeyRef[R] | None:
        if self._before is None or given.stable_key is None:
            return None
        return KeyRef(kind, given.stable_key, self._before.id)
