"""An API server, and what is needed to reach it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runbus.plugin import SourceError, SourceFailure

_MAX_TOKEN_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Connection:
    """An API server and how it is reached."""

    host: str
    """``https://host:port``, perhaps with a path."""
    origin: str
    """Where this was said, for texts."""
    authorization: str = field(default="", repr=False)
    """The value of the header; empty: there is none."""
    ca_file: str | None = None
    """None: the authorities of the system."""
    cert_file: str | None = None
    """The client's own certificate, and its key."""
    key_file: str | None = None
    is_verified: bool = True
    server_name: str | None = None
    """The name that the server's certificate has to bear; None: that of the host."""
    proxy: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises :class:`SourceError` where it can lead nowhere."""
        self._check_host()
        if any(character in self.authorization for character in "\r\n\0"):
            raise SourceError(
                f"the token of {self.origin} has a line break in it: store it as one line",
                reason=SourceFailure.CONFIGURATION,
            )
        if self.proxy is not None and not self.proxy.startswith(("http://", "https://")):
            raise SourceError(
                f"the proxy of {self.origin} has to be http://HOST:PORT", reason=SourceFailure.CONFIGURATION
            )
        for file in (self.ca_file, self.cert_file, self.key_file):
            if file is not None and not Path(file).is_file():
                raise SourceError(
                    f"there is no file {file}, which {self.origin} names", reason=SourceFailure.NOT_FOUND
                )

    def _check_host(self) -> None:
        try:
            parts = urlsplit(self.host)
            is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_sound = False
        if not is_sound or "@" in parts.netloc:
            raise SourceError(
                f"the API server's address in {self.origin} has to be https://HOST:PORT, with no user name in it",
                reason=SourceFailure.CONFIGURATION,
            )


def token_in(file: Path, origin: str) -> str:
    """The token in a file, without the white space around it. Raises :class:`SourceError`."""
    try:
        with file.open("rb") as opened:
            token = opened.read(_MAX_TOKEN_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as cause:
        why = cause.strerror if isinstance(cause, OSError) else "it is no text"
        raise SourceError(
            f"the token file {file} of {origin} cannot be read: {why}", reason=SourceFailure.NOT_FOUND
        ) from None
    if not token:
        raise SourceError(f"the token file {file} of {origin} is empty", reason=SourceFailure.CONFIGURATION)
    return token
