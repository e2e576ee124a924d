"""The environment that jobs are given, and what of the runner's own no log may show."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

from domain.context.secret_forms import MIN_ENVIRONMENT_BYTES, secrets_of_environment

_OWN: Final = ("RUNBUS_", "RUNNER_RUNDECK_", "NOTIFY_SOCKET")
"""Ours, those of the original that we take, and systemd's."""
_NATS_URL: Final = "RUNBUS_NATS_URL"


def inherited(env: Mapping[str, str] = os.environ, *, without: Collection[str] = ()) -> dict[str, str]:
    """The runner's environment without its own settings, and ``without`` these variables."""
    return {key: value for key, value in env.items() if not key.startswith(_OWN) and key not in without}


def secrets_of(
    env: Mapping[str, str] = os.environ, *, variables: Collection[str] = (), nats_url: str = ""
) -> list[str]:
    """What of the whole environment is to be masked: jobs that are not given a variable can still read it in /proc.

    That is every variable whose name says so (:func:`secrets_of_environment`), the ``variables`` that are keys, the
    password or token in the address of the bus, and the password in any other address. What is shorter than six bytes
    is not masked ahead, as there.
    """
    keys = [env[name] for name in sorted(variables) if name in env]
    buses = (nats_url, env.get(_NATS_URL, ""))
    others = (value for name, value in sorted(env.items()) if "://" in value and name != _NATS_URL)
    found = [*keys, *(word for url in buses for word in _credentials(url))]
    found += [word for url in others for word in _credentials(url, tokens=False)]
    more = [each for each in found if len(each.encode("utf-8", "surrogatepass")) >= MIN_ENVIRONMENT_BYTES]
    return list(dict.fromkeys([*secrets_of_environment(env), *more]))


def _credentials(urls: str, *, tokens: bool = True) -> list[str]:
    """The passwords of addresses, ``scheme://user:password@host``; what stands there alone may be a token."""
    found = []
    for url in urls.split(","):
        try:
            parts = urlsplit(url.strip() if "://" in url else f"nats://{url.strip()}")
        except ValueError:  # no address: connecting says so
            continue
        secret = parts.username if parts.password is None and tokens else parts.password
        if secret:
            found += [secret, unquote(secret)]
    return found
