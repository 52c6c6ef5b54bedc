"""The names of states: unique in a machine, and as short as Step Functions asks."""

NAME_LIMIT = 80


class StateNames:
    """Hands out state names: unique in the machine, at most 80 characters, as asked if possible.

    Steps come first and keep their names; whatever asks for a taken one is numbered: "Load (2)".
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}

    def take(self, stem: str, role: str = "") -> str:
        """A name made of what the author knows and, for a helper state, its role."""
        wanted = stem + role
        number = self._last.get(wanted, 1)
        name = _cut(stem, role)
        while name in self._taken:
            number += 1
            name = _cut(stem, f"{role} ({number})")
        self._last[wanted] = number
        self._taken.add(name)
        return name


def _cut(stem: str, suffix: str) -> str:
    room = NAME_LIMIT - len(suffix)
    return (stem if len(stem) <= room else stem[: room - 1] + "…") + suffix
