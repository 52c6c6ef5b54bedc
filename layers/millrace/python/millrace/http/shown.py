"""Answers whose shape the request chooses: fields left out, and related things shown beside."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler import Response
from pydantic import ConfigDict, create_model

from millrace import limits
from millrace.domain.base import Json, Model
from millrace.domain.errors import TooLargeError
from millrace.domain.flow import Flow, Version
from millrace.domain.run import Run
from millrace.domain.token import Caller
from millrace.http.body import JSON
from millrace.http.requests import Links, Meta
from millrace.http.views import FlowDetail, FlowView, RunView, VersionView
from millrace.usecases.includes.include import relations_of_flows, relations_of_versions
from millrace.usecases.includes.relation import COUNT, EXISTS, Node, Relation


def _described(relations: Callable[[], Mapping[str, Relation]]) -> Callable[[dict[str, Any]], None]:
    """Describes a model of which a request chooses the fields and adds relations."""

    def describe(schema: dict[str, Any]) -> None:
        schema.pop("required", None)
        for name, relation in relations().items():
            one = {"anyOf": [{"type": "object"}, {"type": "null"}]}
            shown = {"type": "array", "items": {}} if relation.many else one
            schema["properties"] |= {
                name: shown,
                f"{name}{COUNT}": {"type": "integer", "minimum": 0},
                f"{name}{EXISTS}": {"type": "boolean"},
            }

    return describe


class ShownFlow(FlowDetail):
    """A flow; a request may choose fields, and include relations.

    Lists leave `steps` out.
    """

    model_config = ConfigDict(json_schema_extra=_described(relations_of_flows))


class ShownVersion(VersionView):
    """A version; a request may choose fields, and include relations."""

    model_config = ConfigDict(json_schema_extra=_described(relations_of_versions))


def partly[V: Model](view: type[V]) -> type[V]:
    """A view of which a request may choose the fields, for the OpenAPI document."""
    described = {"json_schema_extra": _described(dict)}
    return create_model(
        f"Shown{view.__name__}", __base__=view, __doc__=view.__doc__, __cls_kwargs__=described
    )


type Chosen = Mapping[str, set[str]]


def show(node: Node, caller: Caller, chosen: Chosen, view: Model | None = None) -> dict[str, Json]:
    """A thing as it is answered, with what is included.

    Args:
        node: The thing, and what is included.
        caller: Who asks.
        chosen: The fields to show, by kind.
        view: What shows the thing, if not the usual view.
    """
    told = _view(node, caller) if view is None else view
    kind = "flows" if isinstance(told, Flow) else "versions" if isinstance(told, Version) else ""
    fields = fields_shown(told, chosen.get(kind))
    if isinstance(node.value, Version) and view is None:
        # Those of many versions at once would be too many to be shown unasked.
        fields.pop("steps", None)
    for name, related in node.related.items():
        match related:
            case Node():
                fields[name] = show(related, caller, chosen)
            case list():
                fields[name] = [show(each, caller, chosen) for each in related]
            case _:
                fields[name] = related
    return fields


def fields_shown(view: Model, only: Collection[str] | None) -> dict[str, Json]:
    """The fields of a view, or those that are chosen."""
    fields: dict[str, Json] = view.model_dump(mode="json", by_alias=True)
    return fields if only is None else {name: fields[name] for name in fields if name in only}


def _view(node: Node, caller: Caller) -> Model:
    match node.value:
        case Flow():
            return FlowView.of(node.value, caller)
        case Version():
            return VersionView.of(node.value)
        case Run():
            return RunView.of(node.value)
        case _:
            return node.value


def list_answer(
    data: Iterable[Mapping[str, Json]], links: Links, meta: Meta, headers: Mapping[str, str]
) -> Response[Any]:
    """A page of a list as an answer."""
    told = {
        "data": [*data],
        "meta": meta.model_dump(by_alias=True),
        "links": links.model_dump(by_alias=True),
    }
    return chosen_answer(told, headers)


def chosen_answer(told: Mapping[str, Json], headers: Mapping[str, str]) -> Response[Any]:
    """An answer. Raises TooLargeError for one that no Lambda could give."""
    text = json.dumps(told, separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.ANSWER_BYTES:
        raise TooLargeError(
            f"the answer has {size:,} bytes and may have {limits.ANSWER_BYTES:,}; "
            "include less, choose fields, or ask for fewer with perPage"
        )
    return Response(status_code=HTTPStatus.OK, content_type=JSON, body=text, headers=dict(headers))
