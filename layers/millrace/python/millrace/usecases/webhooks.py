"""Webhooks of a flow."""

from typing import Final

from millrace.domain.webhook import Webhook, WebhookInput
from millrace.usecases.addresses import check_address, verifies
from millrace.usecases.crud import Crud, Events

WEBHOOKS: Final = Crud(
    Webhook,
    WebhookInput,
    check=check_address,
    keeps_secrets=verifies,
    events=Events("webhookCreated", "webhookReplaced", "webhookPatched", "webhookDeleted"),
)
"""Webhooks of flows; the address of one stays when it changes."""
