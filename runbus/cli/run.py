"""``runbus run``: a command line or a script, ad hoc."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from runbus.cli import exits
from runbus.cli.context import Options, SharedCommand
from runbus.cli.follow import start
from runbus.cli.optionvalues import Values
from runbus.cli.session import connected
from runbus.cli.values import chosen_tags, limit_options, node_options, nodes_of, selector_of, target_options
from schemas.api import RunRequest, WhenNoRunner
from schemas.jobs import NodeDispatch, RunnerSelector, Step


class RunForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of a run can say."""

    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    filter_text: str | None = None
    local: bool = False
    script: str | None = None
    interpreter: str | None = None
    timeout_s: float | None = None
    deadline_s: float | None = None
    wait_for_runner: bool = False
    detach: bool = False
    chosen_id: str = ""
    nodes: str | None = None
    exclude_nodes: str = ""
    threads: int | None = None
    node_keepgoing: bool = False

    @property
    def selector(self) -> RunnerSelector | None:
        """The choice of runners."""
        return selector_of(chosen_tags(self.tags), self.filter_text, local=self.local)

    @property
    def dispatch(self) -> NodeDispatch | None:
        """The choice of nodes."""
        return nodes_of(self.nodes, self.exclude_nodes, self.threads, keepgoing=self.node_keepgoing)

    def request(self, *, job: str = "", steps: list[Step] | None = None, options: Values | None = None) -> RunRequest:
        """The request for a job, or for steps."""
        return RunRequest(
            id=self.chosen_id,
            job=job,
            steps=steps or [],
            runner=self.selector,
            nodes=self.dispatch,
            options=options or {},
            timeout_s=self.timeout_s,
            deadline_s=self.deadline_s,
            when_no_runner=WhenNoRunner.WAIT if self.wait_for_runner else WhenNoRunner.FAIL,
        )


@click.command(cls=SharedCommand, context_settings={"allow_interspersed_args": False}, epilog=exits.HELP)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[--] [COMMAND...]")
@target_options
@node_options
@click.option("--script", type=click.Path(exists=True, dir_okay=False, allow_dash=True), metavar="FILE",
              help="Run this script ('-': from stdin); COMMAND is its arguments.")  # fmt: skip
@click.option("--interpreter", metavar="X", help="Run the script by this: python3, 'bash -e'.")
@limit_options
@click.pass_context
def run(ctx: click.Context, /, **given: Any) -> None:
    """Run a command line or a script on a runner, and follow it.

    One word is a line for the shell as it is; several words are one command with its arguments, quoted.
    Without a selection it runs on the Local Runner.

    \b
      runbus run -- uname -a
      runbus run --tags LINUX+DEV -- 'df -h / | tail -1'
      runbus run --tags LINUX --script deploy.sh -- --version 1.2
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    form = msgspec.convert(given, RunForm)
    request = form.request(steps=[_step(form)])
    options = ctx.find_object(Options) or Options()
    ctx.exit(connected(options, lambda session: start(session, request, detach=form.detach)))


def _step(form: RunForm) -> Step:
    if form.script is None:
        if form.interpreter is not None:
            raise click.UsageError("--interpreter goes with --script.")
        if not any(word.strip() for word in form.words):
            raise click.UsageError("What is it to run? Give a command behind '--', or --script FILE.")
        line = form.words[0] if len(form.words) == 1 else shlex.join(form.words)
        return Step(plugin="command", config={"command": line})
    config: dict[str, Any] = {"script": _script(form.script)}
    if form.words:
        config["args"] = list(form.words)
    if form.interpreter:
        config["interpreter"] = form.interpreter
    if suffix := Path(form.script).suffix:
        config["file_extension"] = suffix
    return Step(plugin="script", config=config)


def _script(name: str) -> str:
    data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as cause:
        raise click.UsageError(f"the script {name} is not UTF-8 text (byte {cause.start}).") from None
    if not text.strip():
        raise click.UsageError(f"the script {name} is empty.")
    return text
