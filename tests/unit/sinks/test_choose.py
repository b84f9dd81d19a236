"""The scheme of a URL finds the sink; what is wrong is told with a way out, and without values."""

import importlib
import sys
from pathlib import Path

import pytest

from zfs_walk.errors import MissingExtraError, WrongUseError
from zfs_walk.sinks.choose import open_sink, schemes
from zfs_walk.sinks.local import LocalSink


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, for packages that were installed there."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    return folder


def install(site: Path, package: str, entries: str) -> None:
    """As pip leaves it: the metadata of a package."""
    folder = site / f"{package}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(f"[zfs_walk.sinks]\n{entries}\n")


def test_ours_are_known() -> None:
    assert {"file", "s3", "sftp"} <= set(schemes())
    assert isinstance(open_sink("file:///path", {}), LocalSink)


def test_an_unknown_scheme_names_those_that_there_are() -> None:
    with pytest.raises(WrongUseError, match=r"no sink for ftp://.*file://, s3://, sftp://"):
        open_sink("ftp://host/path", {})


def test_what_is_no_url_is_refused_without_showing_it() -> None:
    with pytest.raises(WrongUseError, match="begins with one of file://") as refused:
        open_sink("user:secret@host:/path", {})
    assert "secret" not in str(refused.value)


def test_an_unknown_option_names_the_nearest_or_all() -> None:
    with pytest.raises(WrongUseError, match=r"file:// has no option `fsinc`: do you mean `fsync`"):
        open_sink("file:///path", {"fsinc": True})
    with pytest.raises(WrongUseError, match=r"no option `password`: there are `fsync`, `mount`"):
        open_sink("file:///path", {"password": "secret"})


def test_every_wrong_value_is_told_with_what_is_accepted_and_not_shown() -> None:
    with pytest.raises(WrongUseError) as refused:
        open_sink("file:///path", {"fsync": "secret", "token": "secret"})
    assert "`fsync`: Input should be a valid boolean" in str(refused.value)
    assert "no option `token`" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert refused.value.fields["keys"] == ("fsync", "token")


def test_a_package_that_is_missing_is_told_with_its_extra(other: Path) -> None:
    install(other, "broken-ours", "later = zfs_walk.sinks.later:LaterSink")
    with pytest.raises(MissingExtraError, match=r"pip install 'zfs_walk\[later\]'"):
        open_sink("later://x", {})
    install(other, "broken-theirs", "theirs = no_such_module:Sink")
    importlib.invalidate_caches()
    with pytest.raises(WrongUseError, match=r"theirs://.*no_such_module.*can't be loaded"):
        open_sink("theirs://x", {})
    assert "no_such_module" not in sys.modules


def test_two_packages_with_one_scheme_are_refused(other: Path) -> None:
    install(other, "another", "file = another:Sink")
    with pytest.raises(WrongUseError, match=r"another:Sink, zfs_walk\.sinks\.local:LocalSink"):
        open_sink("file:///path", {})


def test_a_package_that_is_found_twice_is_one(other: Path) -> None:
    install(other, "zfs_walk_again", "file = zfs_walk.sinks.local:LocalSink")
    assert isinstance(open_sink("file:///path", {}), LocalSink)
