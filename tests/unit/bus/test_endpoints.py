"""Endpoints as others must write them."""

import pytest

from zfs_walk.bus.endpoints import InTurn, beside, reachable


@pytest.mark.parametrize(
    ("announced", "through", "meant"),
    [
        ("tcp://0.0.0.0:5571", "tcp://storage1:5570", "tcp://storage1:5571"),
        ("tcp://[::]:5571", "tcp://[fe80::1]:5570", "tcp://[fe80::1]:5571"),
        ("tcp://*:5571", "tcp://10.0.0.1:5570", "tcp://10.0.0.1:5571"),
        ("tcp://10.0.0.2:5571", "tcp://storage1:5570", "tcp://10.0.0.2:5571"),
        ("ipc:///run/b-publish", "ipc:///run/b", "ipc:///run/b-publish"),
        ("tcp://0.0.0.0:5571", "ipc:///run/b", "tcp://0.0.0.0:5571"),
        ("", "tcp://storage1:5570", ""),
    ],
)
def test_a_broker_on_all_addresses_is_where_it_was_reached(
    announced: str, through: str, meant: str
) -> None:
    assert reachable(announced, through) == meant


def test_endpoints_are_used_in_turn_round_and_round() -> None:
    endpoints = InTurn(("a", "b", "c"))
    used = [(endpoints.in_use, endpoints.advance()) for _ in range(7)]
    assert [use for use, _ in used] == ["a", "b", "c", "a", "b", "c", "a"]
    assert [over for _, over in used] == [False, False, True, False, False, True, False]
    assert (len(endpoints), str(endpoints)) == (3, "a, b, c")


@pytest.mark.parametrize(
    ("router", "number", "name", "other"),
    [
        ("tcp://127.0.0.1:5570", 1, "publish", "tcp://127.0.0.1:5571"),
        ("tcp://0.0.0.0:5570", 2, "subscribe", "tcp://0.0.0.0:5572"),
        ("tcp://[::1]:5570", 1, "publish", "tcp://[::1]:5571"),
        ("tcp://127.0.0.1:*", 1, "publish", "tcp://127.0.0.1:*"),
        ("tcp://127.0.0.1:0", 2, "subscribe", "tcp://127.0.0.1:*"),
        ("ipc:///run/b", 2, "subscribe", "ipc:///run/b-subscribe"),
    ],
)
def test_further_endpoints_are_beside_the_first(
    router: str, number: int, name: str, other: str
) -> None:
    assert beside(router, number, name) == other
