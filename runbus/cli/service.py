"""``runbus service`` and ``runbus runner start``: services in the foreground. Each imports only what it runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from bus.lifecycle import run_configured
from bus.settings import load
from runbus.cli.context import Options, ServiceCommand
from runbus.cli.values import DURATION, names_of, tags_of
from schemas.errors import RunbusError
from schemas.tokens import tag

F = TypeVar("F", bound=Callable[..., Any])


def _options_of_services(command: F) -> F:
    options = (
        click.option("--connect-wait", "connect_wait_s", type=DURATION, help="Wait so long for NATS.  [30s]"),
        click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), metavar="LEVEL",
                     help="debug, info, warning or error.  [info]"),
        click.option("--log-format", type=click.Choice(["auto", "console", "json"]), metavar="FORM",
                     help="console, json or auto: console on a terminal, else JSON lines.  [auto]"),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


_REPLICAS = click.option(
    "--replicas", type=click.IntRange(1, 5), metavar="N", help="Copies of streams and buckets, 1 to 5.  [1]"
)
_ACK_WAIT = click.option("--ack-wait", "ack_wait_s", type=DURATION, help="Lease of an assignment.  [30s]")


@click.command(cls=ServiceCommand)
@_REPLICAS
@click.option("--beat-interval", "beat_interval_s", type=DURATION, help="Runners beat so often.  [5s]")
@click.option("--unknown-after", "unknown_after_s", type=DURATION, help="Silent so long: no new work.  [30s]")
@click.option("--down-after", "down_after_s", type=DURATION, help="Silent so long: Down.  [2m]")
@_options_of_services
@click.pass_context
def registry(ctx: click.Context, /, **given: Any) -> None:
    """Run a registry: it knows the runners and projects."""
    from services.registry.app import NAME, run  # noqa: PLC0415  (each service imports only its own)
    from services.registry.settings import RegistrySettings  # noqa: PLC0415

    ctx.exit(run_configured(NAME, lambda: _settings(ctx, RegistrySettings, given), run, use_uvloop=True))


@click.command(cls=ServiceCommand)
@_REPLICAS
@_options_of_services
@click.pass_context
def nodesource(ctx: click.Context, /, **given: Any) -> None:
    """Run a nodesource: it knows the nodes of each project."""
    from services.nodesource.app import NAME, run  # noqa: PLC0415
    from services.nodesource.settings import NodesourceSettings  # noqa: PLC0415

    ctx.exit(run_configured(NAME, lambda: _settings(ctx, NodesourceSettings, given), run, use_uvloop=True))


@click.command(cls=ServiceCommand)
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where its keys are kept.  [runbus-data]")
@click.option("--master-key-file", type=click.Path(dir_okay=False), metavar="FILE",
              help="What encrypts them.  [DATA-DIR/master.key, made]")  # fmt: skip
@_REPLICAS
@_options_of_services
@click.pass_context
def keyproxy(ctx: click.Context, /, **given: Any) -> None:
    """Run a keyproxy: it keeps the centre's keys, and asks runners for theirs."""
    from services.keyproxy.app import NAME, run  # noqa: PLC0415
    from services.keyproxy.settings import KeyproxySettings  # noqa: PLC0415

    ctx.exit(run_configured(NAME, lambda: _settings(ctx, KeyproxySettings, given), run, use_uvloop=True))


@click.command(cls=ServiceCommand)
@click.option("--data-dir", type=click.Path(file_okay=False), help="Where its ledger is kept.  [runbus-data]")
@_REPLICAS
@_ACK_WAIT
@_options_of_services
@click.pass_context
def dispatcher(ctx: click.Context, /, **given: Any) -> None:
    """Run a dispatcher: it takes runs, and hands them to runners."""
    from services.dispatcher.app import NAME, run  # noqa: PLC0415
    from services.dispatcher.settings import DispatcherSettings  # noqa: PLC0415

    ctx.exit(run_configured(NAME, lambda: _settings(ctx, DispatcherSettings, given), run, use_uvloop=True))


@click.command("start", cls=ServiceCommand)
@click.option("--id", "runner_id", metavar="ID", help="Its id, unique on the bus.  [env: RUNBUS_RUNNER_ID; required]")
@click.option("--tags", multiple=True, metavar="A,B", help="Tags it bears.  [env: RUNBUS_RUNNER_TAGS]")
@click.option("--project", "projects", multiple=True, metavar="P",
              help="Projects it works for; may be repeated, or several with commas.  [default]")  # fmt: skip
@click.option("--local", "runner_local", is_flag=True, default=None, help="Be the Local Runner.")
@click.option("--as-node", "runner_as_node", is_flag=True, default=None, help="Be a node of its projects, too.")
@click.option("--max-running", type=click.IntRange(1), metavar="N", help="Carry out so many at a time.  [50]")
@click.option("--work-dir", type=click.Path(file_okay=False), help="Where executions get their directories.")
@click.option("--grace", "grace_s", type=DURATION, help="Between SIGTERM and SIGKILL.  [5s]")
@click.option("--drain", "drain_s", type=DURATION, help="A stop waits so long for what runs.  [10m]")
@_ACK_WAIT
@_options_of_services
@click.pass_context
def runner_start(ctx: click.Context, /, tags: tuple[str, ...], projects: tuple[str, ...], **given: Any) -> None:
    """Run a runner in the foreground: it takes the work of its tags. SIGTERM or Ctrl-C drains it."""
    from services.runner.app import NAME, run  # noqa: PLC0415
    from services.runner.settings import RunnerSettings  # noqa: PLC0415

    if given["runner_id"] is None and "RUNBUS_RUNNER_ID" not in os.environ:
        raise click.UsageError("Missing option '--id': every runner has an id of its own.")
    given["runner_tags"] = _tags(tags)
    given["runner_projects"] = _projects(ctx, projects)
    ctx.exit(run_configured(NAME, lambda: _settings(ctx, RunnerSettings, given), run, use_uvloop=False))


def _tags(given: tuple[str, ...]) -> str | None:
    """As the settings take them. A doubled separator is refused here: the settings would pass it over."""
    try:
        return ",".join(tag(each) for text in given for each in tags_of(text)) if given else None
    except RunbusError as error:
        raise click.UsageError(f"--tags: {error.message}") from None


def _projects(ctx: click.Context, given: tuple[str, ...]) -> str | None:
    """Those given here, else the one given to ``runbus``, else RUNBUS_RUNNER_PROJECTS, else RUNBUS_PROJECT."""
    shared = (ctx.find_object(Options) or Options()).project
    if given or shared:
        return ",".join(names_of(given)) or shared
    return None if "RUNBUS_RUNNER_PROJECTS" in os.environ else os.environ.get("RUNBUS_PROJECT")


S = TypeVar("S")


def _settings(ctx: click.Context, settings_type: type[S], given: dict[str, Any]) -> S:
    shared = ctx.find_object(Options) or Options()
    return load(settings_type, os.environ, nats_url=shared.nats_url, prefix=shared.prefix, **given)
