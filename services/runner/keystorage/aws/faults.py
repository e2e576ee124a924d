"""What went wrong with AWS, and what to do about it. Of an answer nothing is told but its code."""

from __future__ import annotations

import re
from typing import Final

from runbus.plugin import KeyFailure, KeyStorageError
from services.runner.keystorage.aws.api import errors, unparsable
from services.runner.keystorage.aws.config import AwsConfig

NO_ANSWER: Final = "the answer is none of this service; is a proxy in between, or is endpoint wrong?"
_CODE: Final = re.compile(r"[A-Z][A-Za-z]{0,60}(?:Exception|Error|Failure|Fault|Unavailable|SlowDown)\Z")
"""What is a code by its end; any other word of an answer may be anything, unless it is one of those known here."""
_NOT_FOUND: Final = "ResourceNotFoundException"
_CODES: Final = {
    _NOT_FOUND: KeyFailure.NOT_FOUND,
    "InvalidRequestException": KeyFailure.NOT_FOUND,
    "InvalidParameterException": KeyFailure.NOT_FOUND,
    "ValidationException": KeyFailure.NOT_FOUND,
    "AccessDenied": KeyFailure.FORBIDDEN,
    "AccessDeniedException": KeyFailure.FORBIDDEN,
    "DecryptionFailure": KeyFailure.FORBIDDEN,
    "ExpiredToken": KeyFailure.AUTHENTICATION,
    "ExpiredTokenException": KeyFailure.AUTHENTICATION,
    "IncompleteSignature": KeyFailure.AUTHENTICATION,
    "IncompleteSignatureException": KeyFailure.AUTHENTICATION,
    "InvalidClientTokenId": KeyFailure.AUTHENTICATION,
    "InvalidSignatureException": KeyFailure.AUTHENTICATION,
    "MissingAuthenticationToken": KeyFailure.AUTHENTICATION,
    "MissingAuthenticationTokenException": KeyFailure.AUTHENTICATION,
    "RequestExpired": KeyFailure.AUTHENTICATION,
    "SignatureDoesNotMatch": KeyFailure.AUTHENTICATION,
    "UnrecognizedClientException": KeyFailure.AUTHENTICATION,
}
_WHAT: Final = {
    KeyFailure.NOT_FOUND: "there is no such secret, or it is to be deleted",
    KeyFailure.FORBIDDEN: "the runner may not do that: allow it in its policy, and in that of the secret's KMS key",
    KeyFailure.AUTHENTICATION: "the runner's credentials are not valid, or have expired; is its clock right?",
}
_CALLS: Final[tuple[tuple[tuple[type[Exception], ...], KeyFailure, str], ...]] = (
    (
        (errors.SSLError,),
        KeyFailure.CERTIFICATE,
        "its certificate is not accepted. Name the certificates to trust in sslCaCert, or renew it",
    ),
    (
        (errors.ConnectTimeoutError,),
        KeyFailure.UNREACHABLE,
        "no connection within {open_s:g} s. Is there a way to it from the runner?",
    ),
    (
        (errors.ReadTimeoutError,),
        KeyFailure.TIMEOUT,
        "no answer within {read_s:g} s. Is it overloaded? Else raise readTimeout",
    ),
    (
        (errors.EndpointConnectionError, errors.ProxyConnectionError, errors.HTTPClientError),
        KeyFailure.UNREACHABLE,
        "it cannot be reached from the runner. Correct region or endpoint; is there a way to it?",
    ),
    (
        (
            errors.NoCredentialsError,
            errors.PartialCredentialsError,
            errors.CredentialRetrievalError,
            errors.TokenRetrievalError,
        ),
        KeyFailure.AUTHENTICATION,
        "the runner has no credentials: give it a role, a profile, or accessKeyId and secretAccessKey",
    ),
    ((errors.ProfileNotFound,), KeyFailure.CONFIGURATION, "the runner's ~/.aws has no such profile; correct profile"),
    (
        (errors.NoRegionError, errors.InvalidRegionError),
        KeyFailure.CONFIGURATION,
        "there is no region, or none of that name; set region",
    ),
    (
        (unparsable, UnicodeDecodeError),
        KeyFailure.MALFORMED,
        NO_ANSWER,
    ),
    ((OSError,), KeyFailure.CONFIGURATION, "a file that the settings name cannot be read; see sslCaCert"),
)
_THROTTLED: Final = ("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")


def code_of(cause: Exception) -> str:
    """The code of an answer that is an error; empty: it is none, or has none that looks like one."""
    if not isinstance(cause, errors.ClientError):
        return ""
    code = str(cause.response.get("Error", {}).get("Code", "")).rpartition("#")[2]
    return code if code in _CODES or code in _THROTTLED or _CODE.match(code) else ""


def reason_of(code: str) -> KeyFailure | None:
    """What a code of the service means; None: none that has a reason of its own."""
    return _CODES.get(code)


def failed(config: AwsConfig, what: str, cause: Exception) -> KeyStorageError:
    """The error of a call. ``what``: what was asked for, as errors call it."""
    why, reason = _answered(cause) if isinstance(cause, errors.ClientError) else _not_answered(config, cause)
    return KeyStorageError(f"{config.place}: {what}: {why}", reason=reason)


def _answered(cause: errors.ClientError) -> tuple[str, KeyFailure]:
    code = code_of(cause)
    operation = f" ({cause.operation_name}: {code})"
    if reason := _CODES.get(code):
        return _WHAT[reason] + operation, reason
    if code in _THROTTLED:
        text = (
            "it takes no more calls just now, not after several attempts either; raise maxRetries, or ask less often"
        )
        return text + operation, KeyFailure.FAILED
    if not code:
        return NO_ANSWER, KeyFailure.MALFORMED
    return f"it answers with an error{operation}", KeyFailure.FAILED


def _not_answered(config: AwsConfig, cause: Exception) -> tuple[str, KeyFailure]:
    for kinds, reason, why in _CALLS:
        if isinstance(cause, kinds):
            return why.format(open_s=config.open_timeout, read_s=config.read_timeout), reason
    return f"the call failed ({type(cause).__name__})", KeyFailure.FAILED
