"""How an example shows itself: headings, checks, and commands to go on with."""

from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

_INDENT = (0, 0, 0, 2)
_DIFFERENCES_SHOWN = 3


@dataclass(slots=True)
class Report:
    """Prints one example and remembers whether everything was as it should be."""

    console: Console
    passed: bool = field(default=True, init=False)

    def heading(self, title: str, file: str) -> None:
        """A rule across the page: the example's name and its file."""
        self.console.print()
        self.console.print(Rule(Text.assemble((title, "bold"), f"  {file}"), align="left"))

    def show(self, what: RenderableType) -> None:
        """A picture or a paragraph, with air above."""
        self.console.print()
        self.console.print(Padding(what, _INDENT))

    def check(self, what: str, problems: list[str] | bool) -> None:
        """A line with ✓ or ✗: `problems` is what is wrong, or simply whether it is right."""
        right = problems if isinstance(problems, bool) else not problems
        self.passed &= right
        sign = ("✓", "green") if right else ("✗", "red bold")
        self._row(Text(*sign), Text(what))
        if not isinstance(problems, bool):
            for problem in problems[:_DIFFERENCES_SHOWN]:
                self._row(Text(" "), Text(problem, style="red"))
            if len(problems) > _DIFFERENCES_SHOWN:
                self._row(Text(" "), Text(f"and {len(problems) - _DIFFERENCES_SHOWN} more"))

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
