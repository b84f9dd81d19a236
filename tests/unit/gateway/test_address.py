"""HOST:PORT, and nothing else; who could connect there."""

import socket

import pytest

from zfs_walk.gateway.address import Address


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:5580", Address("127.0.0.1", 5580), True),
        ("127.9.9.9:0", Address("127.9.9.9", 0), True),
        ("localhost:80", Address("localhost", 80), True),
        ("[::1]:5580", Address("::1", 5580), True),
        ("0.0.0.0:5580", Address("0.0.0.0", 5580), False),  # noqa: S104 -- that is tested
        ("[::]:5580", Address("::", 5580), False),
        ("10.0.0.1:65535", Address("10.0.0.1", 65535), False),
        ("localhost.evil.example:80", Address("localhost.evil.example", 80), False),
        ("127.0.0.1.evil.example:80", Address("127.0.0.1.evil.example", 80), False),
    ],
)
def test_an_address_is_read(text: str, address: Address, *, loopback: bool) -> None:
    assert Address.parse(text) == address
    assert address.is_loopback is loopback
    assert address.url(address.port) == f"http://{text}"


@pytest.mark.parametrize(
    "text",
    [
        *("5580", ":5580", "host", "host:", "host:x", "host:-1", "host:65536", "host:٣"),
        *("::1:5580", "[]:5580", "[host:80", "[host]:80", "tcp://host:80", "[[::1]]:80"),
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Address.parse(text)


def test_a_free_port_is_taken_and_a_taken_one_is_not() -> None:
    with Address("127.0.0.1", 0).listen() as first:
        port = first.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        with pytest.raises(OSError, match="in use"):
            Address("127.0.0.1", port).listen()
