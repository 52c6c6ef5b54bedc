"""Routes written once for several types.

Powertools reads the types of a route when it runs, for validation and for the OpenAPI document; so
the type parameters that mypy checks are replaced by one resource's own types then.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel

from millrace.domain.base import Model


def of_types[**P, A](**types: type[Model]) -> Callable[[Callable[P, A]], Callable[P, A]]:
    """Puts types in the place of the type parameters of these names in a route's annotations."""

    def decorate(route: Callable[P, A]) -> Callable[P, A]:
        hints = route.__annotations__
        route.__annotations__ = {name: _filled(hint, types) for name, hint in hints.items()}
        return route

    return decorate


def asking[**P, A](query: type[Model]) -> Callable[[Callable[P, A]], Callable[P, A]]:
    """Puts a model in the place of the one that a route's parameter `query` is annotated with."""

    def decorate(route: Callable[P, A]) -> Callable[P, A]:
        route.__annotations__["query"] = Annotated[query, Query()]
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
