"""Asks a Docker engine for its containers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiodocker
import msgspec

from domain.discovery.mapping import Rules, SettingError
from runbus.plugin import Discovered, Node, SourceError, SourceFailure
from services.runner.nodes.docker.client import FAULTS, Engines
from services.runner.nodes.docker.place import Engine
from services.runner.sources.docker import Config
from services.runner.sources.docker.failures import UNFIT, failed, unreadable
from services.runner.sources.docker.filters import FilterError, parse_filter
from services.runner.sources.docker.handshake import refusal
from services.runner.sources.docker.nodes import FACTS, ContainerError, node_of, rules_of

_AT_ONCE: Final = 16
_UNKNOWN: Final = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
_SOCKET: Final = "unix:///var/run/docker.sock"


async def discover(config: Config, env: Mapping[str, str]) -> Discovered:
    """The nodes. Raises :class:`SourceError`."""
    try:
        rules = rules_of(msgspec.structs.asdict(config))
        filters = parse_filter(config.filter)
    except (SettingError, FilterError) as cause:
        raise SourceError(str(cause), reason=SourceFailure.CONFIGURATION) from None
    engine = await asyncio.to_thread(_engine_of, config, env)
    engines = Engines()
    try:
        client = await _client(engines, engine)
        identities = await _listed(client, engine, config, filters)
        nodes = await _inspected(client, engine, identities, rules)
    finally:
        await engines.close()
    warnings = [*rules.warnings(), *_unknown_facts(rules)]
    if config.debug:
        warnings.append(f"debug: {engine.host} listed {len(identities)} containers and described {len(nodes)}")
    return Discovered(nodes=[_usable(node, config) for node in nodes], warnings=warnings)


def _engine_of(config: Config, env: Mapping[str, str]) -> Engine:
    host = (config.docker_host or env.get("DOCKER_HOST") or _SOCKET).strip()
    if not _is_address(host):
        raise SourceError(
            f"docker-host is {host!r}: say unix://PATH or tcp://HOST:PORT", reason=SourceFailure.CONFIGURATION
        )
    if config.docker_cert_path and not Path(config.docker_cert_path).is_dir():
        raise SourceError(
            f"docker-cert-path: the runner has no directory {config.docker_cert_path}; ca.pem, cert.pem and "
            "key.pem are to be there",
            reason=SourceFailure.NOT_FOUND,
        )
    if config.docker_tls_verify and host.startswith("tcp://") and not config.docker_cert_path:
        raise SourceError(
            "docker-tls-verify needs docker-cert-path, a directory with ca.pem, cert.pem and key.pem: without it "
            "the engine is asked in plain text",
            reason=SourceFailure.CONFIGURATION,
        )
    return Engine(
        host=host, cert_path=config.docker_cert_path or None, is_verified=config.docker_tls_verify is not False
    )


def _is_address(host: str) -> bool:
    try:
        parts = urlsplit(host)
        if parts.scheme == "unix":
            return parts.path.startswith("/")
        return bool(parts.hostname) and (
            parts.scheme in {"http", "https"} or bool(parts.port and parts.scheme == "tcp")
        )
    except ValueError:
        return False


async def _client(engines: Engines, engine: Engine) -> aiodocker.Docker:
    try:
        return await engines.client(engine)
    except (OSError, ValueError) as cause:
        raise unreadable(engine, cause) from None


async def _listed(
    client: aiodocker.Docker, engine: Engine, config: Config, filters: Mapping[str, Sequence[str]]
) -> list[str]:
    asked = {"all": "true" if config.all_containers else "false", "filters": json.dumps(filters)}
    try:
        return [container.id for container in await client.containers.list(**asked)]
    except (*FAULTS, *UNFIT) as cause:
        if filters and isinstance(cause, aiodocker.DockerError) and cause.status in _UNKNOWN:
            raise SourceError(
                f"the engine at {engine.host} does not take the filter: {cause.message}",
                reason=SourceFailure.CONFIGURATION,
            ) from None
        raise await _explained(engine, cause) from None


async def _explained(engine: Engine, cause: BaseException) -> SourceError:
    """The error of the first contact."""
    error = failed(engine, cause)
    if engine.cert_path is None or error.reason is not SourceFailure.UNREACHABLE:
        return error
    refused = await refusal(engine)
    told = None if refused is None else failed(engine, refused)
    return told if told is not None and told.reason is SourceFailure.AUTHENTICATION else error


async def _inspected(client: aiodocker.Docker, engine: Engine, identities: Sequence[str], rules: Rules) -> list[Node]:
    """The nodes in the order of the list, without containers that are gone since."""
    found: dict[str, Node] = {}
    left = iter(identities)

    async def work() -> None:
        for identity in left:
            try:
                found[identity] = node_of(rules, await client.containers.container(identity).show())
            except aiodocker.DockerError as cause:
                if cause.status != HTTPStatus.NOT_FOUND:
                    raise

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(identities))):
                group.create_task(work())
    except* (*FAULTS, *UNFIT, ContainerError) as causes:
        first = causes.exceptions[0]
    else:
        return [found[identity] for identity in identities if identity in found]
    raise failed(engine, first)


def _unknown_facts(rules: Rules) -> list[str]:
    unknown = sorted(name for name in rules.facts() - FACTS if name.startswith("docker:"))
    known = ", ".join(sorted(FACTS))
    return [f"containers have no {name!r}; there are {known}, and without docker: every place of docker inspect"
            for name in unknown]  # fmt: skip


def _usable(node: Node, config: Config) -> Node:
    """The node with what it takes to run commands there, unless the settings say otherwise."""
    given = {
        "node-executor": "docker",
        "file-copier": "docker",
        "docker-host": config.docker_host,
        "docker-cert-path": config.docker_cert_path,
        "docker-tls-verify": {None: "", True: "true", False: "false"}[config.docker_tls_verify],
    }
    own = {name: value for name, value in given.items() if value}
    return msgspec.structs.replace(node, attributes=own | node.attributes)
