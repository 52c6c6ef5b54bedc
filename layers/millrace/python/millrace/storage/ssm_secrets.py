"""Secrets as SecureString parameters, one a set."""

import json
from typing import TYPE_CHECKING

from millrace.domain.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_ssm import SSMClient


class SsmSecrets:
    """The `Secrets` port over Parameter Store.

    A set never changes under its key, so it is remembered for the life of the process: Parameter
    Store allows 40 reads a second by default, and each step or delivery would spend one.
    """

    def __init__(self, connect: "Callable[[], SSMClient]", prefix: str, key_arn: str) -> None:
        self._connect = connect
        self._prefix = prefix
        self._key_arn = key_arn
        self._known: dict[str, dict[str, str]] = {}

    @property
    def _client(self) -> "SSMClient":
        return self._connect()

    def put(self, key: str, values: dict[str, str]) -> None:
        """Store a set of secrets under a new key."""
        self._client.put_parameter(
            Name=self._name(key),
            Value=json.dumps(values),
            Type="SecureString",
            KeyId=self._key_arn,
            Overwrite=True,
        )

    def get(self, key: str) -> dict[str, str]:
        """A set of secrets. Raises NotFoundError."""
        if key not in self._known:
            try:
                answer = self._client.get_parameter(Name=self._name(key), WithDecryption=True)
            except self._client.exceptions.ParameterNotFound as error:
                raise NotFoundError("the secrets are gone; set them again") from error
            self._known[key] = json.loads(answer["Parameter"]["Value"])
        return dict(self._known[key])

    def delete(self, key: str) -> None:
        """Forget a set of secrets if it is there."""
        try:
            self._client.delete_parameter(Name=self._name(key))
        except self._client.exceptions.ParameterNotFound:
            return

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}"
