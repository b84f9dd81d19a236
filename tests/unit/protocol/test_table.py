"""The documentation's table of messages is the one that the code has."""

from pathlib import Path

from zfs_walk.protocol.messages import TABLE
from zfs_walk.protocol.table import render

PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"
BEGIN, END = "<!-- messages: begin -->\n", "<!-- messages: end -->"


def test_the_page_shows_the_table_of_the_code() -> None:
    """If this fails: put the output of ``python -m zfs_walk.protocol.table`` between the marks."""
    _, _, rest = PAGE.read_text().partition(BEGIN)
    table, end, _ = rest.partition(END)
    assert end
    assert table.strip() == render().strip()


def test_every_message_and_its_answers_have_a_line() -> None:
    lines = render().splitlines()
    for row in TABLE:
        answers = f" [{', '.join(row.answers)}]" if row.answers else ""
        assert sum(line.startswith(f"| {row.type}{answers} | ") for line in lines) == 1


def test_every_line_of_the_table_has_three_cells() -> None:
    for line in render().splitlines():
        if line.startswith("| "):
            assert line.replace(r"\|", "").count("|") == 4, line
