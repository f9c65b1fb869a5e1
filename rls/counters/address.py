"""Where the counter store is, from envoyproxy/ratelimit's REDIS_* settings."""

from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

ACCEPTED_TCP = "host:port with a port from 1 to 65535, or redis://host:port/database"
ACCEPTED_URL = "redis://user:password@host:port/database, all but the host may be left out"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """One Redis or Valkey server: a Unix socket, or host and port."""

    unix_path: str = ""
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0

    def __str__(self) -> str:
        """The address as a log line shows it: no password."""
        return self.unix_path or f"{self.host}:{self.port}"


def store_address(socket_type: str, url: str, auth: str) -> StoreAddress:
    """
    Read REDIS_SOCKET_TYPE (`tcp`, `unix`), REDIS_URL and REDIS_AUTH (`password`, `user:password`).

    REDIS_URL is a socket's path, `host:port`, or `redis://[user:password@]host[:port][/database]`;
    REDIS_AUTH wins over what the URL brings. A password may have colons, a user may not.

    Raises:
        ValueError: what is accepted instead; never a part of the URL, which may hold a password.
    """
    if "://" in url:
        address = _from_url(url)
    elif socket_type == "unix":
        address = StoreAddress(unix_path=_path(url))
    else:
        host, _, port = url.rpartition(":")
        # No host is this machine, as Go's dialler has it.
        address = StoreAddress(host=host.strip("[]") or "localhost", port=_port(port))
    if not auth:
        return address
    username, colon, password = auth.partition(":")
    if not colon:
        username, password = "", auth
    return replace(address, username=username, password=password)


def _from_url(url: str) -> StoreAddress:
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else 6379
    except ValueError as error:
        raise ValueError(ACCEPTED_URL) from error
    database = parts.path.strip("/") or "0"
    if parts.scheme != "redis" or parts.query or parts.fragment or not _is_number(database):
        raise ValueError(ACCEPTED_URL)
    return StoreAddress(
        host=parts.hostname or "localhost",
        port=_port(str(port)),
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=int(database),
    )


def _path(found: str) -> str:
    if not found:
        raise ValueError("the path of a Unix socket")
    return found


def _port(found: str) -> int:
    if not _is_number(found) or not 0 < int(found) < 65536:
        raise ValueError(ACCEPTED_TCP)
    return int(found)


def _is_number(found: str) -> bool:
    return found.isascii() and found.isdigit()
