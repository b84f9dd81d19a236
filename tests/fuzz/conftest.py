"""The fixtures of the process tests, for tests that throw junk at a real broker."""

from tests.process.conftest import forest, place, quick_site, shim, site, slow, tree

__all__ = ["forest", "place", "quick_site", "shim", "site", "slow", "tree"]
