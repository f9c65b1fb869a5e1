"""`python -m authz serve` and `python -m authz check FILES…`: the composition root."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from authz.codec import Wire
from authz.keys.key_fetch import KeyFetcher
from authz.keys.key_ring import KeyRing
from authz.policies.policy import TrustDomains, compile_policy
from authz.policy_file import PolicyConfiguration, find_policy_files, read_policies, select
from authz.service import AuthorizationService, Documents
from authz.settings import Settings
from authz.statistics import Statistics
from authz.tokens.authenticate import Authenticator
from serving.admin import admin_port
from serving.command import run
from serving.engines import listening
from serving.health import Health
from serving.logs import configure_logs
from serving.process import background, drain, signalled
from serving.reload import File, Reload, read_files
from serving.settings import read_settings, shown_settings

log = structlog.get_logger()


async def serve(settings: Settings) -> None:
    """Start in this order, wait for SIGTERM or SIGINT, stop in reverse."""
    log.info("starting", **shown_settings(settings))
    health = Health("envoy.service.auth.v3.Authorization")
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:

        def report_keys() -> None:
            lacking = {source.shown: reason for source, reason in keys.unready().items()}
            reason = "; ".join(f"{source}: {why}" for source, why in lacking.items())
            # Advisory: requests that need no key of that issuer are still judged.
            health.report("keys", ready=not lacking, reason=reason, advisory=True)

        keys = KeyRing(KeyFetcher(allow_http=settings.jwks_allow_http), changed=report_keys)
        await stack.enter_async_context(background(keys.run()))
        statistics = Statistics(lambda: keys.fetches)
        registry.register(statistics)
        wire = Wire(settings.xff_num_trusted_hops)
        service = AuthorizationService(wire, time.time, statistics)

        def publish(configuration: PolicyConfiguration) -> None:
            for ignored in configuration.ignored:
                log.warning("document ignored", document=str(ignored))
            service.publish(compiled(configuration, settings, keys))

        policies = Reload(
            "policies",
            lambda: find_policy_files(settings.policy_paths),
            partial(read_policies, allow_http=settings.jwks_allow_http),
            publish,
            health,
            registry,
        )
        policies.load()
        await stack.enter_async_context(background(policies.watch(settings.policy_paths)))
        admin = await stack.enter_async_context(
            admin_port(settings.admin_host, settings.admin_port, health, registry)
        )
        engine, address = await stack.enter_async_context(
            listening(settings, settings.grpc_port, service.methods(), health, registry)
        )
        log.info("serving", grpc=address, admin_port=admin)
        log.info("stopping", signal=await signalled())
        await drain(
            engine,
            health,
            delay_seconds=settings.drain_delay_seconds,
            timeout_seconds=settings.drain_timeout_seconds,
        )


def compiled(configuration: PolicyConfiguration, settings: Settings, keys: KeyRing) -> Documents:
    """Everything that governs the workload, compiled; its key sets are asked for."""
    workload = settings.workload
    governing = select(configuration, workload)
    rules = [rule for each in governing.request_authentications for rule in each.jwt_rules]
    keys.use(rules)
    trust = TrustDomains(settings.trust_domain, settings.trust_domain_aliases)
    return Documents(
        Authenticator(rules, keys, settings.jwt_leeway_seconds),
        compile_policy(configuration, workload, trust),
    )


def checked(settings: Settings, paths: Sequence[Path]) -> str:
    """Read policies as `serve` would; says what was found and what was ignored, and why."""
    missing = [path for path in paths if not path.exists()]  # legal to `serve`, a typo here
    files: Sequence[File] = read_files([*find_policy_files(paths), *missing])
    configuration = read_policies(files, allow_http=settings.jwks_allow_http)
    lines = [f"ignored: {problem}" for problem in configuration.ignored]
    policies = len(configuration.authorization_policies)
    authentications = len(configuration.request_authentications)
    summary = f"ok: {policies} AuthorizationPolicy, {authentications} RequestAuthentication"
    return "\n".join([*lines, summary])


def main(arguments: list[str]) -> int:
    """Exit status: 0 done, 1 a configuration is refused or an address is taken, 2 usage."""

    def start() -> None:
        settings = read_settings(Settings, os.environ)
        configure_logs(settings.log_level, settings.log_format, "authz")
        uvloop.run(serve(settings))

    def check_files(files: list[Path]) -> str:
        return checked(read_settings(Settings, os.environ), files)

    return run("authz", arguments, start, check_files, Settings)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
