"""``runbus nodes discover``: a node source asked by this very process. Nothing here needs the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import click

from runbus.cli.context import Options, SharedCommand
from runbus.cli.jobcheck import print_warnings
from runbus.cli.nodesview import document_options, form_of, print_reply
from runbus.cli.render import name_list
from runbus.cli.session import configure_log
from runbus.cli.values import Duration, pairs_of
from runbus.plugin import Discovered, PluginKind
from schemas.errors import ErrorCode, RunbusError
from schemas.nodes import NodeListReply
from schemas.runners import PluginInfo
from services.runner.discovery import Discoverer, Question
from services.runner.environment import inherited, secrets_of
from services.runner.inventory import PluginInventory
from services.runner.keystorage.opening import open_storage
from services.runner.keyuse import OwnKeys
from services.runner.settings import RunnerSettings

HERE: Final = "here"
"""The runner, where there is none."""


class DiscoverCommand(SharedCommand):
    """It needs no connection."""

    shared = ("project", "as_json", "debug")


@click.command(cls=DiscoverCommand)
@click.argument("kind", metavar="TYPE")
@click.option("--config", multiple=True, metavar="K=V", help="A setting; a secret names a key (keys/...).")
@click.option("--timeout", type=Duration(), default=120.0, metavar="TIME", help="How long it may take.  [2m]")
@click.option("--keys-dir", default="", envvar="RUNBUS_KEYS_DIR", metavar="DIR", help="Where keys are files.")
@click.option("--key-storage", default="", envvar="RUNBUS_KEY_STORAGE", metavar="FILE", help="Where other keys are.")
@click.option("--columns", metavar="A,B", help="Show these attributes.  [hostname,osFamily,tags]")
@document_options
@click.pass_obj
def discover(options: Options, /, kind: str, **given: Any) -> None:
    """Discover nodes with a plugin that is installed here, as a runner here would.

    \b
      runbus nodes discover file --config file=/etc/nodes.yaml
      runbus nodes discover ansible --config ansible-inventory=hosts.ini --json
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    configure_log(debug=options.debug)
    form = form_of({name: given[name] for name in ("columns", "as_yaml", "as_xml", "document")}, options)
    settings = pairs_of("--config", given["config"])
    project = options.project or "default"
    question = Question(project=project, source=kind, type=kind, config=settings, timeout_s=given["timeout"])
    storage = RunnerSettings(runner_id=HERE, key_storage=given["key_storage"], keys_dir=given["keys_dir"])
    found = _discovered(question, storage)
    nodes = list(found.nodes)
    print_reply(NodeListReply(nodes=nodes, matched=len(nodes), total=len(nodes)), form, options, of_project=False)
    print_warnings(found.warnings)


def _discovered(question: Question, settings: RunnerSettings) -> Discovered:
    plugins = PluginInventory(HERE)
    plugins.load()
    storage = open_storage(settings, plugins)
    discoverer = Discoverer(
        runner=HERE, plugins=plugins, keys=OwnKeys(storage, HERE),
        env=inherited(without=storage.variables),
        env_secrets=[*secrets_of(variables=storage.variables), *storage.secrets],
    )  # fmt: skip
    try:
        return asyncio.run(discoverer.discover(question))
    except RunbusError as error:
        if error.code is ErrorCode.PLUGIN_NOT_FOUND:
            error.message = _not_here(question.type, plugins.infos)
        raise


def _not_here(kind: str, plugins: Sequence[PluginInfo]) -> str:
    sources = [each for each in plugins if each.kind == PluginKind.NODE_SOURCE]
    problem = next((each.problem for each in sources if each.name == kind), "")
    names = name_list([each.name for each in sources if not each.problem])
    return f"the {kind} plugin is not installed here{f': {problem}' if problem else ''}. There are: {names}."
