"""What went wrong with Vault, and what to do. No text holds a value, a token, or words of an answer."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import urllib3

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.patience import MOST_S, is_at_most
from services.runner.keystorage.vault.config import VaultConfig

_DEPTH: Final = 12


class Fault(msgspec.Struct, frozen=True):
    """A call that brought no answer; ``is_passing``: it may work a moment later."""

    message: str
    reason: KeyFailure
    is_passing: bool = False

    def error(self) -> KeyStorageError:
        """To be raised."""
        return KeyStorageError(self.message, reason=self.reason)


def shown(config: VaultConfig) -> str:
    """Vault's address for people."""
    return config.place


def fault_of(cause: BaseException, config: VaultConfig) -> Fault:
    """The fault of an exception of urllib3 or the system."""
    where = shown(config)
    chain = list(_chain(cause))
    for each in chain:
        if isinstance(each, (ssl.SSLError, socket.gaierror, ConnectionError)) and (found := _of_system(each, where)):
            return found
    if isinstance(cause, ValueError):
        text = "address, namespace or token hold characters that cannot be sent. Correct them"
        return Fault(f"Vault's settings: {text}", KeyFailure.CONFIGURATION)
    return _of_library(cause, chain, config)


def too_slow(config: VaultConfig) -> Fault:
    """Asking again would only take as long again."""
    text = f"{shown(config)} did not answer within {min(config.read_timeout_s, MOST_S):g} s. Is it overloaded?"
    if not is_at_most(config.open_timeout_s, config.read_timeout_s):
        text += " Else raise readTimeout"
    return Fault(text, KeyFailure.TIMEOUT)


def astray(config: VaultConfig) -> Fault:
    """It is sent on and on."""
    return Fault(f"{shown(config)} sends from one address to the next. Correct address", KeyFailure.MALFORMED)


def too_large(config: VaultConfig, limit_bytes: int) -> Fault:
    """The answer is cut off."""
    text = f"{shown(config)} answers with more than {limit_bytes >> 20} MiB. Split the folder, or correct address"
    return Fault(text, KeyFailure.TOO_LARGE)


def _of_system(cause: OSError, where: str) -> Fault | None:
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = (
            f"the certificate of {where} is not accepted: {cause.verify_message.rstrip('.')}. Name the certificates "
            "to trust in pemFile, or renew it"
        )
        return Fault(text, KeyFailure.CERTIFICATE)
    if isinstance(cause, ssl.SSLError):
        if "ALERT" in (cause.reason or ""):
            text = f"{where} does not accept the runner's certificate ({cause.reason}). Correct clientPemFile"
            return Fault(text, KeyFailure.CERTIFICATE)
        text = f"{where} does not speak TLS as it should ({cause.reason or 'no reason given'}). Correct address"
        return Fault(text, KeyFailure.UNREACHABLE)
    if isinstance(cause, socket.gaierror):
        text = f"{where}: the name does not resolve on the runner ({cause.strerror}). Correct address"
        return Fault(text, KeyFailure.UNREACHABLE, is_passing=True)
    if cause.strerror:
        text = f"{where} cannot be reached: {cause.strerror}. Correct address; is it up?"
        return Fault(text, KeyFailure.UNREACHABLE, is_passing=True)
    return None


def _of_library(cause: BaseException, chain: Sequence[BaseException], config: VaultConfig) -> Fault:
    where = shown(config)
    if any(isinstance(each, urllib3.exceptions.ConnectTimeoutError) for each in chain):
        text = f"{where} takes no connection within {config.open_timeout_s:g} s. Correct address; is it up?"
        return Fault(text, KeyFailure.UNREACHABLE, is_passing=True)
    if any(isinstance(each, (TimeoutError, urllib3.exceptions.ReadTimeoutError)) for each in chain):
        return too_slow(config)
    if any(isinstance(each, urllib3.exceptions.ProtocolError) for each in chain):
        text = f"{where} broke off before it had answered, or speaks no HTTP. Correct address; is it up?"
        return Fault(text, KeyFailure.UNREACHABLE, is_passing=True)
    why = next((each.strerror for each in chain if isinstance(each, OSError) and each.strerror), type(cause).__name__)
    text = f"{where} cannot be reached: {why}. Correct address; is it up?"
    return Fault(text, KeyFailure.UNREACHABLE, is_passing=True)


def _chain(cause: BaseException) -> Iterator[BaseException]:
    """An exception and those behind it: libraries hand them on as causes, as arguments, and as ``reason``."""
    waiting, seen = [cause], 0
    while waiting and seen < _DEPTH:
        each = waiting.pop(0)
        seen += 1
        yield each
        behind = (each.__cause__, each.__context__, getattr(each, "reason", None), *each.args)
        waiting += [other for other in behind if isinstance(other, BaseException)]
