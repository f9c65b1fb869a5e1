"""
Services that do not do what they should, for wirings to meet.

    python -m tests.integration.bad_service KIND PORT

KIND: `slow` takes connections and never answers; `noise` answers bytes that are no HTTP/2;
`garbage` is a gRPC server whose answers are no messages of anybody's.
"""

import asyncio
import sys
from concurrent import futures

import grpc

NOISE = b"\x00\xff" * 4_000
GARBAGE = b"\xff" * 64


class Nonsense(grpc.GenericRpcHandler):
    """Answers every method with bytes that no protobuf reader takes."""

    def service(self, _: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        return grpc.unary_unary_rpc_method_handler(lambda _, __: GARBAGE)


def garbage(port: int) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Nonsense(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


async def _answer(kind: str, port: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if kind == "noise":
            writer.write(NOISE)
        while await reader.read(65_536):
            pass
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "garbage":
        garbage(int(sys.argv[2]))
    else:
        asyncio.run(_answer(sys.argv[1], int(sys.argv[2])))
