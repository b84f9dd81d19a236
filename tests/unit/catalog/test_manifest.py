"""The manifest and the folder: what is accepted, and what is refused by name."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from zfs_walk.catalog import manifest as manifests
from zfs_walk.catalog.folder import TOKEN, check_token, locked, prepare
from zfs_walk.catalog.manifest import SCHEMA, Manifest, RunInfo, load, save
from zfs_walk.catalog.segment import SegmentInfo
from zfs_walk.catalog.totals import Totals
from zfs_walk.errors import CatalogError
from zfs_walk.scan.interface import ScanError


@pytest.fixture
def manifest(run_info: RunInfo, errors: list[ScanError]) -> Manifest:
    totals = Totals(files=3, size=10, excluded=2, excluded_default=1)
    totals.error_classes.update(["denied", "io", "io"])
    segments = (SegmentInfo("a.parquet", "files", 3, 100, "ab"),)
    return Manifest(run_info, totals, tuple(errors), segments, {"a.parquet": ("b", "c")})


def test_a_saved_manifest_loads_as_it_was(tmp_path: Path, manifest: Manifest) -> None:
    save(tmp_path, manifest)
    assert load(tmp_path) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_the_json_has_the_documented_form(tmp_path: Path, manifest: Manifest) -> None:
    save(tmp_path, manifest)
    document = json.loads((tmp_path / "manifest.json").read_bytes())
    assert list(document) == ["schema", "run", "totals", "errors", "segments", "merged"]
    assert document["schema"] == 1
    assert document["run"]["roots"] == [
        {"path": "/data"},
        {"path": "/odd\ufffd", "path_b64": "L29kZP8="},
    ]
    assert document["totals"]["entries"] == 3
    assert document["errors"]["by_class"] == {"denied": 1, "io": 2}
    assert document["errors"]["examples"][0] == {
        "path": "/data/secret",
        "errno": 13,
        "class": "denied",
        "message": "Permission denied",
    }
    assert document["segments"] == [
        {"name": "a.parquet", "kind": "files", "rows": 3, "bytes": 100, "checksum": "ab"},
    ]


def test_a_newer_schema_is_refused_with_both_numbers(tmp_path: Path, manifest: Manifest) -> None:
    document = manifest.to_json() | {"schema": SCHEMA + 4}
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(CatalogError, match=f"schema {SCHEMA + 4}, .* up to {SCHEMA}"):
        load(tmp_path)


def test_an_older_schema_is_migrated(
    tmp_path: Path,
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def newer(document: dict[str, Any]) -> dict[str, Any]:
        return document | {"segments": []}

    save(tmp_path, manifest)
    monkeypatch.setattr(manifests, "SCHEMA", SCHEMA + 1)
    monkeypatch.setitem(manifests._MIGRATIONS, SCHEMA, newer)
    assert load(tmp_path).segments == ()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "\xff", '{"schema": 0}', '{"schema": 1, "run": 3}', '{"schema": null}'],
)
def test_a_damaged_manifest_is_an_error_that_names_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content, "latin-1")
    with pytest.raises(CatalogError, match=r"manifest\.json is damaged"):
        load(tmp_path)


def test_a_segment_outside_the_folder_makes_a_manifest_damaged(
    tmp_path: Path,
    manifest: Manifest,
) -> None:
    document = manifest.to_json()
    document["segments"][0]["name"] = "../../secret"
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(CatalogError, match="damaged"):
        load(tmp_path)


def test_no_manifest_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"no manifest\.json") as caught:
        load(tmp_path)
    assert caught.value.exit_code == 9


def test_a_manifest_that_could_not_be_replaced_stays(
    tmp_path: Path,
    manifest: Manifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    save(tmp_path, manifest)
    before = (tmp_path / "manifest.json").read_bytes()
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, manifest)
    monkeypatch.undo()
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_or_empty_folder_is_prepared(tmp_path: Path, *, exists: bool) -> None:
    folder = tmp_path / "catalog"
    if exists:
        folder.mkdir()
    token = prepare(folder)
    assert (folder / TOKEN).read_text().strip() == token
    assert list((folder / "segments").iterdir()) == []
    check_token(folder, token)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CatalogError, match=f"{tmp_path} .*exists and is not a catalog"):
        prepare(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CatalogError, match="exists and is not a catalog"):
        prepare(tmp_path / "file")


def test_a_folder_without_a_parent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="No such file"):
        prepare(tmp_path / "typo" / "catalog")


def test_a_finished_catalog_is_refused_with_its_run(catalog: Path) -> None:
    with pytest.raises(CatalogError, match="already holds the catalog of run 7"):
        prepare(catalog)


def test_an_unfinished_catalog_is_refused_unless_it_is_resumed(tmp_path: Path) -> None:
    token = prepare(tmp_path / "c")
    with pytest.raises(CatalogError, match="not finished"):
        prepare(tmp_path / "c")
    assert prepare(tmp_path / "c", resume=token) == token
    with pytest.raises(CatalogError, match="another run"):
        prepare(tmp_path / "c", resume="0" * 32)


def test_of_many_that_prepare_one_folder_one_succeeds(tmp_path: Path) -> None:
    barrier, outcomes = threading.Barrier(8), []

    def contend() -> None:
        barrier.wait()
        try:
            outcomes.append(prepare(tmp_path / "c"))
        except CatalogError:
            outcomes.append("")

    threads = [threading.Thread(target=contend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(filter(None, outcomes))) == 1
    assert (tmp_path / "c" / TOKEN).read_text().strip() in outcomes


def test_a_host_that_sees_another_folder_is_told(tmp_path: Path) -> None:
    token = prepare(tmp_path / "c")
    prepare(tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CatalogError, match="does not see the run's token"):
        check_token(tmp_path / "empty", token)
    with pytest.raises(CatalogError, match="another run"):
        check_token(tmp_path / "other", token)


def test_the_lock_is_held_by_one(tmp_path: Path) -> None:
    busy = pytest.raises(CatalogError, match="another process is finishing it")
    with locked(tmp_path), busy, locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
