"""URLs, sizes of parts, and options of an S3 sink."""

import pytest

from zfs_walk.errors import WrongUseError
from zfs_walk.sinks.choose import open_sink
from zfs_walk.sinks.s3_options import LARGEST_FILE, MIB, MOST_PARTS, parse, part_size


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my.bucket-1/a/b", "my.bucket-1", "a/b/"),
        ("s3://bucket/a b%41/", "bucket", "a b%41/"),
    ],
)
def test_a_url_names_a_bucket_and_a_prefix(url: str, bucket: str, prefix: str) -> None:
    assert parse(url) == (bucket, prefix)


@pytest.mark.parametrize(
    "url",
    ["s3://", "s3:///prefix", "http://bucket", "s3://key:SECRET@bucket/a", "s3://b/a?SECRET=1",
     "s3://bucket/a//b", "s3://bucket/../b", "s3://bucket/./b", "s3://bucket#SECRET"],
)  # fmt: skip
def test_other_urls_are_refused_without_a_secret(url: str) -> None:
    with pytest.raises(WrongUseError) as caught:
        parse(url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 17 * MIB, 200 << 30, LARGEST_FILE])
def test_any_file_has_at_most_10000_parts(size: int) -> None:
    part = part_size(size, 16 * MIB)
    assert part >= 16 * MIB
    assert part % MIB == 0
    assert -(-size // part) <= MOST_PARTS


@pytest.mark.parametrize(
    ("option", "value"),
    [("part_size", "1MiB"), ("part_size", "6GiB"), ("checksum", "crc64"), ("part_transfers", 0),
     ("addressing", "dns"), ("endpoint_url", "ftp://host"), ("partsize", "8MiB")],
)  # fmt: skip
def test_a_wrong_option_is_named(option: str, value: object) -> None:
    with pytest.raises(WrongUseError, match=option):
        open_sink("s3://bucket", {option: value})
