"""The six routes that all plain resources of a workspace share, written once."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.base import Model
from millrace.domain.errors import ConflictError, NotFoundError, TooLargeError
from millrace.domain.patch import Patch
from millrace.domain.resource import Resource
from millrace.domain.token import Role
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.generic import asking, of_types
from millrace.http.pages import link_header, links_of
from millrace.http.queries import PlainQuery, PlainShown, asked_by, with_fields
from millrace.http.requests import IfMatch, Page, answer, caller_of, etag_of, revision_of
from millrace.http.roles import needs
from millrace.http.sent_back import sent_back
from millrace.http.shown import chosen_answer, fields_shown, list_answer, partly
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud


@dataclass(frozen=True, slots=True)
class Place:
    """Where a collection is: `/v1/{name}`, its members at `/v1/{name}/<{id_name}>`."""

    name: str
    id_name: str
    of_flow: bool = False
    """Each flow has one of its own."""
    reader: Role = "viewer"
    writer: Role = "editor"
    """The roles that looking at it and changing it need."""

    @property
    def collection(self) -> str:
        """The rule of the collection's path."""
        return f"/v1/flows/<flow_id>/{self.name}" if self.of_flow else f"/v1/{self.name}"

    @property
    def member(self) -> str:
        """The rule of a member's path."""
        return f"{self.collection}/<{self.id_name}>"


def crud_router[I: Model, R: Resource](
    context: Context, place: Place, crud: Crud[I, R]
) -> APIGatewayHttpRouter:
    """The routes of a resource that its owner may see as it is stored."""
    router = APIGatewayHttpRouter()

    @router.post(
        place.collection,
        tags=[place.name],
        security=needs(place.writer),
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, ConflictError),
    )
    @of_types(I=crud.input, R=crud.kind)
    def create(given: I) -> Response[R]:
        resource = crud.create(context, caller_of(router.current_event), given)
        return answer(resource, resource, HTTPStatus.CREATED)

    add_routes(router, context, place, crud, crud.kind, lambda resource: resource)
    return router


def add_routes[I: Model, R: Resource, V: Model](
    router: APIGatewayHttpRouter,
    context: Context,
    place: Place,
    crud: Crud[I, R],
    view: type[V],
    show: Callable[[R], V],
) -> None:
    """List, read, replace, patch and delete, by answers that show a view of what is stored."""
    shown = partly(view)

    @router.get(
        place.collection,
        tags=[place.name],
        security=needs(place.reader),
        responses=answers(HTTPStatus.OK, TooLargeError, shows=Page[shown]),  # type: ignore[valid-type] # computed when it runs
    )
    @asking(with_fields(PlainQuery, place.name, view))
    def list_all(query: PlainQuery) -> Response[Any]:
        event = router.current_event.raw_event
        asked = asked_by(query, crud.kind, caller_of(event))
        part = crud.find_part(context, asked, query.filters)
        links, meta = links_of(event, query, part)
        data = [fields_shown(show(resource), query.chosen) for resource in part.items]
        return list_answer(data, links, meta, link_header(links))

    @router.get(
        place.member,
        tags=[place.name],
        security=needs(place.reader),
        responses=answers(HTTPStatus.OK, NotFoundError, TooLargeError, shows=shown),
    )
    @asking(with_fields(PlainShown, place.name, view))
    def get(id_: Annotated[str, Path(alias=place.id_name)], query: PlainShown) -> Response[Any]:
        resource = crud.get(context, caller_of(router.current_event), id_)
        return chosen_answer(fields_shown(show(resource), query.chosen), etag_of(resource))

    @router.put(
        place.member,
        tags=[place.name],
        security=needs(place.writer),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    @of_types(I=sent_back(crud.input, view), V=view)
    def replace(
        id_: Annotated[str, Path(alias=place.id_name)], given: I, if_match: IfMatch = None
    ) -> Response[V]:
        caller = caller_of(router.current_event)
        resource = crud.replace(context, caller, id_, given, revision_of(if_match))
        return answer(show(resource), resource)

    @router.patch(
        place.member,
        tags=[place.name],
        security=needs(place.writer),
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    @of_types(V=view)
    def patch(
        id_: Annotated[str, Path(alias=place.id_name)], given: Patch, if_match: IfMatch = None
    ) -> Response[V]:
        caller = caller_of(router.current_event)
        resource = crud.patch(context, caller, id_, given.root, revision_of(if_match))
        return answer(show(resource), resource)

    @router.delete(
        place.member,
        tags=[place.name],
        security=needs(place.writer),
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH),
    )
    def delete(
        id_: Annotated[str, Path(alias=place.id_name)], if_match: IfMatch = None
    ) -> Response[None]:
        caller = caller_of(router.current_event)
        crud.delete(context, caller, id_, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)
