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
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.context import Context
from millrace.usecases.import_result import ImportPlan
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
        webhooks = [self._ref(Webhook, each) for each in given.webhooks]
        callbacks = [self._ref(Callback, each) for each in given.callbacks]
        refs: list[KeyRef[Any]] = [ref for ref in (*webhooks, *callbacks) if ref is not None]
        found = context.resources.find_many(caller.workspace_id, refs)
        self._webhooks = [None if ref is None else found.get(ref) for ref in webhooks]
        self._callbacks = [None if ref is None else found.get(ref) for ref in callbacks]

    def faults(self) -> Iterator[Violation]:
        """All that is wrong with them, but for secrets, which no document holds."""
        yield from _keys_used_twice("/webhooks", self._given.webhooks)
        yield from _keys_used_twice("/callbacks", self._given.callbacks)
        for number, (given, before) in enumerate(
            zip(self._given.webhooks, self._webhooks, strict=True)
        ):
            for fault in WEBHOOKS.check(self._context, self._caller, given, before):
                if fault.code != "secretMissing":
                    yield replace(fault, pointer=f"/webhooks/{number}{fault.pointer}")

    def plan(self, flow: Flow, plan: ImportPlan) -> None:
        """Plan what becomes of them, and tell what they lack."""
        for given, before in zip(self._given.webhooks, self._webhooks, strict=True):
            if before is not None:
                stays = {"virtual_environment_id": before.virtual_environment_id}
                sent_with = given.model_copy(update=stays)
                webhook, secrets = WEBHOOKS.changed(self._context, self._caller, before, sent_with)
            elif self._is_made(given):
                webhook, secrets = WEBHOOKS.new(self._context, self._caller, given, flow.id)
            else:
                continue
            plan.put(before, webhook, secrets=secrets, parent_id=flow.id)
            if webhook.hmac_algorithm is not None and webhook.secrets_key is None:
                message = "Set the secret that its sender signs with; until then it lets nobody in."
                plan.leave(webhook, "hmacSecretKey", message)
            is_for_customers = flow.endpoint_security_type == "customerRequired"
            if is_for_customers and webhook.virtual_environment_id is None:
                message = "Name the virtual environment that has the customer's API keys."
                plan.leave(webhook, "virtualEnvironmentId", message)
        for sent, was in zip(self._given.callbacks, self._callbacks, strict=True):
            if was is not None:
                callback, _ = CALLBACKS.changed(self._context, self._caller, was, sent)
            elif self._is_made(sent):
                callback, _ = CALLBACKS.new(self._context, self._caller, sent, flow.id)
            else:
                continue
            plan.put(was, callback, parent_id=flow.id)

    def _is_made(self, given: WebhookInput | CallbackInput) -> bool:
        return self._before is None or given.stable_key is not None

    def _ref[R: (Webhook, Callback)](
        self, kind: type[R], given: WebhookInput | CallbackInput
    ) -> KeyRef[R] | None:
        if self._before is None or given.stable_key is None:
            return None
        return KeyRef(kind, given.stable_key, self._before.id)


def _keys_used_twice(
    pointer: str, given: Sequence[WebhookInput | CallbackInput]
) -> Iterator[Violation]:
    seen: set[str] = set()
    for number, each in enumerate(given):
        if each.stable_key is not None and each.stable_key in seen:
            message = f"The stable key {each.stable_key!r} is used twice."
            place = f"{pointer}/{number}/stableKey"
            yield Violation("stableKeyTwice", place, message, "Give each a key of its own.")
        seen.add(each.stable_key or "")
