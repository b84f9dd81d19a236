"""What people and programs are told."""

import pytest

from zfs_walk.cli.summary import human, show_path


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"),
        (5 * 2**40, "5.0 TiB"), (2**70, "1024.0 EiB"),
    ],
)  # fmt: skip
def test_sizes_are_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"/a/b", "/a/b"), ("/\u00e4".encode(), "/\u00e4"), (b"/a\nb", r"/a\nb"),
        (b"/\x1b[31m", r"/\x1b[31m"),
    ],
)  # fmt: skip
def test_what_is_not_printable_in_a_path_is_escaped(path: bytes, text: str) -> None:
    assert show_path(path) == text


def test_a_path_that_is_no_text_is_shown_all_the_same() -> None:
    assert show_path(b"/a\xff").isprintable()
