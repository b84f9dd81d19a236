"""What every sink must pass: a pytest suite, for ours and for those of other packages.

A test module makes a class of it and gives it two fixtures (see docs/sinks.md)::

    class TestMySink(SinkConformance):
        @pytest.fixture
        def sink(self): ...      # an empty place; closed by the fixture

        @pytest.fixture
        def content(self): ...   # name -> bytes | None, read by other means than the sink

A sink that also offers `zfs_walk.sinks.interface.Together` passes `TogetherConformance` as well::

    class TestMySink(SinkConformance, TogetherConformance): ...
"""

from zfs_walk.sinks.conformance.changing import Changing
from zfs_walk.sinks.conformance.ending import Ending
from zfs_walk.sinks.conformance.looking import Looking
from zfs_walk.sinks.conformance.naming import Naming
from zfs_walk.sinks.conformance.place import Content
from zfs_walk.sinks.conformance.sending import Sending
from zfs_walk.sinks.conformance.together import TogetherConformance
from zfs_walk.sinks.interface import Sink, Together

__all__ = ["Content", "SinkConformance", "TogetherConformance"]


class SinkConformance(Sending, Ending, Changing, Looking, Naming):
    """Every promise of `zfs_walk.sinks.interface`."""

    def test_what_it_offers_besides_is_tested(self, sink: Sink) -> None:
        assert isinstance(sink, Together) == isinstance(self, TogetherConformance)
