"""``runbus runner nodes``: which nodes a runner serves where its project dispatches automatically."""

from __future__ import annotations

import click

from runbus.cli.context import Options, SharedCommand
from runbus.cli.render import print_facts, print_json
from runbus.cli.session import Session, connected
from schemas import catalog
from schemas.api import RunnerNodesRequest, RunnerReply, RunnerShowRequest


@click.command(cls=SharedCommand)
@click.argument("name", metavar="ID")
@click.option("--filter", "filter_text", metavar="FILTER", help="Serve the nodes that this filter selects.")
@click.option("--none", "takes_away", is_flag=True, help="Take its filter away: it serves no nodes.")
@click.pass_obj
def nodes(options: Options, name: str, *, filter_text: str | None, takes_away: bool) -> None:
    """Show which nodes a runner serves by project, or say it for the project (automatic dispatch)."""
    if filter_text is not None and takes_away:
        raise click.UsageError("--filter and --none exclude each other: give one of them.")
    asks = filter_text is None and not takes_away

    async def work(session: Session) -> RunnerReply:
        if asks:
            return await session.call(catalog.RUNNER_SHOW, RunnerShowRequest(runner=name))
        request = RunnerNodesRequest(runner=name, project=session.project, filter=filter_text)
        return await session.call(catalog.RUNNER_NODES, request)

    reply = connected(options, work)
    filters = reply.runner.node_filters
    if options.as_json:
        print_json(reply)
    elif filters:
        print_facts(sorted(filters.items()))
    else:
        click.echo(f"{name} serves no nodes: it has no node filter in any project.", err=asks)
