"""State folders, locks and socket folders."""

import os
import stat
from pathlib import Path

import pytest

from zfs_walk.cli import state
from zfs_walk.cli.private_state import interrupted_runs, new_state, remove_state
from zfs_walk.cli.state import free_slot, ipc_folder, private_folder, state_base
from zfs_walk.errors import StateError, StateInUseError
from zfs_walk.storage import lock


def test_what_was_given_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_base(str(tmp_path / "given")) == tmp_path / "given"
    assert not (tmp_path / "xdg").exists()


def test_then_comes_the_users_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_base(None) == tmp_path / "xdg" / "zfs_walk"


def test_a_state_folder_on_a_network_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(state, "FALLBACK", str(tmp_path / "local"))
    seen: list[bool] = []

    def first_is_remote(_: str) -> bool:
        seen.append(True)
        return len(seen) == 1

    monkeypatch.setattr(state, "is_network", first_is_remote)
    assert state_base(None) == Path(f"{tmp_path}/local-{os.getuid()}")


def test_a_given_folder_on_a_network_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "is_network", lambda _: True)
    with pytest.raises(StateError, match="SQLite's locks do not work"):
        state_base(str(tmp_path / "given"))


def test_a_given_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert state_base(str(tmp_path / "link")) == tmp_path / "real"


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(StateError, match="others may write to it"):
        private_folder(tmp_path / "open")


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (tmp_path / "file", tmp_path / "link"):
        with pytest.raises(StateError):
            private_folder(path)


def test_a_lock_is_anothers_until_it_is_closed(tmp_path: Path) -> None:
    held = lock(tmp_path)
    with pytest.raises(StateInUseError, match=f"pid {os.getpid()}"):
        lock(tmp_path)
    os.close(held)
    os.close(lock(tmp_path))


def test_a_lock_on_a_full_disk_is_still_a_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        held = lock(tmp_path)
    with pytest.raises(StateInUseError):
        lock(tmp_path)
    os.close(held)


def test_the_lowest_free_name_is_taken(tmp_path: Path) -> None:
    first, one = free_slot(tmp_path, "walker")
    second, two = free_slot(tmp_path, "walker")
    assert (first, second) == ("walker-1", "walker-2")
    os.close(one)
    again, three = free_slot(tmp_path, "walker")
    assert again == "walker-1"
    os.close(two)
    os.close(three)


def test_sockets_live_in_a_short_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = Path(ipc_folder())
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert len(str(made)) < 107 - len("/results")


@pytest.mark.parametrize("runtime", ["", "/no/such/folder", "/" + "x" * 100])
def test_sockets_go_to_tmp_where_there_is_no_better_place(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    made = Path(ipc_folder())
    assert made.parent == Path("/tmp")
    made.rmdir()


def test_private_runs_have_folders_of_their_own(tmp_path: Path) -> None:
    first, folder = new_state(tmp_path, 1000)
    second, other = new_state(tmp_path, 1000)
    assert (first, second) == (1000, 1001)
    assert interrupted_runs(tmp_path) == []
    (folder / "journal.db").touch()
    (other / "journal.db").touch()
    assert interrupted_runs(tmp_path) == [1000, 1001]
    remove_state(folder)
    assert interrupted_runs(tmp_path) == [1001]
