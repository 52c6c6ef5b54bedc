"""What the expressions of a template speak of, told without compiling them."""

import re


def speaking_of(word: str) -> re.Pattern[str]:
    """Finds a template with an expression over this; a member or a text of the name is not it."""
    return re.compile(rf"\{{\{{(?:(?!\}}\}}).)*?(?<![\w.$`\"']){word}\b", re.DOTALL)
