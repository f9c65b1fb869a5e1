"""
IP addresses and CIDR blocks.

An IPv4 and an IPv6 address never match each other, an IPv4-mapped one is IPv6; host bits of a
block are masked, as Envoy's CidrRange does.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, inet_pton
from typing import NamedTuple

PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")
"""Go's netip: no sign, no leading zero, no netmask."""

REMEMBERED_ADDRESSES = 4096
"""Peers come back, and several rules may ask for the same one."""

NO_ADDRESS = (0, 0)


class Block(NamedTuple):
    """A network: the family by its address length in bits, 32 or 128, and what it fixes."""

    bits: int
    prefix_length: int
    network: int
    """The first `prefix_length` bits as a number."""


def read_block(text: str) -> Block | None:
    """An address or a CIDR block as Go's netip reads it; None if it is neither."""
    address, slash, length = text.partition("/")
    address, zone, name = address.partition("%")
    try:
        found = ip_address(address)
    except ValueError:
        return None
    if zone and (slash or not name or found.version == 4):
        return None
    if slash and (not PREFIX_LENGTH.fullmatch(length) or int(length) > found.max_prefixlen):
        return None
    prefix_length = int(length) if slash else found.max_prefixlen
    network = int(found) >> (found.max_prefixlen - prefix_length)
    return Block(found.max_prefixlen, prefix_length, network)


def block_problem(text: str) -> str:
    """What is wrong with a value, empty if nothing."""
    return "" if read_block(text) else "an IP address or a CIDR block such as 10.0.0.0/8 is wanted"


@lru_cache(maxsize=REMEMBERED_ADDRESSES)
def read_address(text: str) -> tuple[int, int]:
    """Length in bits and value of an address Envoy sent; zeros if it is none (a Unix socket)."""
    family = AF_INET6 if ":" in text else AF_INET
    try:
        packed = inet_pton(family, text.partition("%")[0])
    except (OSError, ValueError):
        return NO_ADDRESS
    return len(packed) * 8, int.from_bytes(packed)


def compile_blocks(blocks: Iterable[Block]) -> Callable[[str], bool]:
    """Match an address in any of the blocks: one set look-up for each prefix length in use."""
    networks: dict[tuple[int, int], set[int]] = {}
    for bits, prefix_length, network in blocks:
        networks.setdefault((bits, bits - prefix_length), set()).add(network)
    ladder = {
        family: tuple(
            (shift, frozenset(found)) for (bits, shift), found in networks.items() if bits == family
        )
        for family in (32, 128)
    }

    def contains(text: str) -> bool:
        bits, value = read_address(text)
        for shift, found in ladder.get(bits, ()):  # noqa: SIM110 - a generator costs more
            if value >> shift in found:
                return True
        return False

    return contains
