"""A simulated host in a thread of its own, so that the (blocking) pyvmomi client can be used as it is."""

import asyncio
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim
from simulators.esxi import EsxiSimulator, HostSpec, VmSpec

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # pyvmomi leaves sockets to the garbage collector; warnings are errors everywhere else.
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


class Lab:
    """A running host, a logged-in client, and short ways to do what every test does."""

    def __init__(self, spec: HostSpec) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.simulator = self.run(self._make(spec))
        self.running = self.run(self.simulator.start())
        self.control = httpx.Client(base_url=self.running.control_url, trust_env=False, timeout=30)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.https = httpx.Client(
            verify=context, trust_env=False, timeout=30, base_url=f"https://127.0.0.1:{self.running.port}"
        )
        self.si = self.connect()

    @staticmethod
    async def _make(spec: HostSpec) -> EsxiSimulator:
        return EsxiSimulator(spec)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def connect(self, password: str | None = None) -> Any:
        return SmartConnect(
            host="127.0.0.1", port=self.running.port, user="root", pwd=password or self.running.password,
            disableSslCertValidation=True,
        )  # fmt: skip

    def reconnect(self) -> None:
        self.si._stub.DropConnections()
        self.si = self.connect()

    @property
    def cookies(self) -> dict[str, str]:
        return {"vmware_soap_session": f'"{self.si._stub.GetSessionId()}"'}

    def vm(self, name: str) -> Any:
        folder = self.si.content.rootFolder.childEntity[0].vmFolder
        return next(vm for vm in folder.childEntity if vm.name == name)

    def add(self, text: str, **more: Any) -> Any:
        spec = VmSpec.parse(text)
        moid = self.run(self.simulator.add_vm(VmSpec(**{**vars(spec), **more})))
        return vim.VirtualMachine(moid, self.si._stub)

    def snapshot(self, vm: Any, name: str = "s") -> Any:
        return done(vm.CreateSnapshot_Task(name, "", memory=False, quiesce=False))

    def write(self, vm: Any, fraction: float = 0.1, seed: int = 1, **more: Any) -> int:
        answer = self.control.post(f"/_sim/vms/{vm._moId}/write", json={"fraction": fraction, "seed": seed, **more})
        return int(answer.raise_for_status().json()["bytes_written"])

    def poke(self, vm: Any, offset: int, data: bytes, key: int = 2000) -> None:
        path = f"/_sim/vms/{vm._moId}/disks/{key}/bytes?offset={offset}"
        self.control.put(path, content=data).raise_for_status()

    def image(self, vm: Any, snapshot: Any = None, key: int = 2000) -> bytes:
        capacity = self.sha(vm, snapshot, key)["capacity_bytes"]
        query = f"&snapshot={snapshot._moId}" if snapshot else ""
        path = f"/_sim/vms/{vm._moId}/disks/{key}/bytes?offset=0&length={capacity}{query}"
        return self.control.get(path).raise_for_status().content

    def sha(self, vm: Any, snapshot: Any = None, key: int = 2000) -> Any:
        query = {"snapshot": snapshot._moId} if snapshot else {}
        return self.control.get(f"/_sim/vms/{vm._moId}/disks/{key}/sha256", params=query).raise_for_status().json()

    def faults(self, *rules: dict[str, Any]) -> None:
        self.control.put("/_sim/faults", json=list(rules)).raise_for_status()

    def lease_url(self, lease: Any, number: int = 0) -> str:
        return lease.info.deviceUrl[number].url.replace("*", f"127.0.0.1:{self.running.port}")

    def ready(self, lease: Any) -> Any:
        eventually(lambda: lease.state == "ready")
        return lease

    def download(self, url: str) -> bytes:
        with self.https.stream("GET", url) as answer:
            assert answer.status_code == 200
            return b"".join(answer.iter_bytes())

    def close(self) -> None:
        Disconnect(self.si)
        self.si._stub.DropConnections()
        self.control.close()
        self.https.close()
        self.run(self.simulator.stop(erase=True))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def done(task: Any) -> Any:
    """Result of a task; its fault is raised."""
    WaitForTask(task)
    return task.info.result


def eventually(condition: Callable[[], Any], seconds: float = 10) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.01)
    return value


@pytest.fixture(scope="module")
def make_lab() -> Iterator[Callable[..., Lab]]:
    labs: list[Lab] = []

    def make(*vms: str, **more: Any) -> Lab:
        folder = Path(tempfile.mkdtemp(prefix="esxi-test-"))
        labs.append(Lab(HostSpec(folder=folder, vms=tuple(VmSpec.parse(vm) for vm in vms), **more)))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()
        shutil.rmtree(lab.simulator.spec.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def shared_lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("web:64m:8m")


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    yield shared_lab
    shared_lab.faults()
    if shared_lab.si.content.sessionManager.currentSession is None:
        shared_lab.reconnect()


@pytest.fixture(name="done")
def done_fixture() -> Callable[[Any], Any]:
    return done


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    return eventually
