"""``runbus keys …``: the keys of the centre and of runners, by path; values go one way only."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from typing import Any, Final, TypeVar

import click
import msgspec

from bus.sealing import seal
from runbus.cli.context import Options, SharedCommand
from runbus.cli.jobcheck import print_warnings
from runbus.cli.keysinput import (
    CENTRE,
    RUNNER,
    PutCommand,
    below_root,
    centre_name,
    check_value,
    selector_for,
    value_for,
)
from runbus.cli.keysview import print_key, print_keys
from runbus.cli.render import print_json
from runbus.cli.session import Session, connected
from schemas import catalog
from schemas.api import Done
from schemas.catalog import Endpoint
from schemas.codec import encode
from schemas.errors import ErrorCode, RunbusError
from schemas.jobs import RunnerSelector
from schemas.keys import (
    KeyEntry,
    KeyList,
    KeyListRequest,
    KeyPutRequest,
    KeyRemoveRequest,
    KeyShown,
    KeyShowRequest,
    KeyStored,
    KeyType,
    KeyValue,
    SealingKeyRequest,
)

T = TypeVar("T")
RequestT = TypeVar("RequestT", bound=msgspec.Struct)
ReplyT = TypeVar("ReplyT", bound=msgspec.Struct)

_CENTRE_WITHIN_S: Final = 10.0
_RUNNER_WITHIN_S: Final = 65.0
"""To find a runner, to have it bound to a tag set that is new, and for its answer (see ``PROVIDER_WITHIN_S``)."""
_PAGE: Final = 2000

_where = [
    click.option("--tags", multiple=True, metavar="T,...", help="Of a runner that bears all these tags."),
    click.option("--filter", "filter_text", metavar="TAGS", help="The same, typed: 'linux+dev'."),
    click.option("--local", is_flag=True, help="Of the centre, which the Local Runner uses.  [default]"),
]


def _place_options(command: Any) -> Any:
    for option in reversed(_where):
        command = option(command)
    return command


@click.command("list", cls=SharedCommand)
@click.argument("path", default="", metavar="[PATH]")
@_place_options
@click.option("--deep", is_flag=True, help="Everything below, not only what stands in the folder itself.")
@click.pass_obj
def list_(options: Options, /, path: str, *, deep: bool, **given: Any) -> None:
    """List the keys of a folder: paths, types and times, never a value.

    \b
      runbus keys list keys/db
      runbus keys list runner/db --tags DMZ
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    selector = selector_for(path, given)

    async def work(session: Session) -> KeyList:
        return await _waiting(selector, _listed(session, below_root(path, selector), selector, deep=deep))

    found = connected(options, work)
    if options.as_json:
        print_json(found)
    else:
        print_keys(found, root=CENTRE if selector is None else RUNNER)
        print_warnings(found.warnings)


@click.command(cls=SharedCommand)
@click.argument("path", metavar="PATH")
@_place_options
@click.pass_obj
def show(options: Options, /, path: str, **given: Any) -> None:
    """Show what is known of one key, without its value."""
    selector = selector_for(path, given)

    async def work(session: Session) -> KeyShown:
        request = KeyShowRequest(
            path=below_root(path, selector), project=session.project, runner=selector, user=session.user
        )
        return await _waiting(selector, _asked(session, catalog.KEY_SHOW, request))

    shown = connected(options, work)
    if options.as_json:
        print_json(shown)
    else:
        print_key(shown, root=CENTRE if selector is None else RUNNER)
        print_warnings(shown.warnings)


@click.command(cls=PutCommand)
@click.argument("path", metavar="PATH")
@click.option("--file", "file", metavar="FILE", help="Read the value from this file, as it is.  [stdin]")
@click.option("--type", "key_type", type=click.Choice([str(each) for each in KeyType]), metavar="TYPE",
              help="password, privateKey or publicKey.  [as its value looks]")  # fmt: skip
@click.option("--new", "fresh", is_flag=True, help="Refuse a path that is taken.")
@click.pass_obj
def put(options: Options, /, path: str, *, file: str | None, key_type: str | None, fresh: bool) -> None:
    """Store a key at the centre. Its value is asked for, or read from stdin or a file; never an argument.

    \b
      runbus keys put keys/db/password
      runbus keys put keys/deploy/id_ed25519 --file ~/.ssh/id_ed25519
    """  # noqa: D301  (click reads the backspace as "do not fold this paragraph")
    path = centre_name(path)
    value = value_for(path, file)
    wanted = KeyType(key_type) if key_type else None
    check_value(value, wanted)

    async def work(session: Session) -> KeyStored:
        public_key = (await _asked(session, catalog.KEY_SEALING, SealingKeyRequest())).public_key
        sealed = seal(public_key, encode(KeyValue(path=path, value=value)))
        request = KeyPutRequest(
            path=path, sealed=sealed, key_type=wanted, fresh=fresh, user=session.user,
        )  # fmt: skip
        return await _asked(session, catalog.KEY_PUT, request)

    stored = connected(options, work)
    if options.as_json:
        print_json(stored)
    else:
        click.echo(f"{'Stored' if stored.created else 'Changed'} {CENTRE}{stored.key.path} ({stored.key.type}).")


@click.command(cls=SharedCommand)
@click.argument("path", metavar="PATH")
@click.pass_obj
def rm(options: Options, path: str) -> None:
    """Remove a key of the centre."""
    path = centre_name(path)

    async def work(session: Session) -> Done:
        return await _asked(session, catalog.KEY_REMOVE, KeyRemoveRequest(path=path, user=session.user))

    done = connected(options, work)
    if options.as_json:
        print_json(done)
    else:
        click.echo(f"Removed {path}.")


async def _listed(session: Session, path: str, selector: RunnerSelector | None, *, deep: bool) -> KeyList:
    """All pages as one, each entry and each warning once."""
    request = KeyListRequest(
        path=path, project=session.project, runner=selector, deep=deep, limit=_PAGE, user=session.user
    )
    page = await _asked(session, catalog.KEY_LIST, request)
    entries = {(entry.path, entry.folder): entry for entry in page.keys}
    warnings = dict.fromkeys(page.warnings)
    while page.more and page.keys:
        request = msgspec.structs.replace(request, after=_last_seen(page.keys))
        page = await _asked(session, catalog.KEY_LIST, request)
        entries |= {(entry.path, entry.folder): entry for entry in page.keys}
        warnings |= dict.fromkeys(page.warnings)
    return msgspec.structs.replace(page, keys=list(entries.values()), warnings=list(warnings), more=False)


def _last_seen(keys: Sequence[KeyEntry]) -> str:
    """The last path of a page of which nothing can follow.

    A provider may have a key and a folder of one path (Vault does), the key first: where a page ends with a key, the
    folder may be the next entry, and going on behind the path would skip it. That key comes again then.
    """
    return keys[-1].path if keys[-1].folder or len(keys) == 1 else keys[-2].path


async def _asked(session: Session, endpoint: Endpoint[RequestT, ReplyT], request: RequestT) -> ReplyT:
    """The keyproxy's answer. Raises what it raises, and ``unavailable`` in words where it hears, and says nothing."""
    of_runner = getattr(request, "runner", None) is not None
    within_s = _RUNNER_WITHIN_S if of_runner else _CENTRE_WITHIN_S
    try:
        return await session.call(endpoint, request, timeout_s=within_s)
    except RunbusError as error:
        if error.origin or not str(error.details.get("reason", "")).startswith("no answer"):
            raise
        where = f"the keyproxy, or the runner that it asked, did not answer within {within_s:g} s"
        if not of_runner:
            where = f"the keyproxy did not answer within {within_s:g} s"
        unsure = ""
        if isinstance(request, KeyPutRequest | KeyRemoveRequest):
            unsure = f" Whether it was carried out is not known: 'runbus keys show {request.path}' tells."
        raise RunbusError(
            ErrorCode.UNAVAILABLE,
            f"{where}: it is connected, and does not get on. See its log and its disk, and restart it.{unsure}",
            details=error.details,
        ) from None


async def _waiting(selector: RunnerSelector | None, work: Coroutine[Any, Any, T]) -> T:
    """A runner may take a while: on a terminal something turns meanwhile."""
    spinner: Any = nullcontext()
    if selector is not None and sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415  (a twentieth of a second: only where it is seen)

        spinner = Console(stderr=True).status("A runner is looking ...")
    with spinner:
        return await work
