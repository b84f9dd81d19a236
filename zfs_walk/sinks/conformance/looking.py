"""What is seen is what is there."""

import os
from collections.abc import Callable

from zfs_walk.sinks.conformance.place import Notes, Origin, Place, freely, names
from zfs_walk.sinks.interface import Folders, Remote, Sink


class Looking(Place):
    """`Sink.look`, `Sink.list`, `Sink.matches`."""

    def test_what_is_not_there_is_not_seen(self, sink: Sink, put: Callable[..., Remote]) -> None:
        put(b"d/file")
        for name in (b"d", b"never", b"d/never", b"never/below", b"d/file/below", b"d/fil"):
            assert sink.look(name) is None

    def test_a_list_has_the_name_and_what_is_below_and_no_neighbour(
        self, sink: Sink, put: Callable[..., Remote]
    ) -> None:
        for name in (b"a/b", b"a/c/d", b"a.txt", b"ab", b"b/a/b", b"a-/b"):
            put(name)
        assert names(sink.list(b"a")) == {b"a/b", b"a/c/d"}
        assert names(sink.list(b"a/c")) == {b"a/c/d"}
        assert names(sink.list(b"ab")) == {b"ab"}
        assert names(sink.list(b"never")) == set()
        assert len(list(sink.list(b""))) == 6

    def test_the_files_of_a_folder_are_those_right_in_it(
        self, sink: Sink, put: Callable[..., Remote]
    ) -> None:
        if not isinstance(sink, Folders):
            return
        for name in (b"top", b"a/b", b"a/x y", b"a/c/d", b"a.txt", b"ab/e"):
            put(name)
        assert names(sink.files_in(b"", 9)) == {b"top", b"a.txt"}
        assert names(sink.files_in(b"a", 9)) == {b"a/b", b"a/x y"}
        assert names(sink.files_in(b"a/c", 9)) == {b"a/c/d"}
        assert names(sink.files_in(b"never", 9)) == set()
        listed = {remote.name: remote for remote in sink.list(b"")}
        assert list(sink.files_in(b"a/c", 1)) == [listed[b"a/c/d"]]
        assert len(list(sink.files_in(b"a", 1))) == 1
        assert sink.look(b"top") is not None

    def test_a_list_tells_what_a_look_tells(self, sink: Sink, put: Callable[..., Remote]) -> None:
        put(b"a/file")
        [found] = sink.list(b"")
        seen = sink.look(b"a/file")
        assert seen is not None
        assert found._replace(mtime_ns=seen.mtime_ns, mode=seen.mode) == seen
        assert found.mtime_ns in {None, seen.mtime_ns}
        assert found.mode in {None, seen.mode}

    def test_permissions_that_are_told_are_those_that_were_sent(
        self, sink: Sink, origin: Origin
    ) -> None:
        for mode in (0o640, 0o755):
            origin.write(b"file", b"content")
            os.chmod(origin.path(b"file"), mode)
            sink.send(origin.open(b"file"), b"file", Notes(), freely)
            seen = sink.look(b"file")
            assert seen is not None
            assert seen.mode in ({mode} if self.permissions else {None, mode})

    def test_a_long_list_is_complete(self, sink: Sink, put: Callable[..., Remote]) -> None:
        wanted = {b"d%d/file%d" % (number % 7, number) for number in range(self.many)}
        for name in wanted:
            put(name, b"")
        found = list(sink.list(b""))
        assert len(found) == len(wanted)
        assert names(found) == wanted

    def test_only_equal_content_matches(
        self, sink: Sink, origin: Origin, put: Callable[..., Remote]
    ) -> None:
        put(b"file", b"content")
        seen = sink.look(b"file")
        assert seen is not None
        assert sink.matches(origin.open(b"file"), seen) == self.checksums
        assert not sink.matches(origin.made(b"other", b"tnetnoc"), seen)
        assert not sink.matches(origin.made(b"longer", b"content and more"), seen)
