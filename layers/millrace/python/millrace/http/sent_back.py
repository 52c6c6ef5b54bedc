"""PUT takes what GET gave: a client reads a thing, changes some of it, and sends it back whole."""

from typing import Any, ClassVar, cast

from pydantic import GetJsonSchemaHandler, create_model, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from millrace.domain.base import Model
from millrace.domain.flow import FlowInput
from millrace.http.views import FlowDetail


class SentBack(Model):
    """Beside what may be set, it takes what is told of the thing, and leaves that aside."""

    shown: ClassVar[type[Model]]
    """What the thing is answered as."""

    @classmethod
    def told(cls) -> list[str]:
        """The fields that are ours to tell, by their names on the wire."""
        names = {name: to_camel(name) for name in cls.shown.model_fields}
        return [alias for name, alias in names.items() if name not in cls.model_fields]

    @model_validator(mode="before")
    @classmethod
    def _leave_aside(cls, given: Any) -> Any:  # noqa: ANN401 - anything may be sent
        if not isinstance(given, dict):
            return given
        told = set(cls.told())
        return {name: value for name, value in given.items() if name not in told}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Names those fields as read-only."""
        schema = handler(core_schema)
        aside = {"readOnly": True, "description": "Set by us; ignored when sent."}
        handler.resolve_ref_schema(schema)["properties"] |= dict.fromkeys(cls.told(), aside)
        return schema


class FlowChange(SentBack, FlowInput):
    """What a caller sends to replace a flow."""

    shown: ClassVar[type[Model]] = FlowDetail


def sent_back[M: Model](given: type[M], view: type[Model]) -> type[M]:
    """The input of a PUT of things that are made from `given` and answered by `view`."""

    class Told(SentBack):
        shown: ClassVar[type[Model]] = view

    name = f"{given.__name__.removesuffix('Input')}Change"
    return cast("type[M]", create_model(name, __base__=(Told, given)))
