"""Writing a file on a node: by SFTP, else by ``cat``."""

from __future__ import annotations

import contextlib
import shlex
from typing import Final

import asyncssh

from services.runner.nodes.ssh.failures import NothingSentError
from services.runner.nodes.ssh.pool import Link

_MODE: Final = 0o600
_CREATE: Final = asyncssh.FXF_WRITE | asyncssh.FXF_CREAT | asyncssh.FXF_EXCL
_REMOVE_WITHIN_S: Final = 5.0


class CopyError(Exception):
    """The file is not there; the text says why."""


async def copy_file(link: Link, content: bytes, destination: str) -> None:
    """Write a new file of mode 0600 in place of what is there.

    Raises :class:`CopyError`: then nothing is left of it, as far as the node lets us see to that. Raises
    :class:`NothingSentError` and what asyncssh raises for a broken connection.
    """
    if link.has_sftp:
        try:
            client = await link.connection.start_sftp_client()
        except (asyncssh.ChannelOpenError, asyncssh.SFTPError) as cause:
            if link.connection.is_closed():
                raise NothingSentError(cause) from cause
            link.has_sftp = False
        except (asyncssh.Error, OSError) as cause:
            raise NothingSentError(cause) from cause
        else:
            async with client:
                await _by_sftp(client, content, destination)
            return
    await _by_cat(link, content, destination)


async def _by_sftp(client: asyncssh.SFTPClient, content: bytes, destination: str) -> None:
    try:
        file = await _create(client, destination)
    except asyncssh.SFTPError as cause:
        raise CopyError(await _create_text(client, destination, cause)) from cause
    try:
        async with file:
            await file.write(content)
    except asyncssh.SFTPError as cause:
        free = await _free_text(client, destination)
        with contextlib.suppress(asyncssh.SFTPError):
            await client.remove(destination)
        raise CopyError(f"writing it failed ({cause.reason}){free}") from cause
    except BaseException:
        with contextlib.suppress(asyncssh.Error, OSError):
            await client.remove(destination)
        raise


async def _create(client: asyncssh.SFTPClient, destination: str) -> asyncssh.SFTPClientFile:
    attrs = asyncssh.SFTPAttrs(permissions=_MODE)
    try:
        return await client.open(destination, _CREATE, attrs, encoding=None)
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        # What a name in a directory of all users stands for already is replaced, never written through.
        await client.remove(destination)
        return await client.open(destination, _CREATE, attrs, encoding=None)


async def _create_text(client: asyncssh.SFTPClient, destination: str, cause: asyncssh.SFTPError) -> str:
    directory = destination.rpartition("/")[0] or "/"
    if isinstance(cause, (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)):
        return f"there is no directory {directory}"
    if isinstance(cause, asyncssh.SFTPPermissionDenied):
        return f"the user may not write in {directory}"
    return f"it could not be created ({cause.reason}){await _free_text(client, destination)}"


async def _free_text(client: asyncssh.SFTPClient, destination: str) -> str:
    """Says that the disk is full, where the server can tell."""
    with contextlib.suppress(asyncssh.SFTPError):
        found = await client.statvfs(destination.rpartition("/")[0] or "/")
        if not found.bavail:
            return "; no space is left there"
    return "; look at the free space, the quota and the limits of the user there"


async def _by_cat(link: Link, content: bytes, destination: str) -> None:
    path = shlex.quote(destination)
    script = f"umask 077; set -C; rm -f -- {path} && cat > {path}"
    try:
        process = await link.connection.create_process(_by_shell(script), encoding=None)
    except asyncssh.ChannelOpenError as cause:
        raise NothingSentError(cause) from cause
    with contextlib.suppress(BrokenPipeError):  # it has ended already: its exit says why
        process.stdin.write(content)
        process.stdin.write_eof()
    done = await process.wait()
    if done.returncode is None and link.connection.is_closed():
        raise asyncssh.ConnectionLost("before the shell there had ended")
    if done.exit_status != 0:
        with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
            await link.connection.run(_by_shell(f"rm -f -- {path}"), encoding=None, timeout=_REMOVE_WITHIN_S)
        said = done.stderr.decode(errors="replace").strip() if isinstance(done.stderr, bytes) else ""
        raise CopyError(said or f"the shell there ended with {done.returncode}")


def _by_shell(script: str) -> str:
    return f"exec /bin/sh -c {shlex.quote(script)}"
