"""Which answers may be compressed."""

import pytest

from zfs_walk.gateway.answers import accepts_gzip


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("gzip", True), ("deflate, gzip, br", True), ("GZIP", True), ("gzip;q=0.5", True),
        ("*", True), ("br, *;q=0.1", True), ("x-gzipped", False), ("", False), ("br", False),
        ("gzip;q=0", False), ("gzip; q = 0.000, *", False), ("*;q=0", False),
    ],
)  # fmt: skip
def test_gzip_is_used_for_whoever_takes_it(header: str, *, taken: bool) -> None:
    assert accepts_gzip(header) is taken
