"""Files that are read without being named."""

import os
from pathlib import Path

import pytest

from zfs_walk.config.places import uploader_files


def test_root_has_its_own_file_and_that_of_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    own = tmp_path / ".config/zfs_walk/uploader.yaml"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert uploader_files() == (own,)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert uploader_files() == (own, Path("/etc/zfs_walk/uploader.yaml"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert uploader_files()[0] == tmp_path / "elsewhere/zfs_walk/uploader.yaml"
