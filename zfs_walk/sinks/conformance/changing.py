"""Deletions and moves take what they name and nothing else."""

import os
from collections.abc import Callable

import pytest

from zfs_walk.sinks.conformance.place import MTIME, SECOND, Content, Origin, Place
from zfs_walk.sinks.errors import MissingError, SinkError
from zfs_walk.sinks.interface import Remote, Sink


class Changing(Place):
    """`Sink.delete`, `Sink.move`."""

    def test_a_deletion_takes_one_name_and_no_neighbour(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        names = [b"d/a", b"d/ab", b"d/a.txt", b"d/b/a", b"a"]
        for name in names:
            put(name, name)
        sink.delete(b"d/a")
        assert [content(name) for name in names] == [None, *names[1:]]
        assert sink.look(b"d/a") is None

    def test_a_deletion_of_what_is_gone_is_none(
        self, sink: Sink, put: Callable[..., Remote]
    ) -> None:
        put(b"d/file")
        for name in (b"never", b"d/never", b"never/below", b"d/file/below"):
            sink.delete(name)
        assert [found.name for found in sink.list(b"")] == [b"d/file"]

    def test_a_deletion_takes_no_folder(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"d/e/file")
        sink.delete(b"d/e")
        sink.delete(b"d")
        assert content(b"d/e/file") == b"content"

    def test_a_name_can_be_of_a_folder_when_the_file_is_gone_and_back(
        self, sink: Sink, origin: Origin, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"a/name/file")
        sink.delete(b"a/name/file")
        os.unlink(origin.path(b"a/name/file"))
        os.rmdir(origin.path(b"a/name"))
        put(b"a/name", b"file")
        assert content(b"a/name") == b"file"
        sink.delete(b"a/name")
        os.unlink(origin.path(b"a/name"))
        put(b"a/name/file")
        assert content(b"a/name/file") == b"content"

    def test_all_can_be_deleted_and_sending_goes_on(
        self, sink: Sink, put: Callable[..., Remote]
    ) -> None:
        put(b"a/b/c")
        sink.delete(b"a/b/c")
        assert list(sink.list(b"")) == []
        sink.check()
        put(b"a/b/c")
        assert [found.name for found in sink.list(b"")] == [b"a/b/c"]

    def test_a_file_is_moved_with_all_that_it_has(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"a/old")
        put(b"a/old.txt", b"neighbour")
        moved = sink.move(b"a/old", b"b/c/new")
        seen = sink.look(b"b/c/new")
        assert seen is not None
        assert (moved.name, moved.size, moved.tag) == (b"b/c/new", 7, seen.tag)
        assert seen.mtime_ns is None or seen.mtime_ns // SECOND == MTIME // SECOND
        assert content(b"b/c/new") == b"content"
        assert content(b"a/old") is None
        assert content(b"a/old.txt") == b"neighbour"

    def test_a_move_takes_the_place_of_what_is_there(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"old", b"moved")
        put(b"new", b"replaced")
        sink.move(b"old", b"new")
        assert (content(b"old"), content(b"new")) == (None, b"moved")

    def test_a_move_that_was_done_is_done_again_without_harm(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"a/old")
        first = sink.move(b"a/old", b"b/new")
        assert sink.move(b"a/old", b"b/new") == first
        assert content(b"b/new") == b"content"

    def test_a_file_moves_below_its_own_name_and_back(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"d/name")
        sink.move(b"d/name", b"d/name/below/file")
        assert content(b"d/name/below/file") == b"content"
        sink.move(b"d/name/below/file", b"d/name")
        assert content(b"d/name") == b"content"
        assert [found.name for found in sink.list(b"")] == [b"d/name"]

    def test_a_move_that_something_is_in_the_way_of_is_made_or_leaves_all_as_it_was(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        put(b"d/name/file")
        put(b"d/name/other", b"in the way")
        try:
            sink.move(b"d/name/file", b"d/name")
        except SinkError:
            where = b"d/name/file"
        else:
            where = b"d/name"
        assert content(where) == b"content"
        assert content(b"d/name/other") == b"in the way"
        assert {found.name for found in sink.list(b"")} == {where, b"d/name/other"}

    def test_a_move_of_nothing_says_so(self, sink: Sink, put: Callable[..., Remote]) -> None:
        put(b"d/file")
        for old in (b"never", b"never/below", b"d"):
            with pytest.raises(MissingError):
                sink.move(old, b"new")
        assert [found.name for found in sink.list(b"")] == [b"d/file"]
