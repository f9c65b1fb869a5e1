"""Where the counter store is, from envoyproxy/ratelimit's REDIS_* settings."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


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
    REDIS_AUTH wins over what the URL brings.

    Raises:
        ValueError: what is accepted instead.
    """
    scheme, separator, _ = url.partition("://")
    if separator:
        address = _from_url(scheme, url)
    elif socket_type == "unix":
        address = StoreAddress(unix_path=url)
    else:
        host, _, port = url.rpartition(":")
        address = StoreAddress(host=host.strip("[]"), port=_port(port))
    if not auth:
        return address
    username, _, password = auth.rpartition(":")
    return StoreAddress(
        address.unix_path, address.host, address.port, username, password, address.database
    )


def _from_url(scheme: str, url: str) -> StoreAddress:
    if scheme != "redis":
        raise ValueError("host:port, a socket path, or redis://host:port/database")
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if database and not database.isdigit():
        raise ValueError("a database number after the host, as in redis://host:6379/0")
    return StoreAddress(
        host=parts.hostname or "localhost",
        port=parts.port if parts.port is not None else 6379,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=int(database or 0),
    )


def _port(found: str) -> int:
    if not found.isascii() or not found.isdigit() or not 0 < int(found) < 65536:
        raise ValueError("host:port with a port from 1 to 65535, or redis://host:port/database")
    return int(found)
