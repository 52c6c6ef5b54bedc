"""What can go wrong with one record, kept apart from what goes wrong with a whole step."""

from dataclasses import dataclass


class RecordError(Exception):
    """One record cannot be handled; the others go on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """A record that failed, named by its place in the input that was given."""

    index: int
    code: str
    message: str

    @classmethod
    def of(cls, index: int, error: RecordError) -> "RecordFailure":
        """The failure that an error means for the record at this place."""
        return cls(index, error.code, error.message)
