"""Node sources as people read them: lists, one with its settings, what came of a refresh."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from runbus.cli.failure import clean, paint, reference
from runbus.cli.jobcheck import print_warnings
from runbus.cli.render import Column, ago, duration, moment, print_facts, print_table, sentence
from runbus.cli.values import tags_of
from schemas.errors import ErrorInfo
from schemas.jobs import RunnerSelector, SelectorMode
from schemas.sources import Bearer, SourceDefinition, SourceReply, SourceState, SourceTested, SourceView


def print_sources(views: Sequence[SourceView]) -> None:
    """A table, in order; what is wrong with one stands below."""
    if not views:
        print_none_to_ask(views)
        return
    columns = [Column("SOURCE"), Column("TYPE", folds=True), Column("ASKS", folds=True), Column("NODES"),
               Column("AGE"), Column("STATE", folds=True)]  # fmt: skip
    print_table(columns, [_row(view) for view in views])
    for view in views:
        if view.state.error is not None and view.definition.enabled:
            click.echo(f"{view.definition.name}: {_reason(view.state.source, view.state.error)}", err=True)


def print_source(view: SourceView) -> None:
    """Everything about one."""
    print_facts(_facts(view))


def print_stored(reply: SourceReply) -> None:
    """What was stored, who could be asked, and what is to be looked at."""
    source = reply.source.definition
    done = "added" if reply.created else "changed"
    click.echo(f"{done} {paint(source.name, bold=True)} ({source.type}), asking {selector_text(source.runner)}")
    for bearer in reply.source.bearers:
        click.echo(f"  {_bearer_text(bearer)}")
    print_warnings(reply.warnings)


def print_refreshed(state: SourceState) -> None:
    """What came of it; why it failed, and how old its nodes are. Warnings are those of the nodes it has."""
    if state.error is not None:
        click.echo(
            f"{paint(state.source, bold=True)}: {paint('failed', 'red')} after {duration(state.duration_s)}: "
            f"{_reason(state.source, state.error)} {paint(reference(state.error), dim=True)}",
            err=True,
        )
        if state.succeeded_at is not None:
            stays = "stays" if state.count == 1 else "stay"
            click.echo(f"  its {_count(state.count)} of {ago(state.succeeded_at)} {stays}", err=True)
    else:
        changes = f"{state.added:,} added, {state.changed:,} changed, {state.gone:,} gone"
        click.echo(
            f"{paint(state.source, bold=True)}: {_count(state.count)}, {changes}; "
            f"{state.runner} answered in {duration(state.duration_s)}"
        )
        _print_warnings(state.source, state.warnings)


def print_none_to_ask(views: Sequence[SourceView]) -> None:
    """That no source of these is asked, and what to do."""
    if views:
        text = "All node sources are disabled. 'runbus nodes source set NAME --enable' has one asked."
    else:
        text = "No node source. 'runbus nodes source add' makes one."
    click.echo(text, err=True)


def print_tested(tested: SourceTested) -> None:
    """What a test found: how many, who answered, the first ones."""
    for bearer in tested.bearers:
        click.echo(_bearer_text(bearer))
    took = duration(tested.duration_s)
    click.echo(f"{_count(tested.count)}; {tested.runner} answered in {took}. Nothing is stored.")
    if tested.sample:
        columns = [Column("NODE", folds=True), Column("HOSTNAME", folds=True), Column("TAGS", folds=True)]
        print_table(columns, [[node.name, node.attributes.get("hostname", ""), ", ".join(node.tags)]
                              for node in tested.sample])  # fmt: skip
        if tested.count > len(tested.sample):
            click.echo(f"and {tested.count - len(tested.sample):,} more", err=True)
    _print_warnings("", tested.warnings)


def selector_text(selector: RunnerSelector | None) -> str:
    """Whom a source asks."""
    if selector is None or selector.mode is SelectorMode.LOCAL:
        return "the Local Runner"
    return f"a runner of {'+'.join(tag.strip() for tag in tags_of(selector.filter))}"


def _row(view: SourceView) -> list[str]:
    source, state = view.definition, view.state
    return [source.name, source.type, selector_text(source.runner), f"{state.count:,}",
            ago(state.succeeded_at) if state.succeeded_at else "", _state(source, state)]  # fmt: skip


def _state(source: SourceDefinition, state: SourceState) -> str:
    if not source.enabled:
        return "disabled"
    if state.error is not None:
        return f"failed, {state.failures} times" if state.failures > 1 else "failed"
    if state.refreshing_by:
        return "being asked"
    return "good" if state.succeeded_at else "not asked yet"


def _facts(view: SourceView) -> Iterator[tuple[str, str]]:
    source, state = view.definition, view.state
    yield "source", source.name
    yield "type", source.type
    yield "asks", selector_text(source.runner)
    yield "settings", "\n".join(f"{name}={clean(value)}" for name, value in sorted(source.config.items()))
    yield "every", _setting(source.interval_s) if source.interval_s else "never: on request"
    yield "timeout", _setting(source.timeout_s)
    yield "state", _state(source, state)
    if state.error is not None:
        yield "error", f"{_reason(state.source, state.error)} {reference(state.error)}"
    yield "nodes", sentence(f"{state.count:,}", f"{ago(state.succeeded_at)} ({moment(state.succeeded_at)})") \
        if state.succeeded_at else "none yet"  # fmt: skip
    if state.checked_at is not None:
        whom = f"of {state.runner}" if state.runner else ""
        yield "asked", sentence(ago(state.checked_at), whom, duration(state.duration_s))
    yield "warnings", "\n".join(map(clean, state.warnings))
    yield "runners", "\n".join(map(_bearer_text, view.bearers))


def _bearer_text(bearer: Bearer) -> str:
    has = f"bears the plugin, version {bearer.version}" if bearer.version else "does not bear the plugin"
    why = f" ({clean(bearer.problem)})" if bearer.problem else ""
    return f"{bearer.runner} ({bearer.status}) {has}{why}"


def _reason(source: str, error: ErrorInfo) -> str:
    """Without the source's name, which stands in front of it."""
    text = clean(error.message)
    return text.partition("): ")[2] if text.startswith(f"node source {source} (") and "): " in text else text


def _setting(seconds: float) -> str:
    return duration(seconds).replace(".0s", "s")


def _print_warnings(source: str, warnings: Sequence[str]) -> None:
    """Some are what a script said: it must not command the terminal."""
    print_warnings([f"{source}: {clean(text)}" if source else clean(text) for text in warnings])


def _count(count: int) -> str:
    return "1 node" if count == 1 else f"{count:,} nodes"
