"""
A real Envoy asks each engine, as Envoys are configured: more calls than any window or table holds.

Two traps of HTTP/2 in front of Envoy are here (`test_envoy_drain.py` has the third); each is shown
to fail without its mend.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    Http2ProtocolOptions,
    KeepaliveSettings,
    TransportSocket,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    TlsCertificate,
    UpstreamTlsContext,
)

from deploy.local.bootstrap import tls_socket
from deploy.local.certificates import Authority, Files, Identity
from deploy.local.ports import reserved
from tests.integration.hammer import Hammer
from tests.integration.toll_front import PADDING_HEADER, Front, RunningFront, running_fronts
from tests.integration.toll_process import toll_server
from tests.integration.toll_server import SEEN, TABLE_SIZE, WINDOW_UPDATE

CALLS = 1_200
SMALL = 65_535
WIDE = 8_000
"""Bytes of a wide request: the connection's window holds some fifty."""

KEEPALIVE = KeepaliveSettings(interval=timedelta(milliseconds=100), timeout=timedelta(seconds=10))
SMALL_WINDOWS = Http2ProtocolOptions(
    initial_stream_window_size=SMALL, initial_connection_window_size=SMALL
)
NO_TABLE = Http2ProtocolOptions(hpack_table_size=0)
FRONTS = {
    "plain": {},
    "google": {"google": True},
    "no-table": {"http2": NO_TABLE},
    "keepalive": {"http2": Http2ProtocolOptions(connection_keepalive=KEEPALIVE)},
    "small-windows": {"http2": SMALL_WINDOWS},
    "no-huffman": {"http2": Http2ProtocolOptions(enable_huffman_encoding=False)},
    "otel": {"tracing": "otel"},
    "zipkin": {"tracing": "zipkin"},
}
TRACED = {"otel": "traceparent", "zipkin": "x-b3-traceid"}


@pytest.fixture(scope="module", params=["fast", "grpcio"])
def fronts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningFront]:
    """One server of the engine, and an Envoy with a front for each way to call it."""
    folder = tmp_path_factory.mktemp(f"envoy-{request.param}")
    with ExitStack() as stack:
        plain, secret = stack.enter_context(reserved(2))
        transport = {"TRANSPORT": request.param}
        stack.enter_context(toll_server(folder, plain, transport))
        authority = Authority(folder)
        server, client = (authority.issue(Identity("toll", name)) for name in ("server", "envoy"))
        mutual = {
            "GRPC_SERVER_USE_TLS": "true",
            "GRPC_SERVER_TLS_CERT": str(server.certificate),
            "GRPC_SERVER_TLS_KEY": str(server.key),
            "GRPC_CLIENT_TLS_CACERT": str(authority.path),
            "GRPC_CLIENT_TLS_SAN": Identity("toll", "envoy").spiffe_id,
        }
        stack.enter_context(toll_server(folder, secret, {**transport, **mutual}))
        variants = [Front(name=name, servers=[plain], **more) for name, more in FRONTS.items()]
        variants.append(Front(name="mutual-tls", servers=[secret], tls=_tls(client)))
        yield stack.enter_context(running_fronts(folder, variants))


def _tls(files: Files) -> TransportSocket:
    return tls_socket(
        UpstreamTlsContext(
            common_tls_context=CommonTlsContext(
                tls_certificates=[
                    TlsCertificate(
                        certificate_chain=DataSource(filename=str(files.certificate)),
                        private_key=DataSource(filename=str(files.key)),
                    )
                ],
                validation_context=CertificateValidationContext(
                    trusted_ca=DataSource(filename=str(files.authority))
                ),
            )
        )
    )


@pytest.mark.parametrize("name", [*FRONTS, "mutual-tls"])
async def test_envoy_calls_over_one_connection_and_not_one_fails(
    fronts: RunningFront, name: str
) -> None:
    hammer = Hammer(fronts.ports[name])
    await hammer.send(CALLS)
    assert hammer.failed == 0
    if name != "google":  # which keeps no such count
        assert fronts.stat(f"cluster.toll-{name}.upstream_cx_total") == 1
    seen = hammer.head.lower().partition(SEEN.encode() + b": ")[2].partition(b"\r\n")[0]
    assert TRACED.get(name, "x-forwarded-for" if name != "google" else "user-agent") in (
        seen.decode().split(",")
    )


@contextmanager
def one_front(folder: Path, less: list[str], **more: object) -> Iterator[RunningFront]:
    """A fast engine with a mend left out, behind an Envoy."""
    settings = {"TRANSPORT": "fast", "GRPC_MAX_MESSAGE_BYTES": str(SMALL)}
    with (
        reserved(1) as (port,),
        toll_server(folder, port, settings, *less),
        running_fronts(folder, [Front(name="one", servers=[port], **more)]) as front,
    ):
        yield front


@pytest.mark.parametrize("less", [[], [WINDOW_UPDATE]])
async def test_trap_1_what_envoy_has_sent_is_given_back_to_its_window(
    tmp_path: Path, less: list[str]
) -> None:
    """
    Ten megabytes of requests over one connection, many times what its window holds.

    A server that never sends WINDOW_UPDATE for the connection stalls Envoy for ever and without a
    word: each call then ends at its timeout, and Envoy does not replace the connection.
    """
    with one_front(tmp_path, less, timeout=timedelta(seconds=2)) as front:
        hammer = Hammer(front.ports["one"], {PADDING_HEADER: "x" * WIDE})
        await hammer.send(CALLS)
        assert front.stat("cluster.toll-one.upstream_cx_total") == 1
    if less:
        assert hammer.failed > 0
        assert hammer.answers[200] < 100
    else:
        assert hammer.failed == 0


@pytest.mark.parametrize("less", [[], [TABLE_SIZE]])
async def test_trap_2_an_envoy_without_a_header_table_understands_the_answers(
    tmp_path: Path, less: list[str]
) -> None:
    """
    `hpack_table_size: 0`: our first header block has to begin with a size update (RFC 7541, 4.2).

    An answer without it is a COMPRESSION_ERROR: Envoy says GOAWAY and every request fails.
    """
    with one_front(tmp_path, less, http2=NO_TABLE) as front:
        hammer = Hammer(front.ports["one"])
        await hammer.send(CALLS)
    if less:
        assert hammer.failed > 0
        assert hammer.answers[200] < CALLS // 100
    else:
        assert hammer.failed == 0
