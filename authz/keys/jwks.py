"""A JSON Web Key Set → the keys in it that can verify, and what is to be said of the others."""

from dataclasses import dataclass, field

from authz.keys.jwk import Unusable, VerificationKey, is_private, read_jwk
from authz.tokens.refusal import Failure
from authz.tokens.strict_json import read_object
from authz.tokens.token import Token

MAX_KEYS = 100
"""A token without `kid` is tried against every key that fits its algorithm."""


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """Keys of one issuer. No two sets are equal: what one has verified means nothing to another."""

    keys: tuple[VerificationKey, ...]
    remarks: tuple[str, ...]
    """One line for each key that was left out, or that says too much."""
    raw: bytes
    """The text it was read from, to see that a fetch brought nothing new."""
    _by_kid: dict[str, tuple[VerificationKey, ...]] = field(init=False)
    _nameless: tuple[VerificationKey, ...] = field(init=False)

    def __post_init__(self) -> None:
        nameless = tuple(key for key in self.keys if key.kid is None)
        by_kid: dict[str, tuple[VerificationKey, ...]] = {}
        for key in self.keys:
            if key.kid is not None:
                by_kid[key.kid] = (*by_kid.get(key.kid, ()), key)
        named = {kid: (*keys, *nameless) for kid, keys in by_kid.items()}
        object.__setattr__(self, "_by_kid", named)
        object.__setattr__(self, "_nameless", nameless)

    def has(self, kid: str | None) -> bool:
        """Whether a key bears this name; a token that names none might always want a newer one."""
        return kid is not None and kid in self._by_kid

    def check_signature(self, token: Token) -> Failure | None:
        """Whether one of the keys that `kid` and algorithm leave made the token's signature."""
        named = self.keys if token.kid is None else self._by_kid.get(token.kid)
        failure = Failure.NO_KEY
        for key in self._nameless if named is None else named:
            verify = key.verifiers.get(token.algorithm)
            if verify is not None:
                if verify(token.signature, token.signed):
                    return None
                failure = Failure.BAD_SIGNATURE
        return failure


def read_inline_key_set(text: str) -> KeySet | Unusable:
    """
    The `jwks` of a document: a key set or one bare key, secrets included.

    Refused are what Istio's webhook refuses (anything in it that is no JWK) and a set of which no
    key can verify anything. An empty set is taken as Istio takes it: every token then fails.
    """
    raw = text.encode("utf-8", "surrogatepass")
    value = read_object(raw)
    if value is None:
        return Unusable("not one JSON object", malformed=True)
    keys = value.get("keys", [value])
    key_set = _read_keys([] if keys is None else keys, raw, inline=True)
    if isinstance(key_set, KeySet) and keys and not key_set.keys:
        return Unusable("; ".join(key_set.remarks), malformed=False)
    return key_set


def read_fetched_key_set(raw: bytes) -> KeySet | Unusable:
    """
    What an issuer serves: an object with `keys`. Whatever in it is of no use is left out.

    A set without any usable key is taken too: an issuer that withdraws its keys must be heard.
    """
    value = read_object(raw)
    if value is None or "keys" not in value:
        return Unusable("not one JSON object with 'keys'", malformed=True)
    return _read_keys(value["keys"], raw, inline=False)


def _read_keys(keys: object, raw: bytes, *, inline: bool) -> KeySet | Unusable:
    if not isinstance(keys, list):
        return Unusable("'keys' is not a list", malformed=True)
    if len(keys) > MAX_KEYS:
        return Unusable(f"{len(keys)} keys; at most {MAX_KEYS}", malformed=True)
    usable: list[VerificationKey] = []
    remarks: list[str] = []
    malformed: list[str] = []
    for index, jwk in enumerate(keys):
        key = read_jwk(jwk, secrets=inline)
        if isinstance(key, Unusable):
            (malformed if key.malformed else remarks).append(f"keys[{index}]: {key.reason}")
            continue
        usable.append(key)
        if is_private(jwk):
            remarks.append(f"keys[{index}]: a private key or secret; verifying needs public keys")
    if malformed and inline:
        return Unusable("; ".join(malformed), malformed=True)
    return KeySet(tuple(usable), (*malformed, *remarks), raw)
