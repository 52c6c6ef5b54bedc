"""What the address of a list or of one thing asks for: page, order, filters, fields, relations.

Powertools reads the models for the parameters of a route.
"""

import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, Final, cast, get_args

from pydantic import AfterValidator, Field, ValidationInfo, create_model, field_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from millrace import limits
from millrace.domain.base import Model, Moment
from millrace.domain.failed_record import Classification, ErrorSource
from millrace.domain.ports import Order, OrderName
from millrace.domain.resource import Resource
from millrace.domain.run import RunFilter, RunStatus, TriggerSource
from millrace.domain.token import Caller
from millrace.http.parameters import Parameters
from millrace.http.views import FlowDetail, FlowView, VersionView
from millrace.usecases import flow_lists
from millrace.usecases.includes.include import relations_of_flows, relations_of_versions
from millrace.usecases.includes.relation import Relation, Wanted, names_of, wanted
from millrace.usecases.lists import Asked

_STABLE_KEY: Final = r"([A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*"
_CURSOR_LENGTH: Final = 2_048
_PARAMETER_LENGTH: Final = 8_192

_SOURCES: Final = get_args(ErrorSource)

_SORTS: Final[Mapping[str, OrderName]] = {
    "id": "createdAt",
    "createdAt": "createdAt",
    "name": "name",
    "enabledAt": "enabledAt",
    "lastExecutedAt": "lastExecutedAt",
}
"""What a caller calls the orders."""


def _text(alias: str, description: str) -> Any:  # noqa: ANN401 - the default of a field
    return Field(default=None, alias=alias, max_length=_PARAMETER_LENGTH, description=description)


class PagedQuery(Parameters):
    """A list in an order of its own that goes on by cursor."""

    per_page: int = Field(
        default=limits.PAGE_ITEMS,
        alias="perPage",
        ge=1,
        le=limits.PAGE_ITEMS_MAX,
        description="Items a page.",
    )
    cursor: str | None = Field(
        default=None, max_length=_CURSOR_LENGTH, description="Where to go on, from `links.next`."
    )


class CursorQuery(PagedQuery):
    """A list that may be sorted and goes on by cursor."""

    sort: str | None = _text(
        "sort", "A comma list of what to sort by, `-` before what goes from high to low."
    )

    orders: ClassVar[tuple[str, ...]] = ("createdAt",)

    @field_validator("sort")
    @classmethod
    def _known_sort(cls, sort: str | None) -> str | None:
        known = [name for name, order in _SORTS.items() if order in cls.orders]
        names = [name.removeprefix("-") for name in _listed(sort)]
        _refuse_unknown("sort", [name for name in names if name not in known], known)
        return sort

    @property
    def newest_first(self) -> bool:
        """Whether a list that has one order is to go the other way round."""
        return bool(self.sorted_by) and self.sorted_by[0].descending

    @property
    def sorted_by(self) -> tuple[Order, ...]:
        """The orders that are asked for."""
        return tuple(
            Order(_SORTS[name.removeprefix("-")], name.startswith("-"))
            for name in _listed(self.sort)
        )


class NumberedQuery(CursorQuery):
    """A list whose pages have numbers as well."""

    page: int | None = Field(default=None, ge=1, description="Which page, from 1.")

    @field_validator("page")
    @classmethod
    def _no_cursor(cls, page: int | None, info: ValidationInfo) -> int | None:
        if page is not None and info.data.get("cursor") is not None:
            msg = "page and cursor contradict each other; send one of them"
            raise ValueError(msg)
        return page


class ListQuery(NumberedQuery):
    """A list of plain resources."""

    filter_name: str | None = _text("filter[name]", "What the name has in it, in either case.")
    filter_id: str | None = _text("filter[id]", "Only those of these ids.")

    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")

    @field_validator("filter_id", check_fields=False)
    @classmethod
    def _few_values(cls, values: str | None) -> str | None:
        _refuse_many(values, limits.PAGE_ITEMS_MAX)
        return values

    @property
    def filters(self) -> dict[str, list[str]]:
        """The values of each filter that is given."""
        return {
            str(field.alias)[len("filter[") : -1]: _listed(value)
            for name, field in type(self).model_fields.items()
            if name.startswith("filter_") and (value := getattr(self, name)) is not None
        }


class PlainShown(Parameters):
    """What is shown of a plain resource: `with_fields` says of which."""

    only: str | None = None

    @property
    def chosen(self) -> set[str] | None:
        """The fields to show; None: all of them."""
        return None if self.only is None else set(_listed(self.only))


class PlainQuery(PlainShown, ListQuery):
    """A list of plain resources of a workspace."""


class AddressesQuery(PlainShown, CursorQuery):
    """A list of the public addresses of a flow."""


def with_fields[Q: PlainShown](query: type[Q], collection: str, view: type[Model]) -> type[Q]:
    """The query whose `fields[collection]` are those of a view."""
    name = f"fields[{collection}]"
    only = Annotated[str | None, AfterValidator(partial(_check_fields, view))]
    return create_model(
        f"{query.__name__}_{collection}",
        __base__=query,
        only=(only, _text(name, f"Only these fields of {collection}.")),
    )


_Include = Annotated[
    str | None,
    Field(
        max_length=_PARAMETER_LENGTH,
        description="A comma list of relations to show, dotted where one belongs to another; of "
        "each there is also its number, `labels_count`, and whether there is any, `labelsExists`.",
    ),
]


class Shown(Parameters):
    """What is shown of each thing."""

    include: _Include = None

    fields: ClassVar[Mapping[str, type[Model]]]
    """The views whose fields may be chosen, by the parameter's own field."""

    @classmethod
    @abstractmethod
    def relations(cls) -> Mapping[str, Relation]:
        """What may be included."""

    @field_validator("include")
    @classmethod
    def _known_relations(cls, include: str | None) -> str | None:
        _, unknown = wanted(_listed(include), cls.relations())
        _refuse_unknown("include", unknown, names_of(cls.relations()))
        return include

    @property
    def included(self) -> Wanted:
        """The relations that are asked for."""
        if self.include is None:
            return Wanted()
        return wanted(_listed(self.include), self.relations())[0]

    @property
    def chosen(self) -> dict[str, set[str]]:
        """The fields to show, by `flows` and `versions`; all of those that are absent."""
        return {
            name: set(_listed(value))
            for name in self.fields
            if (value := getattr(self, f"fields_{name}")) is not None
        }


def _check_fields(view: type[Model], value: str | None) -> str | None:
    known = [to_camel(name) for name in view.model_fields]
    _refuse_unknown("field", [name for name in _listed(value) if name not in known], known)
    return value


class VersionShown(Shown):
    """What is shown of a version."""

    fields_versions: str | None = _text("fields[versions]", "Only these fields of versions.")

    fields: ClassVar[Mapping[str, type[Model]]] = {"versions": VersionView}

    @classmethod
    def relations(cls) -> Mapping[str, Relation]:
        """What may be included in versions."""
        return relations_of_versions()

    @field_validator("fields_versions", check_fields=False)
    @classmethod
    def _known_version_fields(cls, value: str | None) -> str | None:
        return _check_fields(VersionView, value)


class FlowShown(VersionShown):
    """What is shown of a flow."""

    fields_flows: str | None = _text("fields[flows]", "Only these fields of flows.")

    fields: ClassVar[Mapping[str, type[Model]]] = {"flows": FlowDetail, "versions": VersionView}

    @classmethod
    def relations(cls) -> Mapping[str, Relation]:
        """What may be included in flows."""
        return relations_of_flows()

    @field_validator("fields_flows", check_fields=False)
    @classmethod
    def _known_flow_fields(cls, value: str | None) -> str | None:
        return _check_fields(cls.fields["flows"], value)


class VersionsQuery(VersionShown, NumberedQuery):
    """A list of versions."""


class FlowsQuery(FlowShown, ListQuery):
    """A list of flows."""

    filter_stable_key: str | None = _text(
        "filter[stableKey]", "Only the flow of this key; in an integration, `integration/key`."
    )
    filter_template_id: str | None = _text("filter[templateId]", "Made from one of these.")
    filter_template_version: str | None = _text(
        "filter[templateVersion]", "Made from one of these."
    )
    filter_integration_id: str | None = _text("filter[integrationId]", "In one of these.")
    filter_labelled: str | None = _text(
        "filter[labelled]", "`true`, `false`, or ids of labels, one of which it has."
    )
    filter_enabled: str | None = _text("filter[enabled]", "`true` or `false`.")
    filter_deployed: str | None = _text("filter[deployed]", "`true` or `false`.")
    filter_versions: str | None = _text("filter[versions]", "How many versions, or `none`.")
    filter_version_ids: str | None = _text("filter[versions.id]", "Only those of these versions.")

    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name", "enabledAt", "lastExecutedAt")
    fields: ClassVar[Mapping[str, type[Model]]] = {"flows": FlowView, "versions": VersionView}

    @field_validator("filter_stable_key")
    @classmethod
    def _stable_keys(cls, values: str | None) -> str | None:
        _refuse_many(values, flow_lists.values_allowed("stableKey"))
        return _check_values(values, _STABLE_KEY, "a stable key, or integration/key")

    @field_validator("filter_version_ids")
    @classmethod
    def _few_versions(cls, values: str | None) -> str | None:
        _refuse_many(values, flow_lists.values_allowed("versions.id"))
        return values

    @field_validator("filter_enabled", "filter_deployed")
    @classmethod
    def _booleans(cls, values: str | None) -> str | None:
        return _check_values(values, "true|false", "true or false")

    @field_validator("filter_versions")
    @classmethod
    def _numbers(cls, values: str | None) -> str | None:
        return _check_values(values, r"\d{1,9}|none", "a number, or none")


class LimitsQuery(Parameters):
    """Whose runs are told of beside the limits."""

    filter_flow_id: str | None = _text("filter[flowId]", "Only those of this flow.")


class FlowRunsQuery(PagedQuery):
    """A list of a flow's runs."""

    filter_status: str | None = _text("filter[status]", "Only those of one of these statuses.")
    filter_trigger_source: str | None = _text(
        "filter[triggerSource]", "Only those that one of these started."
    )
    filter_created_after: Moment | None = Field(
        default=None, alias="filter[createdAfter]", description="Created then or later."
    )
    filter_created_before: Moment | None = Field(
        default=None, alias="filter[createdBefore]", description="Created earlier than that."
    )

    @field_validator("filter_status")
    @classmethod
    def _statuses(cls, values: str | None) -> str | None:
        return _check_choice(values, [*RunStatus])

    @field_validator("filter_trigger_source")
    @classmethod
    def _sources(cls, values: str | None) -> str | None:
        return _check_choice(values, get_args(TriggerSource.__value__))

    @property
    def where(self) -> RunFilter:
        """The runs that are asked for."""
        return RunFilter(
            statuses=tuple(map(RunStatus, _different(self.filter_status))),
            trigger_sources=cast(
                "tuple[TriggerSource, ...]", _different(self.filter_trigger_source)
            ),
            created_after=self.filter_created_after,
            created_before=self.filter_created_before,
        )


class RunsQuery(FlowRunsQuery):
    """A list of all runs."""

    filter_flow_id: str | None = _text("filter[flowId]", "Only those of one of these flows.")

    @field_validator("filter_flow_id")
    @classmethod
    def _few_flows(cls, values: str | None) -> str | None:
        _refuse_many(values, limits.PAGE_ITEMS_MAX)
        return values

    @property
    def where(self) -> RunFilter:
        """The runs that are asked for."""
        return replace(super().where, flow_ids=_different(self.filter_flow_id))


class ErrorsQuery(PagedQuery):
    """A list of record errors."""

    filter_run_id: str | None = _text("filter[runId]", "Those that failed last in these runs.")
    filter_source: str | None = _text("filter[source]", f"Any of {', '.join(_SOURCES)}.")
    filter_code: str | None = _text("filter[code]", "Those of these codes, such as http422.")
    filter_classification: str | None = _text(
        "filter[classification]", f"Any of {', '.join(Classification)}."
    )
    filter_trace_key: str | None = _text("filter[traceKey]", "Those of one of these trace keys.")
    filter_assigned_to: str | None = _text("filter[assignedTo]", "Those of one of these people.")
    filter_tag: str | None = _text("filter[tag]", "Those with one of these tags.")
    filter_occurred_after: Moment | None = Field(
        default=None, alias="filter[occurredAfter]", description="From this time on."
    )
    filter_occurred_before: Moment | None = Field(
        default=None, alias="filter[occurredBefore]", description="Before this time."
    )

    @field_validator("filter_source")
    @classmethod
    def _sources(cls, values: str | None) -> str | None:
        return _check_choice(values, _SOURCES)

    @field_validator("filter_classification")
    @classmethod
    def _classifications(cls, values: str | None) -> str | None:
        return _check_choice(values, [*Classification])

    @property
    def filters(self) -> dict[str, Any]:
        """The values of each filter that is given, by the name of the field of an error."""
        return {
            name.removeprefix("filter_"): _listed(value) if isinstance(value, str) else value
            for name, value in self
            if name.startswith("filter_") and value is not None
        }


class FlowErrorsQuery(ErrorsQuery):
    """A list of record errors of all steps of a flow."""

    filter_step_id: str | None = _text("filter[stepId]", "Those of one of these steps.")


def asked_by[R: Resource](query: ListQuery, kind: type[R], caller: Caller) -> Asked[R]:
    """The part of a list that a query asks for, its filters apart."""
    return Asked(
        kind,
        caller.workspace_id,
        sort=query.sorted_by,
        limit=query.per_page,
        cursor=query.cursor,
        page=query.page or 1,
    )


def _listed(value: str | None) -> list[str]:
    return [] if value is None else [part.strip() for part in value.split(",")]


def _different(value: str | None) -> tuple[str, ...]:
    """The values of a list, each once."""
    return tuple(dict.fromkeys(_listed(value)))


def _refuse_unknown(what: str, unknown: list[str], known: Iterable[str]) -> None:
    if unknown:
        told = " or ".join(repr(name) for name in unknown)
        raise PydanticCustomError(
            f"unknown_{what}",
            "There is no {what} {told}.",
            {"what": what, "told": told, "remedy": f"Known are {', '.join(known)}."},
        )


def _refuse_many(value: str | None, limit: int) -> None:
    if len(_listed(value)) > limit:
        msg = f"expected {limit} values at most"
        raise ValueError(msg)


def _check_choice(values: str | None, known: Collection[str]) -> str | None:
    return _check_values(values, "|".join(known), f"one of {', '.join(known)}")


def _check_values(values: str | None, pattern: str, expected: str) -> str | None:
    for value in _listed(values):
        if re.fullmatch(pattern, value) is None:
            msg = f"{value!r} is not {expected}"
            raise ValueError(msg)
    return values
