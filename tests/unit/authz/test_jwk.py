"""JSON Web Keys: which verify what, and why the others do not."""

from typing import Any

import pytest

from authz.keys.jwk import Unusable, VerificationKey, is_private, read_jwk
from tests.token_mint import b64, key, number

RSA, P256, ED25519 = key("rsa").jwk, key("p256").jwk, key("ed25519").jwk
MODULUS = key("rsa").private.public_key().public_numbers().n.to_bytes(256, "big")
RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def algorithms(jwk: object, *, secrets: bool = True) -> set[str] | str:
    """The algorithms of a key, or why there are none."""
    found = read_jwk(jwk, secrets=secrets)
    return found.reason if isinstance(found, Unusable) else set(found.verifiers)


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        (RSA, RSA_ALGORITHMS),
        ({**RSA, "alg": "PS384"}, {"PS384"}),
        (
            {**RSA, "use": "sig", "key_ops": ["verify", "sign"], "x5c": "not looked at"},
            RSA_ALGORITHMS,
        ),
        ({**RSA, "n": b64(bytes(3) + MODULUS)}, RSA_ALGORITHMS),
        ({**RSA, "n": b64(MODULUS, padded=True)}, RSA_ALGORITHMS),
        (P256, {"ES256"}),
        (key("p384").jwk, {"ES384"}),
        (key("p521").jwk, {"ES512"}),
        (ED25519, {"EdDSA"}),
        ({"kty": "oct", "k": b64(bytes(64))}, {"HS256", "HS384", "HS512"}),
        ({"kty": "oct", "k": b64(bytes(48))}, {"HS256", "HS384"}),
        ({"kty": "oct", "k": b64(bytes(32))}, {"HS256"}),
        ({"kty": "oct", "k": b64(bytes(32)), "alg": "HS512"}, "alg 'HS512' does not fit the key"),
        ({"kty": "oct", "k": b64(bytes(31))}, "a secret of 31 bytes; HS256 needs 32"),
        ({"kty": "oct", "k": "*"}, "'k' is not base64url"),
    ],
)
def test_a_key_verifies_what_its_type_size_and_alg_allow(
    jwk: dict[str, Any], expected: set[str] | str
) -> None:
    assert algorithms(jwk) == expected


def odd(bits: int) -> str:
    return number((1 << bits - 1) + 1)


@pytest.mark.parametrize(
    ("jwk", "part"),
    [
        (key("rsa1024").jwk, "RSA of 1024 bits; 2048 to 8192 are used"),
        ({**RSA, "n": odd(2047)}, "RSA of 2047 bits"),
        ({**RSA, "n": odd(8193)}, "RSA of 8193 bits"),
        ({**RSA, "n": number(1 << 2047)}, "no sound key"),
        ({**RSA, "n": ""}, "not base64url"),
        ({**RSA, "e": "*"}, "not base64url"),
        ({**RSA, "e": number(1)}, "no sound key"),
        ({**RSA, "e": number(65536)}, "no sound key"),
        ({**RSA, "e": number(2**32 + 1)}, "no sound key"),
        ({**RSA, "alg": "ES256"}, "alg 'ES256' does not fit the key"),
        ({**RSA, "alg": "HS256"}, "alg 'HS256' does not fit the key"),
        ({**RSA, "alg": "x" * 1000}, "alg 'xxx"),
        ({**RSA, "use": "enc"}, "use 'enc': not for signatures"),
        ({**RSA, "key_ops": ["sign"]}, "'key_ops' does not list verify"),
        ({**RSA, "key_ops": []}, "'key_ops' does not list verify"),
        ({**P256, "crv": "secp256k1"}, "crv 'secp256k1' is not one of P-256, P-384, P-521"),
        ({**P256, "x": b64(bytes(31))}, "must be base64url of 32 bytes"),
        ({**P256, "y": b64(bytes(33))}, "must be base64url of 32 bytes"),
        ({**P256, "x": "*"}, "must be base64url of 32 bytes"),
        ({**P256, "y": "*"}, "must be base64url of 32 bytes"),
        ({**P256, "y": b64(bytes(32))}, "not on the curve"),
        ({**ED25519, "crv": "Ed448"}, "crv 'Ed448' is not Ed25519"),
        ({**ED25519, "x": b64(bytes(31))}, "must be base64url of 32 bytes"),
        ({**ED25519, "x": "*"}, "must be base64url of 32 bytes"),
    ],
)
def test_a_weak_or_foreign_key_is_named_and_not_used(jwk: dict[str, Any], part: str) -> None:
    found = read_jwk(jwk, secrets=True)
    assert isinstance(found, Unusable)
    assert part in found.reason
    assert len(found.reason) < 120
    assert not found.malformed


@pytest.mark.parametrize(
    ("jwk", "part"),
    [
        (None, "not a JSON object"),
        (5, "not a JSON object"),
        ([RSA], "not a JSON object"),
        ({}, "kty None is not one of RSA, EC, OKP, oct"),
        ({"kty": "rsa"}, "kty 'rsa' is not one of"),
        ({"kty": ["RSA"]}, "kty ['RSA'] is not one of"),
        ({"kty": "x" * 1000}, "kty 'xxx"),
        ({"kty": "RSA", "n": "AQAB"}, "'e' is missing or not text"),
        ({**RSA, "n": 5}, "'n' is missing or not text"),
        ({"kty": "EC", "x": "", "y": ""}, "'crv' is missing"),
        ({"kty": "OKP", "crv": "Ed25519"}, "'x' is missing"),
        ({"kty": "oct"}, "'k' is missing"),
        ({**RSA, "kid": 5}, "'kid' is not text"),
        ({**RSA, "use": None}, "'use' is not text"),
        ({**RSA, "alg": []}, "'alg' is not text"),
        ({**RSA, "key_ops": "verify"}, "'key_ops' is not a list of texts"),
        ({**RSA, "key_ops": [1]}, "'key_ops' is not a list of texts"),
    ],
)
def test_what_is_no_jwk_is_malformed(jwk: object, part: str) -> None:
    found = read_jwk(jwk, secrets=True)
    assert isinstance(found, Unusable)
    assert part in found.reason
    assert len(found.reason) < 120
    assert found.malformed


def test_a_secret_that_anybody_can_fetch_is_none() -> None:
    jwk = key("secret").jwk
    assert algorithms(jwk, secrets=False) == "a secret in a fetched key set is not used"
    assert algorithms(jwk, secrets=True) == {"HS256", "HS384", "HS512"}


def test_a_key_keeps_its_name_and_an_empty_name_is_none() -> None:
    named, nameless = read_jwk(RSA, secrets=False), read_jwk({**RSA, "kid": ""}, secrets=False)
    assert isinstance(named, VerificationKey)
    assert isinstance(nameless, VerificationKey)
    assert (named.kid, nameless.kid) == ("rsa", None)


def test_a_private_key_is_told_from_a_public_one() -> None:
    assert not is_private(RSA)
    assert is_private({**RSA, "d": "AQ"})
    assert is_private(key("secret").jwk)
    assert not is_private(5)


@pytest.mark.parametrize("alg", sorted(RSA_ALGORITHMS))
def test_rsa_signatures(alg: str) -> None:
    verify_both(RSA, alg, key("rsa").sign(alg, b"signed"))


@pytest.mark.parametrize("name", ["p256", "p384", "p521", "ed25519"])
def test_curve_signatures(name: str) -> None:
    verify_both(key(name).jwk, key(name).alg, key(name).sign(key(name).alg, b"signed"))


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_hmac_signatures(alg: str) -> None:
    verify_both(key("secret").jwk, alg, key("secret").sign(alg, b"signed"))


def verify_both(jwk: dict[str, Any], alg: str, signature: bytes) -> None:
    """The signature holds for its bytes; no other length, byte or text does."""
    made = read_jwk(jwk, secrets=True)
    assert isinstance(made, VerificationKey)
    verify = made.verifiers[alg]
    assert verify(signature, b"signed")
    assert not verify(signature, b"signee")
    for wrong in (
        b"",
        signature[:-1],
        signature + b"\0",
        b"\0" + signature,
        signature[:-1] + bytes([signature[-1] ^ 1]),
        bytes([signature[0] ^ 1]) + signature[1:],
        bytes(len(signature)),
        b"\xff" * len(signature),
    ):
        assert not verify(wrong, b"signed")


def test_one_rsa_scheme_does_not_verify_another() -> None:
    made = read_jwk(RSA, secrets=False)
    assert isinstance(made, VerificationKey)
    for alg in RSA_ALGORITHMS:
        signature = key("rsa").sign(alg, b"signed")
        assert {
            name for name, verify in made.verifiers.items() if verify(signature, b"signed")
        } == {alg}
