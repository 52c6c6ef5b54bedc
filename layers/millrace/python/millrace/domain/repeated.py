"""Names that may stand several times, where JSON has each of them once."""

from millrace.domain.base import Json


def add_repeated(
    members: dict[str, Json], name: str, value: Json, *, is_array: bool = False
) -> None:
    """Take a value in under a name; several of one name become an array, as do those that are to.

    The value itself is no array.
    """
    if name not in members:
        members[name] = [value] if is_array else value
    elif isinstance(members[name], list):
        members[name].append(value)
    else:
        members[name] = [members[name], value]
