"""The options of a job: what they may be, and what they are for one execution.

``checks`` judges one option's value, ``resolve`` does it for all of a job's options and
sorts the values into the groups of the data context.
"""

from domain.options.resolve import OptionValues, StoredValue, resolve_options
from schemas.options import Option

__all__ = ["Option", "OptionValues", "StoredValue", "resolve_options"]
