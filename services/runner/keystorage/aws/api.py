"""The library, as far as it is used. It has no types: a checker knows none of them."""

from __future__ import annotations

import logging
from typing import Any

import boto3.session as _boto3  # type: ignore[import-untyped]
import botocore.config as _config  # type: ignore[import-untyped]
import botocore.credentials as _credentials  # type: ignore[import-untyped]
import botocore.exceptions as _exceptions  # type: ignore[import-untyped]
import botocore.parsers as _parsers  # type: ignore[import-untyped]
import botocore.session as _botocore  # type: ignore[import-untyped]

__all__ = ["Session", "config", "credentials", "errors", "inner_session", "unparsable"]

Session: Any = _boto3.Session
config: Any = _config.Config
credentials: Any = _credentials
errors: Any = _exceptions
inner_session: Any = _botocore.Session
unparsable: type[Exception] = _parsers.ResponseParserError

# It would log whole answers, values with them, as soon as anybody asks for debug messages.
logging.getLogger("botocore").setLevel(logging.CRITICAL)
