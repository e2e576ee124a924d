"""The library, as far as it is used. Its types are made at run time: a checker knows none of them."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim as _vim
from pyVmomi import vmodl as _vmodl
from pyVmomi.SoapAdapter import SoapResponseDeserializer, SoapStubAdapter

__all__ = ["SoapResponseDeserializer", "SoapStubAdapter", "vim", "vmodl"]

vim: Any = _vim
vmodl: Any = _vmodl
