"""Any name goes there and back, or is refused."""

import itertools
from collections.abc import Callable
from typing import Final

import pytest

from zfs_walk.sinks.conformance.place import Content, Notes, Origin, Place, freely, names
from zfs_walk.sinks.errors import NameRefusedError
from zfs_walk.sinks.interface import Remote, Sink

ODD_NAMES: Final = (
    b"with space", b"-dash", b"~tilde", b"#hash?query&and=equals", b"100%", b"100%25", b"a+b",
    b"quote'\"`$(id)", b"back\\slash", b"*[glob]{a,b}", b"new\nline", b"tab\tbell\x07",
    b"...", b".hidden", b"trailing.", b"trailing ", b" leading", b"CON", b"semi;colon:",
    "café".encode(), "cafe\u0301".encode(), "\u202etfel".encode(), "\N{GRINNING FACE}".encode(),
    b"not\xffutf8", b"\xc3", b"surrogate\xed\xa0\x80", b"nonchar\xef\xbf\xbf",
    b"Upper", b"upper", b"d" * 120 + b"/" + b"e" * 120, b"f" * 255, "ü".encode() * 127,
    b"deep/" * 30 + b"file", b"odd\xff/\n/dir/file", b".zfs-walk.0123456789abcdef.part",
)  # fmt: skip
"""Each goes there and back, or is refused."""

IMPOSSIBLE_NAMES: Final = (
    b"", b"/", b".", b"..", b"/absolute", b"../outside", b"a/../../outside", b"a/..", b"a/./b",
    b"a//b", b"a/", b"nul\0inside",
)  # fmt: skip
"""Whoever gives a sink such a name has failed to check; the sink refuses it too."""


class Naming(Place):
    """`Sink.place`, and names everywhere else."""

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_an_odd_name_comes_back_or_is_refused(
        self, sink: Sink, origin: Origin, content: Content, name: bytes
    ) -> None:
        try:
            assert sink.place(name)
        except NameRefusedError as error:
            assert error.fields["reason"]  # noqa: PT017 -- being refused is one of two good ends
            with pytest.raises(NameRefusedError):
                sink.send(origin.made(name, name), name, Notes(), freely)
            assert list(sink.list(b"")) == []
            return
        sink.send(origin.made(name, name), name, Notes(), freely)
        assert content(name) == name
        assert names(sink.list(b"")) == names(sink.list(name)) == {name}
        assert sink.sweep(frozenset()) == 0
        seen = sink.look(name)
        assert seen is not None
        assert seen.name == name
        sink.move(name, b"plain")
        sink.move(b"plain", name)
        assert content(name) == name
        sink.delete(name)
        assert list(sink.list(b"")) == []

    def test_names_that_differ_stay_apart(
        self, sink: Sink, put: Callable[..., Remote], content: Content
    ) -> None:
        sent = [name for name in ODD_NAMES if self.goes(sink, name)]
        for name in sent:
            put(name, name)
        assert names(sink.list(b"")) == set(sent)
        assert all(content(name) == name for name in sent)
        places = {sink.place(name) for name in sent}
        assert len(places) == len(sent)

    @staticmethod
    def goes(sink: Sink, name: bytes) -> bool:
        """Whether the sink takes a name."""
        try:
            sink.place(name)
        except NameRefusedError:
            return False
        return True

    @pytest.mark.parametrize("name", IMPOSSIBLE_NAMES)
    def test_an_impossible_name_is_refused_everywhere(
        self, sink: Sink, origin: Origin, put: Callable[..., Remote], name: bytes
    ) -> None:
        put(b"a/file")
        uses: list[Callable[[], object]] = [
            lambda: sink.place(name),
            lambda: sink.send(origin.open(b"a/file"), name, Notes(), freely),
            lambda: sink.delete(name),
            lambda: sink.move(name, b"new"),
            lambda: sink.move(b"a/file", name),
            lambda: sink.look(name),
        ]
        for use in uses:
            with pytest.raises(NameRefusedError):
                use()
        assert names(sink.list(b"")) == {b"a/file"}

    def test_a_name_that_is_too_long_is_refused_before_it_is_sent(self, sink: Sink) -> None:
        for name in itertools.chain([b"x" * 5000], [b"d/" * 3000 + b"file"]):
            with pytest.raises(NameRefusedError):
                sink.place(name)
