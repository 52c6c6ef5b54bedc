"""The one way a command fails for a reason the user can do something about."""


class CliError(Exception):
    """Ends a command with exit code 1; its lines go to stderr, and no traceback.

    Several lines are findings of equal rank, such as all that is wrong with a file.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
