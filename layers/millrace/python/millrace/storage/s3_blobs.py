"""Large payloads and output pages in one S3 bucket."""

from typing import TYPE_CHECKING

from millrace.domain.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3 import S3Client


class S3Blobs:
    """The `Blobs` port over a bucket."""

    def __init__(self, connect: "Callable[[], S3Client]", bucket: str) -> None:
        self._connect = connect
        self._bucket = bucket

    @property
    def _client(self) -> "S3Client":
        return self._connect()

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key; the same key and bytes may be stored again."""
        self._client.put_object(Bucket=self._bucket, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """The bytes under a key. Raises NotFoundError."""
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey as error:
            raise NotFoundError(f"there is nothing stored under {key!r}") from error

    def delete(self, key: str) -> None:
        """Forget the bytes if they are there."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def url(self, key: str, expires_seconds: int, file_name: str) -> str:
        """An address that gives whoever has it the bytes as a file, until it expires.

        It is signed with the function's own credentials, so it dies with them at the latest.
        """
        return self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentDisposition": f'attachment; filename="{file_name}"',
            },
            ExpiresIn=expires_seconds,
        )
