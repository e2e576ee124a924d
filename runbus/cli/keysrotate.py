"""``runbus keys rotate``: another master key for the centre's keys, on the machine where their file is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from runbus.cli.context import Options, SharedCommand
from runbus.cli.render import print_json
from services.keyproxy.masterkey import DEFAULT_NAME, MasterKey, make_master_key, read_master_key
from services.keyproxy.settings import KeyproxySettings
from services.keyproxy.store import rotate as rotate_file


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

    Killed at any moment, run it again. A keyproxy that runs meanwhile is to be restarted afterwards.
    """
    path = Path(file) if file else Path(data_dir) / DEFAULT_NAME
    new_path = path.with_name(f"{path.name}.new")
    old, new = read_master_key(path), _new(new_path)

    def progress(done: int, total: int) -> None:
        if not options.as_json:
            click.echo(f"\r{done:,} of {total:,} keys", nl=False, err=True)

    keys_path = KeyproxySettings(data_dir=data_dir).keys_path
    if not keys_path.exists():
        raise click.UsageError(f"there is no {keys_path}: name the keyproxy's data directory with --data-dir.")
    moved = asyncio.run(rotate_file(keys_path, old, new, progress))
    new_path.replace(path)
    if options.as_json:
        print_json({"moved": moved, "master_key_file": str(path)})
    else:
        click.echo(err=True, nl=bool(moved))
        click.echo(f"{moved:,} keys are under a new master key, in {path}. Restart the keyproxy; keep a copy of it.")


def _new(path: Path) -> MasterKey:
    """The one of a rotation that was cut short, else a new one."""
    return read_master_key(path) if path.exists() else make_master_key(path)
