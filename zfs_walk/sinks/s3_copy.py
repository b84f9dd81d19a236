"""An object that the server copies, for a move."""

from collections.abc import Mapping
from typing import Any

from zfs_walk.sinks import s3_metadata
from zfs_walk.sinks.s3_client import Client
from zfs_walk.sinks.s3_multipart import PART_SIZE, abort
from zfs_walk.sinks.s3_options import LARGEST_PART, MIB, part_size

PIECE = LARGEST_PART
"""Bytes that the server copies in one request: the protocol's limit."""


def copy(client: Client, head: Mapping[str, Any], keys: tuple[str, str], place: str) -> None:
    """Copy an object with its metadata.

    Args:
        client: of the bucket.
        head: of the object, as it is now.
        keys: the old one and the new one.
        place: of the new one, as people write it.

    Raises:
        SinkError: it failed; nothing is left of it.
    """
    old, new = keys
    # The metadata is given again: not every server keeps it by itself.
    fields = {
        "Metadata": s3_metadata.read(head),
        "ContentType": head.get("ContentType", "application/octet-stream"),
        **client.storage(),
    }
    origin = {
        "CopySource": {"Bucket": client.bucket.name, "Key": old},
        "CopySourceIfMatch": head["ETag"],
    }
    if head["ContentLength"] > PIECE:
        _in_parts(client, head["ContentLength"], (new, place), fields, origin)
    else:
        fields["MetadataDirective"] = "REPLACE"
        client.call("copy_object", place, Key=new, **origin, **fields)


def _in_parts(
    client: Client,
    size: int,
    target: tuple[str, str],
    fields: dict[str, Any],
    origin: Mapping[str, Any],
) -> None:
    key, place = target
    part = part_size(size, min(PIECE, 1024 * MIB))
    fields["Metadata"][PART_SIZE] = str(part)
    upload = client.call("create_multipart_upload", place, Key=key, **fields)["UploadId"]
    try:
        parts = []
        for number, begin in enumerate(range(0, size, part), 1):
            answer = client.call(
                "upload_part_copy",
                place,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                CopySourceRange=f"bytes={begin}-{min(begin + part, size) - 1}",
                **origin,
            )
            parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
        client.call(
            "complete_multipart_upload",
            place,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
        )
    except BaseException:
        abort(client, key, upload, place)
        raise
