"""What a job says of its options."""

from __future__ import annotations

from typing import Any, Final

import msgspec

DEFAULT_DELIMITER: Final = ","


class Option(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """One option of a job ("Options"); the fields bear the original's names, in camel case, on the wire."""

    name: str
    description: str = ""
    label: str = ""
    value: str | None = None
    """The default. A secure option has none: its default is the key at ``storage_path``."""
    values: tuple[str, ...] = ()
    """What is offered; with ``enforced``, all that is allowed."""
    values_list_delimiter: str = DEFAULT_DELIMITER
    values_url: str | None = None
    sort_values: bool = False
    option_values_plugin_type: str | None = None
    required: bool = False
    enforced: bool = False
    regex: str | None = None
    """Java's; it has to match the whole value. Not looked at for an enforced option, as in the original."""
    multivalued: bool = False
    delimiter: str = DEFAULT_DELIMITER
    multivalue_all_selected: bool = False
    secure: bool = False
    value_exposed: bool = False
    """With ``secure``: visible to scripts. Without it, a secure option is for authentication only."""
    storage_path: str | None = None
    is_date: bool = False
    date_format: str | None = None
    """How a form shows the date; values are not checked against it, as in the original."""
    hidden: bool = False
    type: str | None = None
    """``file`` for an uploaded file, whose value is a reference to it."""
    config: dict[str, Any] = {}
    sort_index: int | None = None
    extras: dict[str, Any] = {}
    """What the original knows of it and Runbus has no use for, as it was given."""

    @property
    def separator(self) -> str:
        """What stands between several values; never empty."""
        return self.delimiter or DEFAULT_DELIMITER

    @property
    def is_stored(self) -> bool:
        """Whether a key stands in where no value is given; only secure options have one."""
        return self.secure and bool(self.storage_path)

    @property
    def default(self) -> str | None:
        """The value where none is given."""
        if self.secure:
            return None
        if self.value:
            return self.value
        if self.multivalued and self.multivalue_all_selected and self.values:
            return self.separator.join(self.values)
        return None

    def parts(self, value: str) -> list[str]:
        """The single values of a multivalued option's value, without empty ones."""
        return [part for part in value.split(self.separator) if part]
