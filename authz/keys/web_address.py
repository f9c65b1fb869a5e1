"""Addresses that keys are fetched from."""

from urllib.parse import urlsplit, urlunsplit


def is_web_address(text: str) -> bool:
    """An absolute http or https URL with a host, and nothing in it that no URL has."""
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_plain_http(text: str) -> bool:
    """Whether whoever is on the way could exchange what comes from there."""
    return text[:7].lower() == "http://"


def without_password(address: str) -> str:
    """The address for logs and people."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that is none"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
