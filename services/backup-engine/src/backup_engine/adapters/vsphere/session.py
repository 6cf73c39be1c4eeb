"""A logged-in session with a host: calls in threads, with a time-out, fenced, and logged in again when it expired.

Not here: what is asked (`inventory.py` and its neighbours), the connection itself (`dialer.py`, `soap.py`).
"""

import asyncio
import functools
import http.client
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from backup_engine.adapters.vsphere.dialer import Dialer, PinnedHost
from backup_engine.adapters.vsphere.faults import as_error
from backup_engine.adapters.vsphere.soap import PinnedStub, newest_common_version
from backup_engine.adapters.vsphere.vmodl import moid_of, vim, vmodl
from backup_engine.errors.hypervisor import HypervisorTimeout
from backup_engine.ports.hypervisor import Fence
from backup_engine.ports.hypervisor_values import Credentials

query: Any = vmodl.query.PropertyCollector
T = TypeVar("T")

CALL_SECONDS = 60.0
"""A call that only starts work answers in a second; a host under memory pressure takes tens."""

_OPENING = frozenset({"RetrieveContent", "Login"})
"""Calls whose answers may carry the session's cookie."""

_log = logging.getLogger(__name__)


class Session:
    """One account on one host. Safe for concurrent use."""

    def __init__(
        self, dialer: Dialer, pinned: PinnedHost, credentials: Credentials, pool: ThreadPoolExecutor, fence: Fence
    ) -> None:
        self.dialer = dialer
        self.pinned = pinned
        self.fence = fence
        self.about: Any = None
        self.content: Any = None
        self.key: str | None = None
        self._credentials = credentials
        self._pool = pool
        self._stub = PinnedStub(pinned)
        self._logins = 0
        self._login_lock = asyncio.Lock()

    @property
    def cookie(self) -> str:
        """Value of a `Cookie` header that authenticates HTTP transfers."""
        return str(self._stub.cookie).partition(";")[0]

    @property
    def is_vcenter(self) -> bool:
        """Whether it manages other hosts."""
        return str(self.about.apiType) == "VirtualCenter"

    async def open(self) -> None:
        """Find the version that both speak and log in. Raises HypervisorLoginRefused and what a call can raise."""
        self.content = await self.call("RetrieveContent", self._retrieve_content)
        self.about = self.content.about
        version = newest_common_version(self.about.apiVersion)
        self._stub.close()
        self._stub = PinnedStub(self.pinned, version)
        self.content = await self.call("RetrieveContent", self._retrieve_content)
        await self._login(seen=0)

    def managed(self, kind: Any, moid: str) -> Any:
        """A managed object of this session."""
        return kind(moid, self._stub)

    async def call(
        self,
        operation: str,
        function: Callable[[], T],
        *,
        seconds: float = CALL_SECONDS,
        changes: bool = False,
        passing: tuple[Any, ...] = (),
    ) -> T:
        """Run a blocking pyvmomi call.

        An expired session is renewed and the call repeated: the host refused it unread. A broken connection is tried
        again once if the call only reads; one that `changes` the host is sent on a fresh connection and never twice.

        Raises:
            HypervisorError: of the kind that fits; faults listed in `passing` come as they are.
        """
        for attempt in (1, 2):
            seen = self._logins
            try:
                return await self._run(operation, function, seconds, fresh=changes, passing=passing)
            except vim.fault.NotAuthenticated as expired:
                if attempt == 2:
                    raise as_error(expired, host=self.pinned.host, operation=operation) from expired
                await self._login(seen)
            except _Broken as broken:
                if attempt == 2 or changes:
                    raise as_error(broken.cause, host=self.pinned.host, operation=operation) from broken.cause
        raise AssertionError("the second attempt returns or raises")

    async def renew(self, seen: str) -> None:
        """Log in again unless somebody has since the cookie `seen` was refused (HTTP 401)."""
        if self.cookie == seen:
            await self._login(self._logins)

    async def close(self) -> None:
        """Log out; a host that is gone is no error."""
        try:
            await self._run("Logout", self.content.sessionManager.Logout, 10.0, fenced=False)
        except Exception as error:  # noqa: BLE001 - the session ends by itself, whatever this was
            _log.info("logout failed", extra={"reason": type(error).__name__})
        finally:
            self._stub.close()

    def _retrieve_content(self) -> Any:
        return self.managed(vim.ServiceInstance, "ServiceInstance").RetrieveContent()

    async def _login(self, seen: int) -> None:
        async with self._login_lock:
            if self._logins != seen:
                return
            user, password = self._credentials.username, self._credentials.password
            try:
                session = await self._run(
                    "Login", lambda: self.content.sessionManager.Login(userName=user, password=password), CALL_SECONDS
                )
            except vim.fault.InvalidLogin as refused:
                raise as_error(refused, host=self.pinned.host, operation="Login") from None
            except _Broken as broken:
                raise as_error(broken.cause, host=self.pinned.host, operation="Login") from broken.cause
            self.key = session.key
            self._logins += 1

    async def _run(
        self,
        operation: str,
        function: Callable[[], T],
        seconds: float,
        *,
        fresh: bool = False,
        fenced: bool = True,
        passing: tuple[Any, ...] = (),
    ) -> T:
        """Raises NotAuthenticated and InvalidLogin as they are, _Broken for the connection, our errors for the rest."""
        if fenced:
            self.fence()

        def work() -> T:
            self._stub.prepare(seconds=seconds, takes_cookie=operation in _OPENING)
            if fresh:
                self._stub.DropConnections()
            return function()

        running = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            # The thread gives up by itself; the margin is for one that waits for a free thread.
            async with asyncio.timeout(2 * seconds + 15):
                return await running
        except (vim.fault.NotAuthenticated, vim.fault.InvalidLogin, *passing):
            raise
        except TimeoutError as error:
            raise HypervisorTimeout(host=self.pinned.host, operation=operation, seconds=round(seconds)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(error) from error
        except Exception as error:
            raise as_error(error, host=self.pinned.host, operation=operation) from error


class _Broken(Exception):
    """The connection failed; `cause` says how."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


async def read_properties(
    session: Session, kind: Any, moids: Sequence[str], paths: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Properties by leaf path, in pages: moid → {path: value}; what is unset or not permitted is absent.

    Accessors of pyvmomi's objects are not used: a host that sends one odd value breaks them all.
    Raises the error for ManagedObjectNotFound when one of the objects is gone.
    """
    spec = query.FilterSpec(
        objectSet=[query.ObjectSpec(obj=session.managed(kind, moid)) for moid in moids],
        propSet=[query.PropertySpec(type=kind, pathSet=list(paths), all=False)],
    )
    return await _retrieve(session, spec)


async def read_all(session: Session, kinds: Mapping[Any, Sequence[str]]) -> dict[Any, dict[str, dict[str, Any]]]:
    """Properties of every object of these kinds below the root folder: kind → moid → {path: value}."""
    view = await session.call(
        "CreateContainerView",
        lambda: session.content.viewManager.CreateContainerView(
            container=session.content.rootFolder, type=list(kinds), recursive=True
        ),
    )
    walk = query.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
    spec = query.FilterSpec(
        objectSet=[query.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
        propSet=[query.PropertySpec(type=k, pathSet=list(p), all=False) for k, p in kinds.items()],
    )
    found: dict[Any, dict[str, dict[str, Any]]] = {kind: {} for kind in kinds}
    try:
        for kind, moid, values in await _pages(session, spec):
            found.setdefault(kind, {})[moid] = values
    finally:
        await session.call("DestroyView", view.DestroyView)
    return found


async def _retrieve(session: Session, spec: Any) -> dict[str, dict[str, Any]]:
    return {moid: values for _, moid, values in await _pages(session, spec)}


async def _pages(session: Session, spec: Any) -> list[tuple[Any, str, dict[str, Any]]]:
    collector = session.content.propertyCollector
    options = query.RetrieveOptions(maxObjects=100)
    page = await session.call("RetrievePropertiesEx", lambda: collector.RetrievePropertiesEx([spec], options))
    found = []
    while page is not None:
        for entry in page.objects:
            values = {value.name: value.val for value in entry.propSet or ()}
            found.append((type(entry.obj), moid_of(entry.obj), values))
        token = page.token
        if not token:
            break
        more = functools.partial(collector.ContinueRetrievePropertiesEx, token)
        page = await session.call("ContinueRetrievePropertiesEx", more)
    return found
