"""Mappings in YAML: what is there is taken, what is wrong is named."""

import os
from pathlib import Path

import pytest

from zfs_walk.config.mappings import Placed, compose, read_mappings
from zfs_walk.config.rates import parse_rate
from zfs_walk.errors import WrongUseError
from zfs_walk.mirror.mapping import Mapping, Symlinks

BACKUP = "- name: a\n  local: /data\n  to: file:///backup\n"


def read(text: str) -> list[Placed]:
    return read_mappings(compose(text, "u.yaml"), "u.yaml")


def test_what_is_not_said_is_as_in_a_mapping() -> None:
    assert read(BACKUP) == [Placed(Mapping("a", b"/data", "file:///backup"), "u.yaml, line 1")]


def test_every_key_reaches_the_mapping() -> None:
    [(mapping, _)] = read(
        "- {name: a, local: /data, to: 's3://b/p', options: {region: x, parts: [1]},\n"
        "   complete_sync: true, symlinks: record, transfers: 8, order: smallest,\n"
        "   include: ['*.a'], exclude: ['*.b'], poll: 1, settle: 250, monitor: poll, rescan: 60,\n"
        "   guard_files: 5, guard_percent: 2.5, tries: 3, bwlimit: 10M, windows: ['22:00-06:00']}"
    )
    assert mapping == Mapping(
        "a", b"/data", "s3://b/p", {"region": "x", "parts": [1]}, complete_sync=True,
        symlinks=Symlinks.RECORD, transfers=8, order="smallest", includes=("*.a",),
        excludes=("*.b",), poll=1.0, settle=0.25, monitor="poll", rescan=60.0, guard_files=5,
        guard_percent=2.5, tries=3, bwlimit=10 * 2**20, windows=("22:00-06:00",),
    )  # fmt: skip


def test_keys_may_have_dashes() -> None:
    assert read(f"{BACKUP}  complete-sync: true\n")[0].mapping.complete_sync


def test_roots_and_folders_are_put_together() -> None:
    [(mapping, _)] = read(
        "- {name: a, local_root: /data/, local_dir: in/x, remote_root: 's3://b/', remote_dir: y/}"
    )
    assert (mapping.local, mapping.url) == (b"/data/in/x", "s3://b/y")
    [(mapping, _)] = read("- {name: a, local_root: /data, remote_root: 'sftp://h/p'}")
    assert (mapping.local, mapping.url) == (b"/data", "sftp://h/p")


def test_a_relative_folder_is_below_the_current_one(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        [(mapping, _)] = read("- {name: a, local: x/../data, to: 'file:///b'}")
    finally:
        os.chdir(before)
    assert mapping.local == os.fsencode(tmp_path / "data")


def test_a_name_that_is_not_utf8_can_be_written() -> None:
    [(mapping, _)] = read('- {name: a, local: "/data/\\udcff", to: "file:///b"}')
    assert mapping.local == b"/data/\xff"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "line 1: mappings: a list with at least one mapping is wanted"),
        ("[]", "line 1: mappings: a list"),
        ("\n- text", "line 2: mappings: each mapping is a map"),
        (f"{BACKUP}  trasnfers: 3\n", "line 4: unknown key trasnfers; the nearest is transfers;"),
        (f"{BACKUP}  1: 3\n", "line 4: unknown key 1; accepted: bwlimit, complete_sync, "),
        (f"{BACKUP}  local: /x\n", "line 4: local is there twice, first in line 2"),
        (f"{BACKUP}  options:\n    a: 1\n    a: 2\n",
         "line 6: options.a is there twice, first in line 5"),
        (f"{BACKUP}  transfers: 0\n",
         "line 4: transfers: 0 is not accepted; accepted: a whole number, at least 1, at most 256"),
        (f"{BACKUP}  transfers: true\n", "line 4: transfers: true is not accepted"),
        (f"{BACKUP}  complete_sync: 1\n", "line 4: .* 1 is not accepted; accepted: true or false"),
        (f"{BACKUP}  symlinks: copy\n", 'line 4: .*"copy".*; accepted: skip or follow or record'),
        (f"{BACKUP}  poll: .nan\n", "line 4: poll: NaN is not accepted"),
        (f"{BACKUP}  bwlimit: fast\n", "line 4: bwlimit: .* bytes a second, such as"),
        (f"{BACKUP}  bwlimit: 1.5\n", "line 4: bwlimit: 1.5 is not accepted"),
        (f"{BACKUP}  windows:\n  - 8:00-9:00\n  - at night\n",
         'line 6: windows.1: "at night" is not accepted; accepted: a list, each HH:MM-HH:MM'),
        (f"{BACKUP}  exclude: x\n", "line 4: exclude: .* accepted: a list, each text"),
        (f"{BACKUP}  options: 3\n", "line 4: options: 3 is not accepted; accepted: a map"),
        (f"{BACKUP}  local_dir: x\n", "line 1: a: local_dir goes with local_root"),
        (f"{BACKUP}  remote_root: file:///x\n", "line 1: a: to is wanted, or remote_root"),
        ("- {name: a, local: /d}", "line 1: a: to is wanted"),
        ("- {name: a, to: 'file:///b'}", "line 1: a: local is wanted, or local_root"),
        ("- {local: /d, to: 'file:///b'}", "line 1: name is missing; accepted: up to 100"),
        ("- {name: ../x, local: /d, to: 'file:///b'}", 'name: "../x" is not accepted'),
        ("- {name: a, local: '', to: 'file:///b'}", 'local: "" is not accepted'),
        ("- {name: a, local: /d, to: /backup}", 'to: "/backup" is not accepted; accepted: a URL'),
        ("- {name: a, local_root: /d, local_dir: ../x, to: 'file:///b'}", "local_dir: .*without"),
        ("- {name: a, local_root: /d, local_dir: /x, to: 'file:///b'}", "local_dir: .*without"),
        (BACKUP + BACKUP, r"line 4: a is the name of two mappings \(u.yaml, line 1\)"),
        (f"{BACKUP}- {{name: b, local: /x, to: 'file:///backup/in/'}}",
         r"line 4: b: file:///backup/in/ and file:///backup \(u.yaml, line 1\) overlap"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(WrongUseError, match=rf"u\.yaml, .*{message}"):
        read(text)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(WrongUseError, match="a URL has no password") as caught:
        read("- {name: a, local: /d, to: 'sftp://me:hunter2@host/p'}")
    assert "hunter2" not in str(caught.value)


def test_places_that_only_begin_alike_are_two() -> None:
    assert len(read(f"{BACKUP}- {{name: b, local: /x, to: 'file:///backup2'}}")) == 2


@pytest.mark.parametrize("text", ["", "- [", "# nothing"])
def test_what_is_no_yaml_is_refused(text: str) -> None:
    with pytest.raises(WrongUseError, match=r"u\.yaml: "):
        read(text)


@pytest.mark.parametrize(
    ("text", "rate"), [("0", 0), ("500000", 500_000), (" 512K ", 2**19), ("10m", 10 * 2**20)]
)
def test_rates_have_units(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "-1", "1.5M", "10 M", "M", "1e6", "10MB"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_rate(text)
