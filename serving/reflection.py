"""
gRPC server reflection: a client learns the services and messages from the server itself.

The same messages under two package names, v1 and v1alpha, because clients still ask for either
(grpc/grpc, doc/server-reflection.md).
"""

from collections.abc import AsyncIterator, Iterable

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.message import DecodeError

from protos.reflection_v1_pb2 import ServerReflectionRequest, ServerReflectionResponse
from serving.call import Call, InvalidArgument, MethodTable, Status, Streaming

METHODS = (
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


def reflection(served: Iterable[str]) -> MethodTable:
    """
    The reflection methods of a server.

    Args:
        served: the method paths of its other services.
    """
    services = sorted({path.split("/")[1] for path in (*served, *METHODS)})

    async def info(requests: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        async for body in requests:
            try:
                request = ServerReflectionRequest.FromString(body)
            except DecodeError as error:
                raise InvalidArgument("not a ServerReflectionRequest") from error
            yield _answer(request, services).SerializeToString()

    return {path: Streaming(info) for path in METHODS}


def _answer(request: ServerReflectionRequest, services: Iterable[str]) -> ServerReflectionResponse:
    response = ServerReflectionResponse(valid_host=request.host, original_request=request)
    pool = descriptor_pool.Default()
    try:
        if request.HasField("list_services"):
            for name in services:
                response.list_services_response.service.add(name=name)
        elif request.HasField("file_by_filename"):
            _describe(pool.FindFileByName(request.file_by_filename), response)
        elif request.HasField("file_containing_symbol"):
            _describe(pool.FindFileContainingSymbol(request.file_containing_symbol), response)
        else:
            response.error_response.error_code = Status.UNIMPLEMENTED
            response.error_response.error_message = "extensions are not described"
    except KeyError as error:
        response.error_response.error_code = Status.NOT_FOUND
        response.error_response.error_message = str(error.args[0])
    return response


def _describe(file: FileDescriptor, response: ServerReflectionResponse) -> None:
    """The file and all it imports, so that a client needs no second question."""
    seen: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        each = waiting.pop()
        if each.name not in seen:
            seen[each.name] = each.serialized_pb
            waiting.extend(each.dependencies)
    response.file_descriptor_response.file_descriptor_proto.extend(seen.values())
