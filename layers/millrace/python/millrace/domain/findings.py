"""What the validators of models find wrong, so that who sent it is told where and what to do."""

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError


def finding(code: str, message: str, remedy: str, pointer: str) -> PydanticCustomError:
    """To be raised by a validator; `pointer` leads on from the place of what is validated.

    `shape.violation_of` makes a Violation of it. It is a ValueError.
    """
    return PydanticCustomError(
        code, "{message}", {"message": message, "remedy": remedy, "pointer": pointer}
    )


def contradiction(field: str, message: str, remedy: str) -> PydanticCustomError:
    """A field, named as in JSON, does not go together with the others."""
    return finding("contradiction", message, remedy, f"/{field}")


def missing(field: str, message: str, remedy: str) -> PydanticCustomError:
    """A field, named as in JSON, that the others need."""
    return finding("missingField", message, remedy, f"/{field}")


def need_one(model: BaseModel, *fields: str, remedy: str | None = None) -> None:
    """Raise a finding unless exactly one of these fields has a value.

    `remedy` says what to do where none has.
    """
    given = [to_camel(field) for field in fields if getattr(model, field) is not None]
    *others, last = map(to_camel, fields)
    if not given:
        choice = f"{', '.join(others)} or {last}"
        message = f"Expected {choice}; none of them is there."
        raise missing(to_camel(fields[0]), message, remedy or f"Add {choice}.")
    if len(given) > 1:
        names = " and ".join(given)
        raise contradiction(given[1], f"{names} contradict each other.", "Send one of them.")
