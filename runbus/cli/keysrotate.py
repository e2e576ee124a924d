"""``runbus keys rotate``: another master key for the centre's keys, on the machine where their file is."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from bus.environment import taken
from bus.settings import load
from runbus.cli.context import Options, SharedCommand
from runbus.cli.render import print_json
from runbus.cli.session import configure_log
from schemas.errors import ErrorCode, RunbusError
from services.keyproxy.masterkey import ENV_NAME, NEW_ENV_NAME
from services.keyproxy.mastersource import MasterKeys, master_keys_of
from services.keyproxy.settings import KeyproxySettings
from services.keyproxy.store import rotate as rotate_file

_DONE: Final = (
    "It is in the place of the old one; keyproxies go on with it by themselves. Keep a copy of it elsewhere."
)


class OfflineCommand(SharedCommand):
    """It needs no connection."""

    shared = ("as_json", "debug")


@click.command(cls=OfflineCommand)
@click.option("--data-dir", type=click.Path(file_okay=False), default="runbus-data", envvar="RUNBUS_DATA_DIR",
              show_default=True, help="Where keys.sqlite is.")  # fmt: skip
@click.option("--master-key-file", "file", default="", envvar="RUNBUS_MASTER_KEY_FILE", metavar="FILE",
              help="The master key in force.  [DATA-DIR/master.key]")  # fmt: skip
@click.pass_obj
def rotate(options: Options, /, *, data_dir: str, file: str) -> None:
    """Make a new master key, encrypt every key of the centre under it, and put it in place of the old one.

    Keyproxies go on serving meanwhile and afterwards, and need no restart. Killed at any moment, run it again.

    Where RUNBUS_MASTER_KEY has the master key, the new one is taken from RUNBUS_NEW_MASTER_KEY: start the keyproxies
    with both before.
    """
    configure_log(debug=options.debug)
    settings = load(KeyproxySettings, os.environ, data_dir=data_dir, master_key_file=file)
    if not settings.keys_path.exists():
        raise click.UsageError(
            f"there is no {settings.keys_path}: name the keyproxy's data directory with --data-dir."
        )
    masters = master_keys_of(
        text=settings.master_key, new_text=settings.new_master_key, file=file, data_dir=data_dir, make=False
    )
    taken({ENV_NAME, NEW_ENV_NAME})  # read; other processes of this user could read them, too
    with _alone(settings.keys_path.parent):
        moved, left_to_do = _rotate(masters, settings.keys_path, quiet=options.as_json)
    if options.as_json:
        print_json({"moved": moved, "master_key": masters.place, "left_to_do": left_to_do})
    else:
        click.echo(err=True, nl=bool(moved))
        click.echo(f"{moved:,} keys were brought under a new master key: that is all of them. {left_to_do or _DONE}")


def _rotate(masters: MasterKeys, keys_path: Path, *, quiet: bool) -> tuple[int, str]:
    """How many keys were moved, and what is left to do by hand."""

    def progress(done: int, total: int) -> None:
        if not quiet:
            click.echo(f"\r{done:,} of {total:,} keys", nl=False, err=True)

    old, new = masters.pair()
    moved = asyncio.run(rotate_file(keys_path, old, new, progress))
    return moved, masters.settle()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two at a time could each make a new key: the second is refused. The system frees it when this process ends."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunbusError(
                ErrorCode.BUSY, f"another 'runbus keys rotate' is at work in {directory}: wait until it has ended."
            ) from None
        yield
    finally:
        os.close(descriptor)
