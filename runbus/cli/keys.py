"""``runbus keys …``: the keys of the centre and of runners, by path; values go one way only."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from bus.sealing import seal
from runbus.cli.context import Options, SharedCommand
from runbus.cli.jobcheck import print_warnings
from runbus.cli.keysview import print_key, print_keys
from runbus.cli.render import print_json
from runbus.cli.session import Session, connected
from runbus.cli.values import selector_of, tags_of
from schemas import catalog
from schemas.api import Done
from schemas.codec import encode
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

MAX_VALUE_BYTES: Final = 512 << 10
"""Sealed, and in base64, more is too large for a message."""
_WITHIN_S: Final = 60.0
_PAGE: Final = 2000
_CENTRE: Final = "keys/"
_RUNNER: Final = "runner/"

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
    selector = _selector(path, given)

    async def work(session: Session) -> KeyList:
        return await _waiting(selector, _listed(session, _below_root(path), selector, deep=deep))

    found = connected(options, work)
    if options.as_json:
        print_json(found)
    else:
        print_keys(found, root=_CENTRE if selector is None else _RUNNER)
        print_warnings(found.warnings)


@click.command(cls=SharedCommand)
@click.argument("path", metavar="PATH")
@_place_options
@click.pass_obj
def show(options: Options, /, path: str, **given: Any) -> None:
    """Show what is known of one key, without its value."""
    selector = _selector(path, given)

    async def work(session: Session) -> KeyShown:
        request = KeyShowRequest(path=_below_root(path), project=session.project, runner=selector, user=session.user)
        return await _waiting(selector, session.call(catalog.KEY_SHOW, request, timeout_s=_WITHIN_S))

    shown = connected(options, work)
    if options.as_json:
        print_json(shown)
    else:
        print_key(shown, root=_CENTRE if selector is None else _RUNNER)
        print_warnings(shown.warnings)


@click.command(cls=SharedCommand)
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
    path = _of_centre(path)
    value = _value(path, file)

    async def work(session: Session) -> KeyStored:
        public_key = (await session.call(catalog.KEY_SEALING, SealingKeyRequest())).public_key
        sealed = seal(public_key, encode(KeyValue(path=path, value=value)))
        request = KeyPutRequest(
            path=path, sealed=sealed, key_type=KeyType(key_type) if key_type else None, fresh=fresh,
            user=session.user,
        )  # fmt: skip
        return await session.call(catalog.KEY_PUT, request, timeout_s=_WITHIN_S)

    stored = connected(options, work)
    if options.as_json:
        print_json(stored)
    else:
        click.echo(f"{'Stored' if stored.created else 'Changed'} {_CENTRE}{stored.key.path} ({stored.key.type}).")


@click.command(cls=SharedCommand)
@click.argument("path", metavar="PATH")
@click.pass_obj
def rm(options: Options, path: str) -> None:
    """Remove a key of the centre."""
    path = _of_centre(path)

    async def work(session: Session) -> Done:
        return await session.call(catalog.KEY_REMOVE, KeyRemoveRequest(path=path, user=session.user))

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
    page = await session.call(catalog.KEY_LIST, request, timeout_s=_WITHIN_S)
    entries = {(entry.path, entry.folder): entry for entry in page.keys}
    warnings = dict.fromkeys(page.warnings)
    while page.more and page.keys:
        request = msgspec.structs.replace(request, after=_last_seen(page.keys))
        page = await session.call(catalog.KEY_LIST, request, timeout_s=_WITHIN_S)
        entries |= {(entry.path, entry.folder): entry for entry in page.keys}
        warnings |= dict.fromkeys(page.warnings)
    return msgspec.structs.replace(page, keys=list(entries.values()), warnings=list(warnings), more=False)


def _last_seen(keys: Sequence[KeyEntry]) -> str:
    """The last path of a page of which nothing can follow.

    A provider may have a key and a folder of one path (Vault does), the key first: where a page ends with a key, the
    folder may be the next entry, and going on behind the path would skip it. That key comes again then.
    """
    return keys[-1].path if keys[-1].folder or len(keys) == 1 else keys[-2].path


async def _waiting(selector: RunnerSelector | None, work: Coroutine[Any, Any, T]) -> T:
    """A runner may take a while: on a terminal something turns meanwhile."""
    spinner: Any = nullcontext()
    if selector is not None and sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415  (a twentieth of a second: only where it is seen)

        spinner = Console(stderr=True).status("A runner is looking ...")
    with spinner:
        return await work


def _selector(path: str, given: dict[str, Any]) -> RunnerSelector | None:
    """Whose keys; None: the centre's, which the Local Runner uses. The path may say it, too, and must agree."""
    tags = [tag for each in given["tags"] for tag in tags_of(each)]
    selector = None if given["local"] else selector_of(tags, given["filter_text"], local=False)
    if given["local"] and (tags or given["filter_text"]):
        raise click.UsageError("--local means the centre; --tags and --filter mean a runner: give one of them.")
    if path.startswith(_RUNNER) and selector is None:
        raise click.UsageError(f"{path!r} is a key of a runner: say which with --tags.")
    if path.startswith(_CENTRE) and selector is not None:
        raise click.UsageError(
            f"{path!r} is a key of the centre: leave --tags away, or write runner/{path.removeprefix(_CENTRE)}."
        )
    return selector


def _of_centre(path: str) -> str:
    if path.startswith(_RUNNER):
        raise click.UsageError(f"{path!r} is a key of a runner: it is changed where it is kept, not through Runbus.")
    return path if path.startswith(_CENTRE) else f"{_CENTRE}{path}"


def _below_root(path: str) -> str:
    return path.removeprefix(_RUNNER).removeprefix(_CENTRE).strip("/")


def _value(path: str, file: str | None) -> bytes:
    """The value; the newline that ends a typed or piped line is no part of it, a file's content stays as it is."""
    if file is not None:
        data = _read(file)
    elif sys.stdin.isatty():
        data = str(click.prompt(f"Value of {path}", hide_input=True, confirmation_prompt=True, err=True)).encode()
    else:
        data = sys.stdin.buffer.read(MAX_VALUE_BYTES + 2)
        data = data.removesuffix(b"\n") if data.count(b"\n") == 1 else data
    if not data:
        raise click.UsageError("the value is empty: nothing was stored.")
    if len(data) > MAX_VALUE_BYTES:
        raise click.UsageError(f"the value is longer than {MAX_VALUE_BYTES >> 10} KiB: nothing was stored.")
    return data


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MAX_VALUE_BYTES + 1)
    except OSError as cause:
        raise click.UsageError(f"the file {file} cannot be read: {cause.strerror or cause}.") from None
