"""The wizard's core: which answers are taken, and what is written of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zfs_walk.cli.wizard import trial
from zfs_walk.cli.wizard.kind import Kind, Options
from zfs_walk.cli.wizard.kinds import SCHEMES, kind_of
from zfs_walk.cli.wizard.questions import HOW, WHAT, Answers, Question, yes_or_no
from zfs_walk.cli.wizard.render import MEANINGS, inline, mapping, render
from zfs_walk.cli.wizard.saving import save
from zfs_walk.config.mappings import KEYS, read_mappings
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.scan.filters import Filter
from zfs_walk.sinks.choose import sink_class
from zfs_walk.sinks.local import LocalOptions
from zfs_walk.sinks.s3_options import S3Options
from zfs_walk.sinks.s3_options import parse as parse_s3
from zfs_walk.sinks.sftp_options import Address, SftpOptions
from zfs_walk.sinks.sftp_options import parse as parse_sftp

MODELS: dict[str, Options] = {"s3": S3Options, "sftp": SftpOptions, "local": LocalOptions}

S3: Answers = {
    "name": "a", "local": "/data", "bucket": "bucket", "prefix": "p/q",
    "options.endpoint_url": "http://localhost:1", "options.profile": "me", "exclude": ["*.tmp"],
    "include": ["a.tmp"], "complete_sync": True, "transfers": 8, "bwlimit": "10M",
    "windows": ["sat,sun 00:00-24:00", "22:00-06:00"],
}  # fmt: skip


def kind(name: str) -> Kind:
    return kind_of(name, MODELS[name], "me")


def read(text: str) -> Mapping:
    """As an uploader reads it."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    found = {key.value: value for key, value in node.value}
    assert found["role"].value == "uploader"
    [placed] = read_mappings(found["mappings"], "u.yaml")
    return placed.mapping


def written(answers: Answers, name: str = "s3") -> str:
    return render(answers, kind(name), MODELS[name], "zfs-agent --role uploader")


def question(key: str, name: str = "s3") -> Question:
    every = (*WHAT, *HOW, *kind(name).questions)
    [found] = [each for each in every if each.key == key]
    return found


# ---------------------------------------------------------------------- the file


def test_what_is_answered_is_what_an_uploader_reads() -> None:
    assert read(written(S3)) == Mapping(
        "a", b"/data", "s3://bucket/p/q",
        {"endpoint_url": "http://localhost:1", "profile": "me"}, complete_sync=True, transfers=8,
        includes=("a.tmp",), excludes=("*.tmp",), bwlimit=10 << 20,
        windows=("sat,sun 00:00-24:00", "22:00-06:00"),
    )  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_there_once_with_its_meaning_above_it(name: str) -> None:
    lines = written({}, name).splitlines()
    for indent, keys in (("    ", MEANINGS), ("      ", MODELS[name].model_fields)):
        for key in keys:
            [at] = [i for i, line in enumerate(lines) if line.startswith(f"{indent}# {key}:")]
            assert lines[at - 1].startswith(f"{indent}# ")
    assert set(MEANINGS) == set(KEYS)
    assert all(field.description for field in MODELS[name].model_fields.values())


@pytest.mark.parametrize("name", MODELS)
def test_what_was_left_empty_has_its_default_when_the_comment_is_taken_away(name: str) -> None:
    whole = {"name": "a", "local": "/d", "bucket": "bucket", "host": "host", "folder": "/f"}
    text = written(whole, name)
    keys = [key for key in MEANINGS if not key.endswith(("_root", "_dir"))]
    bare = text
    for key in (*keys, *MODELS[name].model_fields):
        bare = bare.replace(f"# {key}:", f"{key}:", 1)
    # A default of nothing can only be a comment.
    wanted = ("mappings:", "    options:")
    bare = "\n".join(line for line in bare.splitlines() if line[-1:] != ":" or line in wanted)
    found = read(bare)
    before = read(text)
    assert MODELS[name].model_validate(found.options) == MODELS[name]()
    assert Mapping(found.name, found.local, found.url) == before


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_any_folder_comes_back(name: bytes) -> None:
    answers = {"name": "a", "local": "/" + os.fsdecode(name), "folder": "/" + os.fsdecode(name)}
    text = written(answers, "local")
    text.encode()
    found = read(text)
    assert found.local == os.path.abspath(b"/" + name)  # noqa: PTH100 -- bytes
    sink = sink_class("file")(found.url, LocalOptions())
    assert sink.place(b"x").endswith("/x")


@given(st.text(st.characters(exclude_characters="\0")))
def test_any_text_is_one_line_of_yaml(text: str) -> None:
    for value in (text, [text, "a"]):
        line = inline(value)
        assert len(f"{line}.".splitlines()) == 1
        assert yaml.safe_load(f"key: {line}")["key"] == (value or None)


@pytest.mark.parametrize(
    "odd",
    [
        "it's",
        'a "b"',
        "a: b",
        "#",
        "a #b",
        "- a",
        "yes",
        "1",
        "{a}",
        "a\nb",
        "é",
        "\u2028",
        "*.tmp",
        "&a",
        "!b",
        " a ",
    ],
)
def test_odd_texts_come_back(odd: str) -> None:  # fmt: skip
    answers = {**S3, "local": f"/{odd}", "exclude": [odd, "\udcff"], "prefix": odd}
    found = read(written(answers))
    assert (found.local, found.excludes) == (os.fsencode(f"/{odd}"), (odd, "\udcff"))
    assert found.url == f"s3://bucket/{odd}"


# ---------------------------------------------------------------------- answers


def test_an_answer_is_what_the_file_has() -> None:
    assert question("transfers").take("8") == 8
    assert question("bwlimit").take("10M") == "10M"
    assert question("prefix").take("/a/b/") == "a/b"
    assert question("port", "sftp").take("2222") == 2222


def test_yes_and_no_have_several_words() -> None:
    assert [yes_or_no(word) for word in ("y", "Yes", "true", "n", "NO", "off")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "key", "answer"),
    [
        ("s3", "name", "-a"), ("s3", "transfers", "0"), ("s3", "transfers", "1.5"),
        ("s3", "bwlimit", "10 miles"), ("s3", "windows", "night"), ("s3", "exclude", "/"),
        ("s3", "bucket", "a"), ("s3", "bucket", "bucket/prefix"), ("s3", "bucket", "b?cket"),
        ("s3", "prefix", "a//b"), ("s3", "prefix", "../b"), ("s3", "prefix", "a#b"),
        ("s3", "prefix", "a\udcff"), ("s3", "prefix", "a\tb"),
        ("s3", "options.endpoint_url", "localhost:8333"),
        ("s3", "options.endpoint_url", "ftp://host"), ("s3", "options.endpoint_url", "http://:80"),
        ("s3", "options.endpoint_url", "http://me@host"),
        ("s3", "options.endpoint_url", "http://host:99999"),
        ("s3", "options.endpoint_url", "http://host?key=value"),
        ("s3", "options.region", "a b"), ("s3", "options.addressing", "none"),
        ("sftp", "host", "me@host"), ("sftp", "host", "host:22"), ("sftp", "host", "sftp://host"),
        ("sftp", "port", "0"), ("sftp", "port", "65536"), ("sftp", "port", "ssh"),
        ("sftp", "user", "a@b"), ("sftp", "user", "a:b"), ("sftp", "path", "a/../b"),
        ("sftp", "options.password_env", "hunter2"),
        ("sftp", "options.password_keyring", "hunter2"),
        ("sftp", "options.password_keyring", "a/"), ("s3", "options.credentials_keyring", "/b"),
        ("local", "options.mount", "relative"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_refused_without_being_shown(name: str, key: str, answer: str) -> None:
    with pytest.raises(ValueError, match=r"wanted|nput should|must be|is empty") as caught:
        question(key, name).take(answer)
    assert len(answer) < 6 or answer not in str(caught.value)


@pytest.mark.parametrize(
    "secret",
    [
        "sftp://me:word@host/path", "AKIAIOSFODNN7EXAMPLE", "x ASIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE9", "-----BEGIN OPENSSH PRIVATE KEY-----",
        "known to the environment", "before known to the environment after",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["name", "bucket", "options.region", "options.profile", "bwlimit"])
def test_a_secret_is_refused_wherever_it_is_typed(key: str, secret: str) -> None:
    with pytest.raises(ValueError, match="No secret belongs into this file") as caught:
        question(key).take(secret, ["known to the environment"])
    assert secret not in str(caught.value)


def test_a_folder_may_look_like_a_key() -> None:
    looks = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE9"
    assert question("prefix").take(looks) == looks
    assert question("local").take(f"/data/{looks}", ["data/wJ"]) == f"/data/{looks}"


def test_what_does_not_matter_is_not_asked() -> None:
    assert not question("include").wanted({})
    assert question("include").wanted({"exclude": ["*.tmp"]})
    assert not question("options.ca_file").wanted({"options.endpoint_url": "http://host"})
    assert question("options.ca_file").wanted({"options.endpoint_url": "https://host"})
    assert not question("options.password_env", "sftp").wanted({"options.password_file": "/f"})
    kept = question("options.password_keyring", "sftp")
    assert not kept.wanted({"options.password_file": "/f"})
    assert not kept.wanted({"options.password_env": "WORD"})
    assert kept.wanted({})
    assert not question("options.credentials_keyring").wanted({"options.profile": "a"})


# ---------------------------------------------------------------------- the other side


def test_every_kind_is_a_sink() -> None:
    for name, scheme in SCHEMES.items():
        assert sink_class(scheme).Options is MODELS[name]
        url = kind(name).url({"bucket": "bucket", "host": "host", "folder": "/f"})
        assert str(url).startswith(f"{scheme}://")


@pytest.mark.parametrize(
    ("path", "folder"),
    [("/data/it", b"/data/it"), ("data", b"data"), ("~/data", b"data"), ("~", b""), ("", b""),
     ("/", b"/"), ("/a?b #c %41", b"/a?b #c %41"), ("/\udcff", b"/\xff"), ("//a//b/", b"/a/b")],
)  # fmt: skip
def test_a_folder_of_a_server_becomes_its_url(path: str, folder: bytes) -> None:
    answers = {"host": "::1", "port": 2222, "user": "o'me", "path": path}
    url = mapping(answers, kind("sftp"))["to"]
    assert parse_sftp(url) == Address("o'me", "::1", 2222, folder)
    assert parse_sftp(mapping({"host": "h"}, kind("sftp"))["to"]) == Address("me", "h", 22, b"")


def test_a_bucket_becomes_its_url() -> None:
    assert parse_s3(mapping(S3, kind("s3"))["to"]) == ("bucket", "p/q/")
    assert mapping({"bucket": "bucket"}, kind("s3"))["to"] == "s3://bucket"
    assert "to" not in mapping({"prefix": "p"}, kind("s3"))


def test_secrets_are_borrowed_for_a_trial_where_there_are_none() -> None:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert kind("s3").borrowed({}, ()) == keys
    assert kind("s3").borrowed({}, keys) == ()
    assert kind("s3").borrowed({"options.profile": "a"}, ()) == ()
    assert kind("s3").borrowed({"options.credentials_keyring": "a/b"}, ()) == ()
    named = {"options.password_env": "WORD"}
    assert kind("sftp").borrowed(named, ()) == ("WORD",)
    assert kind("sftp").borrowed(named, ("WORD",)) == kind("sftp").borrowed({}, ()) == ()


def test_what_is_lent_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THERE", "before")
    with trial.lent({"THERE": "now", "NEW": "now"}):
        assert (os.environ["THERE"], os.environ["NEW"]) == ("now", "now")
    assert (os.environ["THERE"], "NEW" in os.environ) == ("before", False)


# ---------------------------------------------------------------------- files


def grow(folder: Path, *names: str) -> bytes:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return os.fsencode(folder)


def test_files_of_different_directories_are_shown(tmp_path: Path) -> None:
    folder = grow(tmp_path, "a/1", "a/2", "a/3", "b/1", "c/d/e/1", "b/no.tmp")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("a/1")
    found = trial.some_files(folder, Filter(excludes=("*.tmp",)))
    assert sorted(name.split(b"/")[0] for name in found) == [b"a", b"b", b"c"]


def test_files_of_one_directory_are_shown_where_there_is_no_other(tmp_path: Path) -> None:
    folder = grow(tmp_path, "1", "2", "3", "4", ".snapshot/5")
    found = trial.some_files(folder, Filter())
    assert len(found) == 3
    assert set(found) < {b"1", b"2", b"3", b"4"}
    assert trial.some_files(folder + b"/none", Filter()) == []


def test_a_large_folder_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "MOST", 5)
    for number in range(10):
        (tmp_path / f"folder{number}").mkdir()
    looked_at = list(entries_of(trial.some_files, grow(tmp_path), monkeypatch))
    assert len(looked_at) == 5


def entries_of(
    function: Callable[[bytes, Filter], object], folder: bytes, patch: pytest.MonkeyPatch
) -> list[bytes]:
    """The entries that a function sees."""
    seen: list[bytes] = []
    entries = trial._entries

    def noted(*arguments: Any) -> Any:
        for name, is_directory in entries(*arguments):
            seen.append(name)
            yield name, is_directory

    patch.setattr(trial, "_entries", noted)
    function(folder, Filter())
    return seen


def test_a_file_is_replaced_only_if_that_was_said_and_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"
    assert save(file, "1", replace=True) is None
    with pytest.raises(FileExistsError):
        save(file, "2", replace=False)
    assert save(file, "2", replace=True) == file.with_name("file.bak")
    assert save(file, "3", replace=True) == file.with_name("file.bak2")
    assert [path.read_text() for path in sorted(file.parent.iterdir())] == ["3", "1", "2"]


def test_what_can_not_be_written_leaves_all_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    save(file, "1", replace=False)
    (tmp_path / f".file.{os.getpid()}").mkdir()
    with pytest.raises(IsADirectoryError):
        save(file, "2", replace=True)
    assert (file.read_text(), (tmp_path / "file.bak").exists()) == ("1", False)
