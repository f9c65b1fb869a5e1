"""Where the counter store is."""

import pytest

from rls.counters.address import StoreAddress, store_address


@pytest.mark.parametrize(
    ("socket_type", "url", "auth", "address"),
    [
        ("unix", "/run/valkey.sock", "", StoreAddress(unix_path="/run/valkey.sock")),
        ("tcp", "valkey:6379", "", StoreAddress(host="valkey", port=6379)),
        ("tcp", ":6379", "", StoreAddress(host="localhost", port=6379)),
        ("tcp", "[::1]:6379", "", StoreAddress(host="::1", port=6379)),
        ("unix", "redis://valkey", "", StoreAddress(host="valkey", port=6379)),
        ("tcp", "redis://", "", StoreAddress(host="localhost", port=6379)),
        ("tcp", "redis://valkey/", "", StoreAddress(host="valkey", port=6379)),
        (
            "tcp",
            "redis://rls:p%40ss@valkey:7000/3",
            "",
            StoreAddress(host="valkey", port=7000, username="rls", password="p@ss", database=3),
        ),
        (
            "tcp",
            "redis://:secret@[::1]",
            "",
            StoreAddress(host="::1", port=6379, password="secret"),
        ),
        (
            "unix",
            "/run/valkey.sock",
            "secret",
            StoreAddress(unix_path="/run/valkey.sock", password="secret"),
        ),
        (
            "tcp",
            "redis://old:older@valkey:7000/3",
            "rls:se:cr:et",  # cut at the first colon, as envoyproxy/ratelimit does
            StoreAddress(host="valkey", port=7000, username="rls", password="se:cr:et", database=3),
        ),
    ],
)
def test_every_spelling(socket_type: str, url: str, auth: str, address: StoreAddress) -> None:
    assert store_address(socket_type, url, auth) == address


TCP = "host:port with a port from 1 to 65535, or redis://host:port/database"
URL = "redis://user:password@host:port/database, all but the host may be left out"


@pytest.mark.parametrize(
    ("socket_type", "url", "accepted"),
    [
        ("unix", "", "the path of a Unix socket"),
        ("tcp", "", TCP),
        ("tcp", "valkey", TCP),
        ("tcp", "valkey:redis", TCP),
        ("tcp", "valkey:0", TCP),
        ("tcp", "valkey:65536", TCP),
        ("tcp", "valkey:\u0666", TCP),  # a digit, but not of ours
        ("tcp", "redis://valkey:0", TCP),
        ("tcp", "redis://valkey:65536", URL),
        ("tcp", "rediss://valkey:6379", URL),
        ("tcp", "redis://valkey:6379/one", URL),
        ("tcp", "redis://valkey:6379/0?db=1", URL),
        ("tcp", "redis://valkey:6379/0#1", URL),
        ("tcp", "redis://[::1", URL),
        ("tcp", "redis://:pass/word@valkey:6379", URL),
    ],
)
def test_what_is_refused_names_what_is_accepted_and_no_part_of_the_url(
    socket_type: str, url: str, accepted: str
) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its whole text is compared below
        store_address(socket_type, url, "")
    assert str(refused.value) == accepted


def test_no_password_is_shown() -> None:
    address = store_address("tcp", "redis://rls:secret@valkey:7000/3", "")
    assert str(address) == "valkey:7000"
    assert "secret" not in repr(address)
    assert str(store_address("unix", "/run/valkey.sock", "secret")) == "/run/valkey.sock"
