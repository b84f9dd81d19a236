"""Times on the command line."""

import click
import pytest

from zfs_walk.cli.durations import DURATION


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90.0), ("10m", 600.0), ("2h", 7200.0), ("30d", 2_592_000.0), ("1.5h", 5400.0),
     ("0s", 0.0)],
)  # fmt: skip
def test_a_number_with_its_unit_is_a_time(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "d", "-1d", "1 d", "1w", "1d2h", "\u0661d", "1e3s", "99999d"]
)
def test_anything_else_is_refused_with_examples(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time such as 90s, 10m, 2h or 30d"):
        DURATION.convert(text, None, None)
