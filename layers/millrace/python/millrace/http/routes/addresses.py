"""/v1/flows/{flowId}/webhooks and /v1/flows/{flowId}/callbacks: the public addresses of a flow."""

from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Model
from millrace.domain.errors import ConflictError, NotFoundError, TooLargeError
from millrace.domain.patch import Patch
from millrace.domain.resource import Resource
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.generic import asking, of_types
from millrace.http.pages import link_header, links_of
from millrace.http.queries import AddressesQuery, PlainShown, with_fields
from millrace.http.requests import IfMatch, Page, answer, caller_of, etag_of, revision_of
from millrace.http.roles import needs
from millrace.http.routes.crud import Place
from millrace.http.sent_back import sent_back
from millrace.http.shown import chosen_answer, fields_shown, list_answer, partly
from millrace.usecases.callbacks import CALLBACKS
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud
from millrace.usecases.webhooks import WEBHOOKS


def webhooks_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/flows/{flowId}/webhooks."""
    return _router(context, Place("webhooks", "webhook_id", of_flow=True), WEBHOOKS)


def callbacks_router(context: Context) -> APIGatewayHttpRouter:
    """/v1/flows/{flowId}/callbacks."""
    return _router(context, Place("callbacks", "callback_id", of_flow=True), CALLBACKS)


def _router[I: Model, R: Resource](
    context: Context, place: Place, crud: Crud[I, R]
) -> APIGatewayHttpRouter:
    router = APIGatewayHttpRouter()
    name = place.name
    one = name.removesuffix("s")
    shown = partly(crud.kind)

    @router.get(
        place.collection,
        tags=[name],
        security=needs(place.reader),
        operation_id=f"list_{name}",
        responses=answers(HTTPStatus.OK, NotFoundError, TooLargeError, shows=Page[shown]),  # type: ignore[valid-type] # computed when it runs
    )
    @asking(with_fields(AddressesQuery, name, crud.kind))
    def list_all(flow_id: str, query: AddressesQuery) -> Response[Any]:
        event = router.current_event.raw_event
        part = crud.list_of_flow(
            context,
            caller_of(event),
            flow_id,
            limit=query.per_page,
            cursor=query.cursor,
            newest_first=query.newest_first,
        )
        links, meta = links_of(event, query, part)
        data = [fields_shown(address, query.chosen) for address in part.items]
        return list_answer(data, links, meta, link_header(links))

    @router.post(
        place.collection,
        tags=[name],
        security=needs(place.writer),
        operation_id=f"create_{one}",
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, NotFoundError, ConflictError),
    )
    @of_types(I=crud.input, R=crud.kind)
    def create(flow_id: str, given: I) -> Response[R]:
        caller = caller_of(router.current_event)
        address = crud.create(context, caller, given, flow_id=flow_id)
        return answer(address, address, HTTPStatus.CREATED)

    @router.get(
        place.member,
        tags=[name],
        security=needs(place.reader),
        operation_id=f"get_{one}",
        responses=answers(HTTPStatus.OK, NotFoundError, TooLargeError, shows=shown),
    )
    @asking(with_fields(PlainShown, name, crud.kind))
    def get(
        flow_id: str, id_: Annotated[str, Path(alias=place.id_name)], query: PlainShown
    ) -> Response[Any]:
        address = crud.get(context, caller_of(router.current_event), id_, flow_id=flow_id)
        return chosen_answer(fields_shown(address, query.chosen), etag_of(address))

    @router.put(
        place.member,
        tags=[name],
        security=needs(place.writer),
        operation_id=f"replace_{one}",
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    @of_types(I=sent_back(crud.input, crud.kind), R=crud.kind)
    def replace(
        flow_id: str,
        id_: Annotated[str, Path(alias=place.id_name)],
        given: I,
        if_match: IfMatch = None,
    ) -> Response[R]:
        caller, revision = caller_of(router.current_event), revision_of(if_match)
        address = crud.replace(context, caller, id_, given, revision, flow_id=flow_id)
        return answer(address, address)

    @router.patch(
        place.member,
        tags=[name],
        security=needs(place.writer),
        operation_id=f"patch_{one}",
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    @of_types(R=crud.kind)
    def patch(
        flow_id: str,
        id_: Annotated[str, Path(alias=place.id_name)],
        given: Patch,
        if_match: IfMatch = None,
    ) -> Response[R]:
        caller, revision = caller_of(router.current_event), revision_of(if_match)
        address = crud.patch(context, caller, id_, given.root, revision, flow_id=flow_id)
        return answer(address, address)

    @router.delete(
        place.member,
        tags=[name],
        security=needs(place.writer),
        operation_id=f"delete_{one}",
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH),
    )
    def delete(
        flow_id: str, id_: Annotated[str, Path(alias=place.id_name)], if_match: IfMatch = None
    ) -> Response[None]:
        caller, revision = caller_of(router.current_event), revision_of(if_match)
        crud.delete(context, caller, id_, revision, flow_id=flow_id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return router
