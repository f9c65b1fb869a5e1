"""Whatever the full API can say about our fields, we hear; and the other way round."""

from base64 import b64encode
from typing import Any

import envoy_data_plane.envoy.service.auth.v3 as full_auth
import envoy_data_plane.envoy.service.ratelimit.v3 as full_ratelimit
import pytest
from betterproto2 import Message as Witness
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from protos.service_auth_v3_pb2 import CheckRequest, CheckResponse
from protos.service_ratelimit_v3_pb2 import RateLimitRequest, RateLimitResponse

pytestmark = pytest.mark.filterwarnings("ignore:HeaderValueOption.append is deprecated")

WITNESSES: dict[type[Message], type[Witness]] = {
    CheckRequest: full_auth.CheckRequest,
    CheckResponse: full_auth.CheckResponse,
    RateLimitRequest: full_ratelimit.RateLimitRequest,
    RateLimitResponse: full_ratelimit.RateLimitResponse,
}

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)

WELL_KNOWN: dict[str, st.SearchStrategy[Any]] = {
    "google.protobuf.BoolValue": st.booleans(),
    "google.protobuf.Duration": st.integers(0, 10**9).map(lambda ms: f"{ms / 1000:.3f}s"),
    "google.protobuf.Struct": st.dictionaries(st.text(), JSON, max_size=3),
    "google.protobuf.Timestamp": st.datetimes().map(lambda at: at.isoformat() + "Z"),
    "google.protobuf.UInt64Value": st.integers(0, 2**64 - 1),
}

SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=20),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_STRING: st.text(max_size=20),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
}


def in_json_form(message: Any) -> st.SearchStrategy[Any]:
    """Any subset of the fields, one field of a oneof, any values."""
    if message.full_name in WELL_KNOWN:
        return WELL_KNOWN[message.full_name]
    fields = {field.json_name: values(field) for field in message.fields}
    anything = st.fixed_dictionaries({}, optional=fields)
    for oneof in message.oneofs:
        names = [field.json_name for field in oneof.fields]
        anything = st.tuples(anything, st.sampled_from(names)).map(
            lambda drawn, names=names: {  # type: ignore[misc]
                key: value for key, value in drawn[0].items() if key not in names or key == drawn[1]
            }
        )
    return anything


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return st.dictionaries(
            st.text(max_size=9), single(entry.fields_by_number[2]), min_size=1, max_size=3
        )
    return st.lists(single(field), min_size=1, max_size=3) if field.is_repeated else single(field)


def single(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return st.deferred(lambda: in_json_form(field.message_type))
    if field.enum_type is not None:
        return st.sampled_from([value.name for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return SCALARS[field.type].map(lambda raw: b64encode(raw).decode())
    return SCALARS[field.type]


def messages() -> st.SearchStrategy[tuple[type[Message], Any]]:
    return st.sampled_from(list(WITNESSES)).flatmap(
        lambda kind: st.tuples(st.just(kind), in_json_form(kind.DESCRIPTOR))
    )


@given(messages())
def test_what_the_full_api_encodes_is_what_we_decode(drawn: tuple[type[Message], Any]) -> None:
    kind, value = drawn
    encoded = bytes(WITNESSES[kind].from_dict(value))
    assert kind.FromString(encoded) == json_format.ParseDict(value, kind())


@given(messages())
def test_what_we_encode_is_what_the_full_api_decodes(drawn: tuple[type[Message], Any]) -> None:
    kind, value = drawn
    encoded = json_format.ParseDict(value, kind()).SerializeToString()
    assert WITNESSES[kind].parse(encoded) == WITNESSES[kind].from_dict(value)


@given(st.sampled_from(list(WITNESSES)), st.binary(max_size=60))
def test_bytes_are_a_message_that_can_be_sent_on_or_a_decode_error(
    kind: type[Message], body: bytes
) -> None:
    try:
        message = kind.FromString(body)
    except DecodeError:
        return
    assert kind.FromString(message.SerializeToString()) == message
