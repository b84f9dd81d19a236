"""What may be asked of /files, and what is refused with what is wanted instead."""

import base64

import pytest

from zfs_walk.gateway.query import (
    Key,
    Query,
    Selection,
    WrongQueryError,
    parse_nothing,
    parse_selection,
)

EVERYTHING = Selection(b"", "")


def test_without_parameters_all_files_are_asked_for() -> None:
    assert Query.parse("") == Query(EVERYTHING, None, None, ndjson=False)


def test_every_parameter_is_understood() -> None:
    after = Key(b"a/b", "h1", b"/spool")
    text = f"prefix=a%2F&host=h1&after={after.cursor()}&limit=1000&format=ndjson"
    assert Query.parse(text) == Query(Selection(b"a/", "h1"), after, 1000, ndjson=True)
    assert Query.parse("format=json&prefix=") == Query(EVERYTHING, None, None, ndjson=False)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("%FF%00", b"\xff\0"), ("a+b%2B", b"a b+"), ("%C3%A9", "é".encode()), ("é", "é".encode())],
)
def test_a_prefix_is_any_bytes(text: str, prefix: bytes) -> None:
    assert parse_selection(f"prefix={text}") == Selection(prefix, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limit=0", "limit: a number from 1 to 100000 wanted"),
        ("limit=", "limit: a number"),
        ("limit=-1", "limit: a number"),
        ("limit=100001", "limit: a number"),
        ("limit=1e3", "limit: a number"),
        ("limit=%D9%A3", "limit: a number"),
        (f"limit={'9' * 5000}", "limit: a number"),
        ("limit=1&limit=2", "limit: given twice"),
        ("format=xml", "format: json or ndjson wanted"),
        ("after=", "after: the `next` of an earlier answer is wanted"),
        ("after=%FF", "after: the `next`"),
        ("after=a", "after: the `next`"),
        ("after=!!!!", "after: the `next`"),
        (f"after={base64.urlsafe_b64encode(b'a').decode()}", "after: the `next`"),
        (f"after={base64.urlsafe_b64encode(bytes([0, 255, 0])).decode()}", "after: the `next`"),
        ("host=%FF", "host: a host's name, in UTF-8, wanted"),
        ("Limit=1", "'Limit' is unknown; known are: after, format, host, limit, prefix"),
        ("%FF=1", "is unknown; known are"),
    ],
)
def test_what_is_wrong_is_refused_with_what_is_wanted(text: str, said: str) -> None:
    with pytest.raises(WrongQueryError, match=said):
        Query.parse(text)


def test_the_other_pages_know_fewer_parameters() -> None:
    assert parse_selection("prefix=a&host=h") == Selection(b"a", "h")
    with pytest.raises(WrongQueryError, match="'limit' is unknown; known are: host, prefix"):
        parse_selection("limit=1")
    parse_nothing("")
    with pytest.raises(WrongQueryError, match="'host' is unknown; known are: none"):
        parse_nothing("host=h")


@pytest.mark.parametrize(
    "key",
    [
        Key(b"a", "h", b"/"),
        Key(b"\xff\xfe/\n", "höst", b"/sp\xff"),
        Key("日本".encode() * 300, "h" * 255, b"/x" * 2000),
    ],
)
def test_a_cursor_survives_the_trip(key: Key) -> None:
    cursor = key.cursor()
    assert Key.of_cursor(cursor) == key
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_selection_knows_its_files() -> None:
    wanted = Selection(b"a/", "h1")
    assert wanted.has(b"a/b", "h1")
    assert not wanted.has(b"a/b", "h2")
    assert not wanted.has(b"b", "h1")
    assert EVERYTHING.has(b"", "h2")
