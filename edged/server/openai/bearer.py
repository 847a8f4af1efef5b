"""Who calls the HTTP API on the LAN: a program shows its key with each request."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import Scope

from edged.errors import Unauthenticated
from edged.records import DeviceKind
from edged.server.api_keys import FORM, credential_of
from edged.server.caller import Caller
from edged.server.web.context import peer_address
from edged.server.web.headers import require_same_origin
from edged.server.web.identity import Registry

NO_KEY = "this takes a key, as the header Authorization: Bearer KEY: `edged devices key NAME` on the daemon's machine"


class KeyHolders:
    """Those with a key that is worth something now, and no page of another site."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, scope: Scope) -> Callable[[], Caller]:
        """Says who calls, each time anew; that raises Unauthenticated. Raises PermissionDenied for a page."""
        headers = Headers(scope=scope)
        require_same_origin(headers)
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip()

        def identify() -> Caller:
            if scheme.lower() != "bearer" or not FORM.fullmatch(key):
                raise Unauthenticated(NO_KEY)
            device = self._registry.identify(credential_of(key))
            if device.kind is not DeviceKind.API_KEY:
                raise Unauthenticated(NO_KEY)
            return Caller(device=device, address=peer_address(scope))

        return identify
