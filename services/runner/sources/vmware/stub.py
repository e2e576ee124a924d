"""The library's connections, with limits in time, cut where nobody waits any more, and with errors of ours."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any, Final
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError

from runbus.plugin import SourceError
from services.runner.sources.vmware.abort import Abort
from services.runner.sources.vmware.answers import Page, page_of
from services.runner.sources.vmware.api import SoapResponseDeserializer, SoapStubAdapter
from services.runner.sources.vmware.config import Address
from services.runner.sources.vmware.faults import failed, unreachable

CONNECT_WITHIN_S: Final = 15.0
ANSWER_WITHIN_S: Final = 60.0
"""So long the server may keep silent; the whole may take longer."""
LEAVE_WITHIN_S: Final = 3.0
_VERSION: Final = "vim.version.version9"
"""vSphere 5.5, which every later one speaks, too."""
_READING: Final = ("RetrievePropertiesEx", "ContinueRetrievePropertiesEx")
_NOT_UNDERSTOOD: Final = (ExpatError, ParseError, AttributeError, LookupError, TypeError, ValueError)
"""What the library raises where an answer is none of the API's."""


class Stub(SoapStubAdapter):
    """Asks. Raises :class:`SourceError`, or a fault that the server answered with."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None, abort: Abort) -> None:
        port = address.port if address.scheme == "https" else -address.port
        super().__init__(  # type: ignore[no-untyped-call]
            address.host, port, path=address.path, version=_VERSION, sslContext=tls,
            httpConnectionTimeout=CONNECT_WITHIN_S,
        )  # fmt: skip
        self._address = address
        self._abort = abort
        self._answer_within_s = ANSWER_WITHIN_S
        self._is_leaving = False

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:  # noqa: N802, N803
        """One call; what comes of a property collector is a :class:`Page`."""
        try:
            if info.wsdlName in _READING:
                return self._read(self.SerializeRequest(mo, info, args))  # type: ignore[no-untyped-call]
            return super().InvokeMethod(mo, info, args, outerStub)  # type: ignore[no-untyped-call]
        except (OSError, HTTPException, *_NOT_UNDERSTOOD) as cause:
            raise failed(self._address, cause, within_s=self._answer_within_s) from None

    def _read(self, request: bytes) -> Page:
        """As the library does it, but for what is made of the answer."""
        connection = self.GetConnection()
        headers = {"Cookie": self.cookie, "SOAPAction": self.versionId, "Content-Type": "text/xml; charset=UTF-8"}
        try:
            connection.request("POST", self.path, request, headers)
            response = connection.getresponse()
            page = self._page(response)
            response.read()
        except BaseException:
            connection.close()
            raise
        self.ReturnConnection(connection)  # type: ignore[no-untyped-call]
        return page

    def _page(self, response: HTTPResponse) -> Page:
        if response.status == HTTPStatus.OK:
            return page_from(response)
        if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SoapResponseDeserializer(self).Deserialize(response, None)  # type: ignore[no-untyped-call]
        raise HTTPException(f"{response.status} {response.reason}")

    def GetConnection(self) -> Any:  # noqa: N802
        """A connection that is open."""
        if not self._is_leaving:
            self._abort.check()
        try:
            connection: Any = super().GetConnection()  # type: ignore[no-untyped-call]
        except OSError as cause:
            raise unreachable(self._address, cause, within_s=CONNECT_WITHIN_S) from None
        connection.sock.settimeout(self._answer_within_s)
        try:
            if not self._is_leaving:
                self._abort.watch(connection)
        except SourceError:
            connection.close()
            raise
        return connection

    def leave(self) -> None:
        """From now on calls end soon, and are not cut."""
        self._is_leaving = True
        self._abort.release()
        self._answer_within_s = LEAVE_WITHIN_S
        self.schemeArgs["timeout"] = LEAVE_WITHIN_S

    def close(self) -> None:
        """Close every connection."""
        self.DropConnections()  # type: ignore[no-untyped-call]


def page_from(response: HTTPResponse) -> Page:
    """What :func:`page_of` reads of it. Raises IncompleteRead where there is less of it than was announced."""
    try:
        return page_of(response)
    except ParseError:
        if response.length:
            raise IncompleteRead(b"", response.length) from None
        raise
