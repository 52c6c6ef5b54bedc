"""What the address of a list or of one thing asks for: page, order, filters, fields, relations.

Powertools reads the models for the parameters of a route.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field, ValidationInfo, create_model, field_validator
from pydantic.alias_generators import to_camel

from millrace import limits
from millrace.domain.base import Model
from millrace.domain.ports import Order, OrderName
from millrace.domain.resource import Resource
from millrace.domain.token import Caller
from millrace.http.parameters import Parameters
from millrace.http.query_values import (
    PARAMETER_LENGTH,
    check_values,
    listed,
    parameter,
    refuse_many,
    refuse_unknown,
)
from millrace.http.views import FlowDetail, FlowView, VersionView
from millrace.usecases import flow_lists
from millrace.usecases.includes.include import relations_of_flows, relations_of_versions
from millrace.usecases.includes.relation import Relation, Wanted, names_of, wanted
from millrace.usecases.lists import Asked

_STABLE_KEY: Final = r"([A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]*"
_CURSOR_LENGTH: Final = 2_048

_SORTS: Final[Mapping[str, OrderName]] = {
    "id": "createdAt",
    "createdAt": "createdAt",
    "name": "name",
    "enabledAt": "enabledAt",
    "lastExecutedAt": "lastExecutedAt",
}
"""What a caller calls the orders."""


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

    sort: str | None = parameter(
        "sort", "A comma list of what to sort by, `-` before what goes from high to low."
    )

    orders: ClassVar[tuple[str, ...]] = ("createdAt",)

    @field_validator("sort")
    @classmethod
    def _known_sort(cls, sort: str | None) -> str | None:
        known = [name for name, order in _SORTS.items() if order in cls.orders]
        names = [name.removeprefix("-") for name in listed(sort)]
        refuse_unknown("sort", [name for name in names if name not in known], known)
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
            for name in listed(self.sort)
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

    filter_name: str | None = parameter("filter[name]", "What the name has in it, in either case.")
    filter_id: str | None = parameter("filter[id]", "Only those of these ids.")

    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name")

    @field_validator("filter_id", check_fields=False)
    @classmethod
    def _few_values(cls, values: str | None) -> str | None:
        refuse_many(values, limits.PAGE_ITEMS_MAX)
        return values

    @property
    def filters(self) -> dict[str, list[str]]:
        """The values of each filter that is given."""
        return {
            str(field.alias)[len("filter[") : -1]: listed(value)
            for name, field in type(self).model_fields.items()
            if name.startswith("filter_") and (value := getattr(self, name)) is not None
        }


class PlainShown(Parameters):
    """What is shown of a plain resource: `with_fields` says of which."""

    only: str | None = None

    @property
    def chosen(self) -> set[str] | None:
        """The fields to show; None: all of them."""
        return None if self.only is None else set(listed(self.only))


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
        only=(only, parameter(name, f"Only these fields of {collection}.")),
    )


_Include = Annotated[
    str | None,
    Field(
        max_length=PARAMETER_LENGTH,
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
        _, unknown = wanted(listed(include), cls.relations())
        refuse_unknown("include", unknown, names_of(cls.relations()))
        return include

    @property
    def included(self) -> Wanted:
        """The relations that are asked for."""
        if self.include is None:
            return Wanted()
        return wanted(listed(self.include), self.relations())[0]

    @property
    def chosen(self) -> dict[str, set[str]]:
        """The fields to show, by `flows` and `versions`; all of those that are absent."""
        return {
            name: set(listed(value))
            for name in self.fields
            if (value := getattr(self, f"fields_{name}")) is not None
        }


def _check_fields(view: type[Model], value: str | None) -> str | None:
    known = [to_camel(name) for name in view.model_fields]
    refuse_unknown("field", [name for name in listed(value) if name not in known], known)
    return value


class VersionShown(Shown):
    """What is shown of a version."""

    fields_versions: str | None = parameter("fields[versions]", "Only these fields of versions.")

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

    fields_flows: str | None = parameter("fields[flows]", "Only these fields of flows.")

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

    filter_stable_key: str | None = parameter(
        "filter[stableKey]", "Only the flow of this key; in an integration, `integration/key`."
    )
    filter_template_id: str | None = parameter("filter[templateId]", "Made from one of these.")
    filter_template_version: str | None = parameter(
        "filter[templateVersion]", "Made from one of these."
    )
    filter_integration_id: str | None = parameter("filter[integrationId]", "In one of these.")
    filter_labelled: str | None = parameter(
        "filter[labelled]", "`true`, `false`, or ids of labels, one of which it has."
    )
    filter_enabled: str | None = parameter("filter[enabled]", "`true` or `false`.")
    filter_deployed: str | None = parameter("filter[deployed]", "`true` or `false`.")
    filter_versions: str | None = parameter("filter[versions]", "How many versions, or `none`.")
    filter_version_ids: str | None = parameter(
        "filter[versions.id]", "Only those of these versions."
    )

    orders: ClassVar[tuple[str, ...]] = ("createdAt", "name", "enabledAt", "lastExecutedAt")
    fields: ClassVar[Mapping[str, type[Model]]] = {"flows": FlowView, "versions": VersionView}

    @field_validator("filter_stable_key")
    @classmethod
    def _stable_keys(cls, values: str | None) -> str | None:
        refuse_many(values, flow_lists.values_allowed("stableKey"))
        return check_values(values, _STABLE_KEY, "a stable key, or integration/key")

    @field_validator("filter_version_ids")
    @classmethod
    def _few_versions(cls, values: str | None) -> str | None:
        refuse_many(values, flow_lists.values_allowed("versions.id"))
        return values

    @field_validator("filter_enabled", "filter_deployed")
    @classmethod
    def _booleans(cls, values: str | None) -> str | None:
        return check_values(values, "true|false", "true or false")

    @field_validator("filter_versions")
    @classmethod
    def _numbers(cls, values: str | None) -> str | None:
        return check_values(values, r"\d{1,9}|none", "a number, or none")


class LimitsQuery(Parameters):
    """Whose runs are told of beside the limits."""

    filter_flow_id: str | None = parameter("filter[flowId]", "Only those of this flow.")


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
