"""/v1/flows/{flowId}/webhooks."""

from http import HTTPStatus

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.webhook import Webhook, WebhookInput
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.requests import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    answer,
    caller_of,
    page,
    revision_of,
)
from millrace.usecases import webhooks
from millrace.usecases.context import Context


def webhooks_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.get(
        "/v1/flows/<flow_id>/webhooks",
        tags=["webhooks"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def list_webhooks(flow_id: str, per_page: Limit = 25, cursor: Cursor = None) -> Page[Webhook]:
        caller = caller_of(router.current_event)
        listing = webhooks.list_webhooks(context, caller, flow_id, per_page, cursor)
        return page(f"/v1/flows/{flow_id}/webhooks", listing, per_page)

    @router.post(
        "/v1/flows/<flow_id>/webhooks",
        tags=["webhooks"],
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, NotFoundError, ConflictError),
    )
    def create_webhook(flow_id: str, given: WebhookInput) -> Response[Webhook]:
        caller = caller_of(router.current_event)
        webhook = webhooks.create_webhook(context, caller, flow_id, given)
        return answer(webhook, webhook, HTTPStatus.CREATED)

    @router.get(
        "/v1/flows/<flow_id>/webhooks/<webhook_id>",
        tags=["webhooks"],
        responses=answers(HTTPStatus.OK, NotFoundError),
    )
    def get_webhook(flow_id: str, webhook_id: str) -> Response[Webhook]:
        caller = caller_of(router.current_event)
        webhook = webhooks.get_webhook(context, caller, flow_id, webhook_id)
        return answer(webhook, webhook)

    @router.put(
        "/v1/flows/<flow_id>/webhooks/<webhook_id>",
        tags=["webhooks"],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    def replace_webhook(
        flow_id: str, webhook_id: str, given: WebhookInput, if_match: IfMatch = None
    ) -> Response[Webhook]:
        caller = caller_of(router.current_event)
        revision = revision_of(if_match)
        webhook = webhooks.replace_webhook(context, caller, flow_id, webhook_id, given, revision)
        return answer(webhook, webhook)

    @router.delete(
        "/v1/flows/<flow_id>/webhooks/<webhook_id>",
        tags=["webhooks"],
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH),
    )
    def delete_webhook(flow_id: str, webhook_id: str, if_match: IfMatch = None) -> Response[None]:
        caller = caller_of(router.current_event)
        webhooks.delete_webhook(context, caller, flow_id, webhook_id, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router
