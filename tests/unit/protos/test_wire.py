"""
Our trimmed messages are Envoy's: the witness is envoy-data-plane, generated from the full API.

Both speak protobuf's JSON form, which names each field; so what one encodes can be compared with
what the other decodes without any code of ours in between.
"""

from collections.abc import Iterator
from typing import Any

import envoy_data_plane.envoy.config.core.v3
import envoy_data_plane.envoy.extensions.common.ratelimit.v3
import envoy_data_plane.envoy.service.auth.v3
import envoy_data_plane.envoy.service.ratelimit.v3
import envoy_data_plane.envoy.type.v3  # noqa: F401 - each import fills the message pool
import pytest
from betterproto2 import FieldMetadata
from betterproto2 import Message as Witness
from envoy_data_plane.message_pool import default_message_pool
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import protos.common_ratelimit_v3_pb2
import protos.config_core_v3_pb2
import protos.rpc_status_pb2
import protos.service_auth_v3_pb2
import protos.service_ratelimit_v3_pb2
import protos.type_v3_pb2
from protos.generate import HERE

FILES = (
    protos.common_ratelimit_v3_pb2,
    protos.config_core_v3_pb2,
    protos.rpc_status_pb2,
    protos.service_auth_v3_pb2,
    protos.service_ratelimit_v3_pb2,
    protos.type_v3_pb2,
)

TYPES = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_MESSAGE: "message",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_UINT32: "uint32",
}

# Envoy deprecates it; we send it beside its successor, for releases that read only one of the two.
pytestmark = pytest.mark.filterwarnings("ignore:HeaderValueOption.append is deprecated")

Pair = tuple[Descriptor, FieldDescriptor]


def with_nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            yield from with_nested(nested)


MESSAGES: list[Descriptor] = [
    message
    for file in FILES
    for top in file.DESCRIPTOR.message_types_by_name.values()
    for message in with_nested(top)
]
FIELDS: list[Pair] = [(message, field) for message in MESSAGES for field in message.fields]

every_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda each: each.full_name)
every_field = pytest.mark.parametrize(
    ("message", "field"), FIELDS, ids=lambda each: getattr(each, "full_name", None)
)


def witness_of(message: Descriptor) -> type[Witness]:
    url = f"type.googleapis.com/{message.full_name}"
    return default_message_pool.url_to_type[url]


def full_name(witness: type[Witness]) -> str:
    return default_message_pool.type_to_url[witness].rpartition("/")[2]


def their_field(message: Descriptor, field: FieldDescriptor) -> tuple[str, FieldMetadata, Any]:
    """Their field of the same number: its name, what they know of it, the class of its values."""
    theirs: Any = witness_of(message)._betterproto  # type: ignore[arg-type]
    name = theirs.field_name_by_number[field.number]
    meta = theirs.meta_by_field_name[name]
    return name, meta, meta.unwrap() if meta.unwrap else theirs.cls_by_field[name]


def map_entry(field: FieldDescriptor) -> Descriptor | None:
    """The message of key and value that a map is on the wire."""
    entry = field.message_type
    return entry if entry is not None and entry.GetOptions().map_entry else None


def test_no_file_of_ours_is_forgotten_here() -> None:
    """gRPC's own services are not in the full API; they have tests of their own."""
    tested = {file.DESCRIPTOR.name.removeprefix("protos/") for file in FILES}
    assert tested == {
        path.name for path in HERE.glob("*.proto") if "package grpc." not in path.read_text()
    }


@every_field
def test_a_field_has_the_number_name_and_type_of_envoy_s(
    message: Descriptor, field: FieldDescriptor
) -> None:
    name, theirs, kind = their_field(message, field)
    assert name.rstrip("_") == field.name
    if entry := map_entry(field):
        assert theirs.proto_type == "map"
        assert theirs.map_meta is not None
        assert [TYPES[each.type] for each in entry.fields] == [
            each.proto_type for each in theirs.map_meta
        ]
        return
    assert TYPES[field.type] == theirs.proto_type
    assert field.is_repeated == theirs.repeated
    oneof = field.containing_oneof
    assert (oneof.name if oneof else None) == theirs.group
    if field.message_type is not None:
        assert full_name(kind) == field.message_type.full_name


def enums() -> dict[str, tuple[EnumDescriptor, Any]]:
    """Full name → our enum and theirs, for each enum that a field has."""
    found = {}
    for message, field in FIELDS:
        if field.enum_type is not None:
            _, _, theirs = their_field(message, field)
            found[field.enum_type.full_name] = (field.enum_type, theirs)
    return found


@pytest.mark.parametrize("name", enums())
def test_an_enum_s_names_and_numbers_are_envoy_s(name: str) -> None:
    ours, theirs = enums()[name]
    numbers = {value.name: value.number for value in ours.values}
    full = {value.name: value.value for value in theirs}
    assert numbers.items() <= full.items()
    if name != "envoy.type.v3.StatusCode":  # the only one of which we name but a part
        assert numbers == full


def test_the_units_of_a_limit_have_a_week_after_the_year() -> None:
    unit = protos.service_ratelimit_v3_pb2.RateLimitResponse.RateLimit.Unit
    assert (unit.YEAR, unit.WEEK) == (6, 7)


def value_of(field: FieldDescriptor, depth: int) -> Any:
    """A value in JSON form that no field has by default."""
    if field.message_type is not None:
        return message_value(field.message_type, depth)
    if field.enum_type is not None:
        return field.enum_type.values[-1].name
    values: dict[int, Any] = {
        FieldDescriptor.TYPE_BOOL: True,
        FieldDescriptor.TYPE_BYTES: "AP/+",
        FieldDescriptor.TYPE_INT32: -7,
        FieldDescriptor.TYPE_INT64: str(-(2**62)),
        FieldDescriptor.TYPE_STRING: f"{field.name} ✓",
        FieldDescriptor.TYPE_UINT32: 2**32 - field.number,
    }
    return values[field.type]


WELL_KNOWN: dict[str, Any] = {
    "google.protobuf.BoolValue": True,
    "google.protobuf.Duration": "90.500s",
    "google.protobuf.Struct": {"a": [1.0, None, True, {"b": "c"}]},
    "google.protobuf.Timestamp": "2030-01-02T03:04:05.600Z",
    "google.protobuf.UInt64Value": str(2**63),
}


def message_value(message: Descriptor, depth: int) -> Any:
    """Every field set, one field of each oneof."""
    if message.full_name in WELL_KNOWN:
        return WELL_KNOWN[message.full_name]
    if depth == 0:
        return {}
    seen: set[str] = set()
    value = {}
    for field in message.fields:
        oneof = field.containing_oneof
        if oneof is None or oneof.name not in seen:
            value[field.json_name] = field_value(field, depth - 1)
        if oneof is not None:
            seen.add(oneof.name)
    return value


def field_value(field: FieldDescriptor, depth: int) -> Any:
    if entry := map_entry(field):
        value = value_of(entry.fields_by_number[2], depth)
        return {"one": value, "two": value}
    value = value_of(field, depth)
    return [value, value] if field.is_repeated else value


def ours_of(message: Descriptor) -> type[Message]:
    kind: type[Message] = GetMessageClass(message)
    return kind


def as_json(message: Message) -> Any:
    return json_format.MessageToDict(message)


@every_field
def test_a_field_that_the_full_api_encodes_is_what_we_decode(
    message: Descriptor, field: FieldDescriptor
) -> None:
    value = {field.json_name: field_value(field, depth=6)}
    encoded = bytes(witness_of(message).from_dict(value))
    decoded = ours_of(message).FromString(encoded)
    assert [each.name for each, _ in decoded.ListFields()] == [field.name]
    assert as_json(decoded) == value


@every_field
def test_a_field_that_we_encode_is_what_the_full_api_decodes(
    message: Descriptor, field: FieldDescriptor
) -> None:
    value = {field.json_name: field_value(field, depth=6)}
    encoded = json_format.ParseDict(value, ours_of(message)()).SerializeToString()
    assert witness_of(message).parse(encoded) == witness_of(message).from_dict(value)


@every_message
def test_a_message_with_everything_set_survives_both_ways(message: Descriptor) -> None:
    value = message_value(message, depth=8)
    ours = json_format.ParseDict(value, ours_of(message)())
    theirs = witness_of(message).parse(ours.SerializeToString())
    assert theirs == witness_of(message).from_dict(value)
    assert ours_of(message).FromString(bytes(theirs)) == ours


UNKNOWN = bytes.fromhex(
    "c03e 05"  # field 1000, varint
    "c93e 0102030405060708"  # field 1001, 64 bits
    "d23e 03 616263"  # field 1002, length-delimited
    "dd3e 01020304"  # field 1003, 32 bits
)


@every_message
def test_fields_of_a_later_api_are_carried_along(message: Descriptor) -> None:
    value = message_value(message, depth=8)
    known = json_format.ParseDict(value, ours_of(message)())
    decoded = ours_of(message).FromString(UNKNOWN + known.SerializeToString())
    assert as_json(decoded) == value
    in_order = known.SerializeToString(deterministic=True)  # a map has no order of its own
    assert decoded.SerializeToString(deterministic=True) == in_order + UNKNOWN


def test_what_we_trimmed_is_ignored_when_we_read_and_still_there_when_we_write() -> None:
    from envoy_data_plane.envoy.config.core import v3 as core
    from envoy_data_plane.envoy.service.ratelimit import v3 as full

    theirs = full.RateLimitResponse(
        overall_code=full.RateLimitResponseCode.OVER_LIMIT,
        quota=full.RateLimitResponseQuota(requests=5, id="q"),
    )
    ours = protos.service_ratelimit_v3_pb2.RateLimitResponse.FromString(bytes(theirs))
    assert as_json(ours) == {"overallCode": "OVER_LIMIT"}
    assert full.RateLimitResponse.parse(ours.SerializeToString()) == theirs

    address = core.SocketAddress(address="10.0.0.1", named_port="http", ipv4_compat=True)
    socket = protos.config_core_v3_pb2.SocketAddress.FromString(bytes(address))
    assert as_json(socket) == {"address": "10.0.0.1"}
    assert socket.WhichOneof("port_specifier") is None


def test_a_status_code_that_we_do_not_name_is_kept_as_its_number() -> None:
    from envoy_data_plane.envoy.type import v3 as full

    theirs = full.HttpStatus(code=full.StatusCode.LoopDetected)
    ours = protos.type_v3_pb2.HttpStatus.FromString(bytes(theirs))
    assert ours.code == 508
    assert full.HttpStatus.parse(ours.SerializeToString()) == theirs
