"""The ``runbus`` command. Subcommands are imported when they are used, so that each starts in a tenth of a second."""

from __future__ import annotations

import sys

import click

from runbus.cli import exits
from runbus.cli.context import LazyGroup, Options
from schemas.version import VERSION

SECTIONS = {
    "Work": {
        "run": ("runbus.cli.run:run", "Run a command line or a script on a runner."),
        "job": ("runbus.cli.groups:job", "Store, show and run jobs."),
        "execution": ("runbus.cli.groups:execution", "Find, show, follow and abort executions."),
    },
    "Runners, nodes, keys and projects": {
        "runner": ("runbus.cli.groups:runner", "Start runners; list, ping, tag and drain them."),
        "nodes": ("runbus.cli.groups:nodes", "Load, list and filter the nodes of a project."),
        "keys": ("runbus.cli.groups:keys", "List keys by path; store those of the centre."),
        "project": ("runbus.cli.groups:project", "Create, list and set up projects."),
    },
    "Operation": {
        "up": ("runbus.cli.up:up", "Start NATS, the services and a Local Runner on this machine."),
        "demo": ("runbus.cli.demo:demo", "Show what Runbus does, in a minute."),
        "service": ("runbus.cli.groups:service", "Run one service in the foreground."),
        "contract": ("runbus.cli.contract:contract", "Print the contract: subjects and messages."),
    },
}


@click.command(cls=LazyGroup, sections=SECTIONS, epilog="'runbus COMMAND --help' tells more of each.",
               context_settings={"help_option_names": ["-h", "--help"]})  # fmt: skip
@click.version_option(VERSION, prog_name="runbus", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Runbus runs jobs inside networks that nothing can dial into, over a NATS bus."""
    ctx.ensure_object(Options)


def main() -> None:
    """Entry point."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Carry one command line out and return its exit code; whatever goes wrong is told in a sentence."""
    options = Options()
    try:
        return int(cli.main(arguments, prog_name="runbus", standalone_mode=False, obj=options) or exits.OK)
    except click.ClickException as error:
        error.show()
        return exits.USAGE if isinstance(error, click.UsageError) else exits.ERROR
    except click.Abort:
        return exits.ABORTED
    except Exception as error:  # noqa: BLE001  (the last resort: nobody is served by a traceback)
        from runbus.cli.failure import report  # noqa: PLC0415  (only where something went wrong)

        return report(error, options)
