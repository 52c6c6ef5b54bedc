"""How an example shows itself: headings, checks, and commands to go on with."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_INDENT = (0, 0, 0, 2)
_PROBLEMS_SHOWN = 3


@dataclass(slots=True)
class Report:
    """Prints one example and remembers whether everything was as it should be."""

    console: Console
    passed: bool = field(default=True, init=False)
    _air_due: bool = field(default=False, init=False)

    def heading(self, title: str, file: str) -> None:
        """A rule across the page: the example's name and its file."""
        self.console.print()
        self.console.print(Rule(Text.assemble((title, "bold"), f"  {file}"), align="left"))

    def show(self, what: RenderableType) -> None:
        """A picture or a paragraph, with air around."""
        self.console.print()
        self.console.print(Padding(what, _INDENT))
        self._air_due = True

    def check(self, what: str, problems: Sequence[str], detail: str = "") -> None:
        """A line with ✓ if there are no problems, else with ✗ and the first of them."""
        if self._air_due:
            self.console.print()
        self._air_due = False
        self.passed &= not problems
        sign, style = ("✗", "red bold") if problems else ("✓", "green")
        self._row(Text(sign, style), Text(what))
        if detail:
            self._row(Text(" "), Text(detail, "bright_black"))
        for problem in problems[:_PROBLEMS_SHOWN]:
            self._row(Text(" "), Text(problem, "red"))
        if len(problems) > _PROBLEMS_SHOWN:
            self._row(Text(" "), Text(f"and {len(problems) - _PROBLEMS_SHOWN} more", "red"))

    def next(self, *commands: tuple[str, str]) -> None:
        """Commands to look further, each with what it shows."""
        table = Table.grid(padding=(0, 2))
        for command, purpose in commands:
            table.add_row(Text(command), Text(purpose, style="bright_black"))
        self.show(table)

    def _row(self, sign: Text, text: Text) -> None:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_row(sign, text)
        self.console.print(Padding(grid, _INDENT))
