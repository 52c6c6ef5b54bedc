"""Replace MiniStack's code only when it is the code a cure was written for.

A cure that silently misses its target would give a stack that behaves unlike AWS and says nothing,
so each one names a digest of the source it replaces.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from types import ModuleType
from typing import Any

PINNED = "1.5.33"


class ChangedMiniStackError(RuntimeError):
    """The installed MiniStack is not the one the cures were written for."""


def verified(module: ModuleType, name: str, digest: str) -> Any:  # noqa: ANN401 - any attribute
    """Return ``module.name`` once its source has the digest (12 hex digits of SHA-256)."""
    target = getattr(module, name, None)
    actual = "missing"
    if target is not None:
        actual = hashlib.sha256(inspect.getsource(target).encode()).hexdigest()[:12]
    if actual != digest:
        raise ChangedMiniStackError(
            f"ministack {version('ministack')}: {module.__name__}.{name} ({actual}) is not the "
            f"code of {PINNED} that is cured here; pin ministack=={PINNED} or revise the cure"
        )
    return target


def replace(
    module: ModuleType,
    name: str,
    new: object,
    *,
    digest: str,
    importers: tuple[ModuleType, ...] = (),
) -> None:
    """Put ``new`` in the place of ``module.name``, also where ``importers`` hold that name."""
    old = verified(module, name, digest)
    for holder in (module, *importers):
        if getattr(holder, name, None) is not old:
            raise ChangedMiniStackError(f"{holder.__name__} does not hold {module.__name__}.{name}")
        setattr(holder, name, new)


def rewrite(
    module: ModuleType,
    name: str,
    edits: Mapping[str, str],
    *,
    digest: str,
    helpers: Mapping[str, Callable[..., object]] | None = None,
) -> None:
    """Change single expressions of a long function and leave the rest of it as it is.

    Each key of ``edits`` must occur in the source; every occurrence becomes its value. ``helpers``
    are names the new text calls; they are added to the function's module.
    """
    source = inspect.getsource(verified(module, name, digest))
    for old, new in edits.items():
        if old not in source:
            raise ChangedMiniStackError(f"{module.__name__}.{name} does not contain {old!r}")
        source = source.replace(old, new)
    vars(module).update(helpers or {})
    code = compile(source, f"{module.__file__} ({name}, cured)", "exec")
    exec(code, vars(module))  # noqa: S102 - the source is MiniStack's own, checked by digest above
