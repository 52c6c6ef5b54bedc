"""The webhooks and callbacks of an imported flow: found by stable key in a flow that is there.

One without a stable key comes with a new flow only: otherwise each import would open one more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from millrace.domain.callback import Callback, CallbackInput
from millrace.domain.errors import Violation
from millrace.domain.flow import Flow
from millrace.domain.flow_document import ExportedFlow
from millrace.domain.ports import Change, Create, Replace
from millrace.domain.token import Caller
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.callbacks import changed_callback, new_callback
from millrace.usecases.context import Context
from millrace.usecases.webhooks import changed_webhook, new_webhook, webhook_violations


class ImportedAddresses:
    """What becomes of the addresses that a document gives a flow; `before` is what is there."""

    def __init__(
        self, context: Context, caller: Caller, given: ExportedFlow, before: Flow | None
    ) -> None:
        self._context = context
        self._caller = caller
        self._given = given
        self._before = before
        self._webhooks = [self._find(Webhook, each) for each in given.webhooks]
        self._callbacks = [self._find(Callback, each) for each in given.callbacks]

    def faults(self) -> Iterator[Violation]:
        """All that is wrong with them, but for secrets, which no document holds."""
        yield from _keys_used_twice("/webhooks", self._given.webhooks)
        yield from _keys_used_twice("/callbacks", self._given.callbacks)
        for number, (given, before) in enumerate(
            zip(self._given.webhooks, self._webhooks, strict=True)
        ):
            for fault in webhook_violations(given, before=before):
                if fault.code != "secretMissing":
                    yield replace(fault, pointer=f"/webhooks/{number}{fault.pointer}")

    def webhooks(
        self, flow: Flow
    ) -> Iterator[tuple[Webhook | None, Webhook, dict[str, str], list[Change]]]:
        """Each webhook before and after, its secrets if they change, and what stores it."""
        for given, before in zip(self._given.webhooks, self._webhooks, strict=True):
            if before is not None:
                after, secrets = changed_webhook(self._context, self._caller, before, given)
                yield before, after, secrets, _change(before, after, flow)
            elif self._is_made(given):
                after, secrets = new_webhook(self._context, self._caller, flow.id, given)
                yield None, after, secrets, [Create(after, parent_id=flow.id)]

    def callbacks(self, flow: Flow) -> Iterator[tuple[Callback | None, Callback, list[Change]]]:
        """Each callback before and after, and what stores it."""
        for given, before in zip(self._given.callbacks, self._callbacks, strict=True):
            if before is not None:
                after = changed_callback(self._context, self._caller, before, given)
                yield before, after, _change(before, after, flow)
            elif self._is_made(given):
                after = new_callback(self._context, self._caller, flow.id, given)
                yield None, after, [Create(after, parent_id=flow.id)]

    def _is_made(self, given: WebhookInput | CallbackInput) -> bool:
        return self._before is None or given.stable_key is not None

    def _find[R: (Webhook, Callback)](
        self, kind: type[R], given: WebhookInput | CallbackInput
    ) -> R | None:
        if self._before is None or given.stable_key is None:
            return None
        return self._context.resources.find(
            kind, self._caller.workspace_id, given.stable_key, parent_id=self._before.id
        )


def _change[R: (Webhook, Callback)](before: R, after: R, flow: Flow) -> list[Change]:
    return [] if after is before else [Replace(before, after, parent_id=flow.id)]


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
