"""Texts with expressions in them, such as `/items/{{ parameters.sku }}`.

What stands outside of `{{` and `}}` is taken as it is. A text that needs the braces themselves has
them from an expression: `{{ "{{" }}`.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from millrace import limits
from millrace.connectors.expressions import Expression, ExpressionError, compile_expression
from millrace.domain.run_values import names_in_template

_OPEN: Final = "{{"
_CLOSE: Final = "}}"
_CLOSES_TRIED: Final = 20
"""An expression may hold the closing braces too, in a string or an object: so many of them."""


class TemplateError(ValueError):
    """The text is no template; the message says why."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An expression in a template."""

    expression: Expression
    names: frozenset[str]
    """The variables that it names."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: literal texts and expressions, in their order."""

    parts: tuple[str | Slot, ...]

    @property
    def literals(self) -> tuple[str, ...]:
        """The texts that are taken as they are."""
        return tuple(part for part in self.parts if isinstance(part, str))


@lru_cache(maxsize=1_024)
def compile_template(text: str) -> Template:
    """The compiled template. Raises TemplateError."""
    parts: list[str | Slot] = []
    position = 0
    while (start := text.find(_OPEN, position)) >= 0:
        expression, end = _expression(text, start + len(_OPEN))
        if start > position:
            parts.append(text[position:start])
        parts.append(Slot(expression, names_in_template(expression.text)))
        position = end
    if position < len(text):
        parts.append(text[position:])
    return Template(tuple(parts))


def _expression(text: str, start: int) -> tuple[Expression, int]:
    """The expression that begins here, and where its closing braces end.

    JSONata's own parser decides which of the closing braces end it: the first that leave a whole
    expression behind them.
    """
    fault: ExpressionError | None = None
    close = start
    for _ in range(_CLOSES_TRIED):
        close = text.find(_CLOSE, close)
        if close < 0 or close - start > limits.EXPRESSION_LENGTH:
            break
        try:
            return compile_expression(text[start:close].strip()), close + len(_CLOSE)
        except ExpressionError as error:
            # What is wrong with the shortest is most likely what the author has to correct.
            fault = fault or error
        close += 1
    if fault is None:
        message = f"the {_OPEN} at character {start - 1} is not closed by {_CLOSE}"
        raise TemplateError(message)
    raise TemplateError(f"in the {_OPEN} at character {start - 1}: {fault}") from fault
