"""The five routes that all plain resources of a workspace share, written once.

Powertools reads the types of a route when it runs, for validation and for the OpenAPI document; so
the type parameters that mypy checks are replaced by one resource's own types then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, get_args, get_origin

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter
from pydantic import BaseModel

from millrace.domain.base import Model
from millrace.domain.errors import ConflictError, NotFoundError
from millrace.domain.resource import Resource
from millrace.http.body import JSON
from millrace.http.documented import WITH_BODY, WITH_IF_MATCH, answers
from millrace.http.pages import link_header, links_of
from millrace.http.queries import ListQuery, asked_by
from millrace.http.requests import (
    IfMatch,
    Page,
    answer,
    caller_of,
    revision_of,
)
from millrace.http.sent_back import sent_back
from millrace.usecases.context import Context
from millrace.usecases.crud import Crud


@dataclass(frozen=True, slots=True)
class Place:
    """Where a collection is: `/v1/{name}`, its members at `/v1/{name}/<{id_name}>`."""

    name: str
    id_name: str

    @property
    def collection(self) -> str:
        """The path of the collection."""
        return f"/v1/{self.name}"

    @property
    def member(self) -> str:
        """The rule of a member's path."""
        return f"/v1/{self.name}/<{self.id_name}>"


def crud_router[I: Model, R: Resource](
    context: Context, place: Place, crud: Crud[I, R]
) -> APIGatewayHttpRouter:
    """The routes of a resource that its owner may see as it is stored."""
    router = APIGatewayHttpRouter()

    @router.post(
        place.collection,
        tags=[place.name],
        responses=answers(HTTPStatus.CREATED, *WITH_BODY, ConflictError),
    )
    @_of_types(I=crud.input, R=crud.kind)
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
    """List, read, replace and delete, by answers that show a view of what is stored."""

    @router.get(place.collection, tags=[place.name], responses=answers(HTTPStatus.OK))
    @_of_types(V=view)
    def list_all(query: Annotated[ListQuery, Query()]) -> Response[Page[V]]:
        event = router.current_event.raw_event
        asked = asked_by(query, crud.kind, caller_of(event))
        part = crud.find_part(context, asked, query.filters)
        links, meta = links_of(event, query, part)
        views = tuple(show(resource) for resource in part.items)
        return Response(
            status_code=HTTPStatus.OK,
            content_type=JSON,
            body=Page(data=views, meta=meta, links=links),
            headers=link_header(links),
        )

    @router.get(place.member, tags=[place.name], responses=answers(HTTPStatus.OK, NotFoundError))
    @_of_types(V=view)
    def get(id_: Annotated[str, Path(alias=place.id_name)]) -> Response[V]:
        resource = crud.get(context, caller_of(router.current_event), id_)
        return answer(show(resource), resource)

    @router.put(
        place.member,
        tags=[place.name],
        responses=answers(HTTPStatus.OK, *WITH_BODY, *WITH_IF_MATCH, ConflictError),
    )
    @_of_types(I=sent_back(crud.input, view), V=view)
    def replace(
        id_: Annotated[str, Path(alias=place.id_name)], given: I, if_match: IfMatch = None
    ) -> Response[V]:
        caller = caller_of(router.current_event)
        resource = crud.replace(context, caller, id_, given, revision_of(if_match))
        return answer(show(resource), resource)

    @router.delete(
        place.member,
        tags=[place.name],
        responses=answers(HTTPStatus.NO_CONTENT, *WITH_IF_MATCH),
    )
    def delete(
        id_: Annotated[str, Path(alias=place.id_name)], if_match: IfMatch = None
    ) -> Response[None]:
        caller = caller_of(router.current_event)
        crud.delete(context, caller, id_, revision_of(if_match))
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _of_types[**P, A](**types: type[Model]) -> Callable[[Callable[P, A]], Callable[P, A]]:
    """Puts types in the place of the type parameters of these names in a route's annotations."""

    def decorate(route: Callable[P, A]) -> Callable[P, A]:
        hints = route.__annotations__
        route.__annotations__ = {name: _filled(hint, types) for name, hint in hints.items()}
        return route

    return decorate


def _filled(hint: Any, types: dict[str, type[Model]]) -> Any:  # noqa: ANN401 - any annotation
    if isinstance(hint, TypeVar):
        return types[hint.__name__]
    if get_origin(hint) is Response:
        (shown,) = get_args(hint)
        return Response[_filled(shown, types)]  # type: ignore[misc] # computed when it runs
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        parameters = hint.__pydantic_generic_metadata__["parameters"]
    else:
        parameters = getattr(hint, "__parameters__", ())
    return hint[*(types[each.__name__] for each in parameters)] if parameters else hint
