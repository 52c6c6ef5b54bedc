"""What every stored, mutable thing of a workspace has: identity, revision, who and when."""

from datetime import datetime
from typing import ClassVar, Protocol

from pydantic import Field

from millrace.domain.base import Model, Moment


class Revised(Protocol):
    """What is changed only over the revision that was read."""

    @property
    def id(self) -> str:
        """What names it."""
        ...

    @property
    def revision(self) -> int:
        """How often it changed, its ETag."""
        ...


class Resource(Model):
    """Identity and bookkeeping of a stored resource.

    `revision` counts changes and is the resource's ETag; the store writes a new revision only
    over the one it was read at.
    """

    prefix: ClassVar[str]
    """The type prefix of the resource's ids, also the name of its collection in the table."""

    is_public: ClassVar[bool] = False
    """Whether the resource is found by its id alone, because that id is a public address."""

    orders: ClassVar[tuple[str, ...]] = ()
    """How the list of this kind may be sorted; the store counts a workspace's that can be."""

    found_without_parent: ClassVar[bool] = False
    """Whether the store can tell the parent of a resource of this kind."""

    listed_in: ClassVar[str | None] = None
    """The field of its parent flow that lists the ids of the resources of this kind."""

    beside: ClassVar[tuple[str, ...]] = ()
    """Fields that the store keeps in step by itself: they change without a new revision, and a
    replacement leaves them as they are."""

    id: str
    workspace_id: str
    revision: int = Field(default=1, ge=1)
    created_at: Moment
    created_by: str
    modified_at: Moment
    modified_by: str

    @property
    def unique_key(self) -> str | None:
        """What no two resources of a collection share and `find` finds: the stable key, if any."""
        key: str | None = getattr(self, "stable_key", None)
        return key

    @property
    def forgotten_at(self) -> datetime | None:
        """When the store may remove the resource by itself; None: never."""
        return None

    @property
    def unsettled_at(self) -> datetime | None:
        """Since when something beside the store is to follow this change of it; None: nothing."""
        return None


class SecretHolder(Resource):
    """A resource with write-only fields, whose values are in the secret store."""

    secrets_version: str | None = Field(
        default=None, description="Changes with the secrets; None: there are none."
    )

    @property
    def secrets_key(self) -> str | None:
        """Where the secret store keeps this resource's secrets."""
        if self.secrets_version is None:
            return None
        return f"{self.workspace_id}/{self.id}/{self.secrets_version}"
