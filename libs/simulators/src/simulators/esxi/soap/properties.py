"""Properties of every managed object of a standalone host, as tables of getters by type and name.

A property that a type has but its table does not is unset. Not here: which object an id means (`objects`).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from simulators.esxi.model.host import NETWORK, EsxHost
from simulators.esxi.model.leases import Lease
from simulators.esxi.model.sessions import CURRENT
from simulators.esxi.model.tasks import Task
from simulators.esxi.model.vm import Snapshot, Vm
from simulators.esxi.soap import hardware
from simulators.esxi.soap.wire import API_VERSION
from simulators.esxi.vmodl import vim, vmodl

Getter = Callable[[EsxHost, Any], Any]
FOLDERS = {
    "ha-folder-root": ("ha-folder-root", ["Folder", "Datacenter"]),
    "ha-folder-vm": ("vm", ["Folder", "VirtualMachine", "VirtualApp"]),
    "ha-folder-host": ("host", ["Folder", "ComputeResource"]),
    "ha-folder-datastore": ("datastore", ["Folder", "Datastore"]),
    "ha-folder-network": ("network", ["Folder", "Network"]),
}


def owner(host: EsxHost, snapshot: Snapshot) -> Vm:
    return next(vm for vm in host.vms.values() if vm.snapshot(snapshot.moid) is snapshot)


# -- service --------------------------------------------------------------------------------------------------------


def about(_: EsxHost) -> Any:
    return vim.AboutInfo(
        name="VMware ESXi", fullName="VMware ESXi 8.0.3 build-24022510 (simulated)", vendor="VMware, Inc.",
        version="8.0.3", build="24022510", localeVersion="INTL", localeBuild="000", osType="vmnix-x86",
        productLineId="embeddedEsx", apiType="HostAgent", apiVersion=API_VERSION,
        licenseProductName="VMware ESX Server",
        licenseProductVersion="8.0", patchLevel="0",
    )  # fmt: skip


def content(host: EsxHost, _: Any = None) -> Any:
    return vim.ServiceInstanceContent(
        rootFolder=vim.Folder("ha-folder-root"),
        propertyCollector=vmodl.query.PropertyCollector("ha-property-collector"),
        viewManager=vim.view.ViewManager("ViewManager"), about=about(host),
        sessionManager=vim.SessionManager("ha-sessionmgr"), licenseManager=vim.LicenseManager("ha-license-manager"),
        searchIndex=vim.SearchIndex("ha-searchindex"), fileManager=vim.FileManager("ha-nfc-file-manager"),
        ovfManager=vim.OvfManager("ha-ovf-manager"), taskManager=vim.TaskManager("ha-taskmgr"),
    )  # fmt: skip


def user_session(session: Any) -> Any:
    now = datetime.now(UTC)
    return vim.UserSession(
        key=session.key, userName=session.user or "", fullName=session.user or "", loginTime=session.since,
        lastActiveTime=now, locale="en", messageLocale="en", extensionSession=False, ipAddress="127.0.0.1",
        userAgent="", callCount=0,
    )  # fmt: skip


def _current_session() -> Any:
    session = CURRENT.get()
    return user_session(session) if session is not None and session.user is not None else None


def licences(host: EsxHost) -> list[Any]:
    free = host.spec.licence == "free"
    edition = "esx.hypervisor.cpuPackage" if free else "esx.enterprisePlus.cpuPackage"
    features = [] if free else [vim.KeyValue(key="backup", value="vStorage APIs")]
    info = vim.LicenseManager.LicenseInfo(
        licenseKey="00000-00000-00000-00000-00000", editionKey=edition, costUnit="cpuPackage", total=0, used=2,
        name="vSphere 8 Hypervisor" if free else "vSphere 8 Enterprise Plus",
        properties=[vmodl.KeyAnyValue(key="feature", value=feature) for feature in features],
    )  # fmt: skip
    return [info]


# -- virtual machines -----------------------------------------------------------------------------------------------


def _runtime(_: EsxHost, vm: Vm) -> Any:
    return vim.vm.RuntimeInfo(
        host=vim.HostSystem("ha-host"), connectionState="connected", powerState=vm.power, bootTime=vm.boot_time,
        consolidationNeeded=vm.consolidation_needed, suspendInterval=0, numMksConnections=0, onlineStandby=False,
        faultToleranceState="notConfigured", toolsInstallerMounted=False, maxCpuUsage=2400 * vm.cpus,
        maxMemoryUsage=vm.memory_mb, snapshotInBackground=False, recordReplayState="inactive",
        device=[], offlineFeatureRequirement=[], featureRequirement=[],
    )  # fmt: skip


def _guest(_: EsxHost, vm: Vm) -> Any:
    live = vm.running and vm.tools
    state = "guestToolsRunning" if live else "guestToolsNotRunning"
    address = f"192.168.10.{int(vm.moid) % 250 + 2}" if live else None
    return vim.vm.GuestInfo(
        toolsStatus="toolsOk" if live else ("toolsNotRunning" if vm.tools else "toolsNotInstalled"),
        toolsRunningStatus=state, toolsVersionStatus2="guestToolsCurrent" if vm.tools else "guestToolsNotInstalled",
        toolsVersion="12352" if vm.tools else "0", guestState="running" if vm.running else "notRunning",
        guestId=vm.guest_id if live else None, guestFamily="linuxGuest" if live else None,
        guestFullName="Debian GNU/Linux 12 (64-bit)" if live else None, hostName=vm.name if live else None,
        ipAddress=address, guestOperationsReady=live, interactiveGuestOperationsReady=False,
        guestStateChangeSupported=live,
    )  # fmt: skip


def _storage(_: EsxHost, vm: Vm) -> Any:
    used = sum(disk.allocated_bytes() for disk in vm.all_disks())
    room = sum(max(0, item.disk.capacity - item.disk.allocated_bytes()) for item in vm.disks)
    usage = vim.vm.StorageInfo.UsageOnDatastore(
        datastore=vim.Datastore(vm.datastore), committed=used, uncommitted=room, unshared=used
    )
    return vim.vm.StorageInfo(perDatastoreUsage=[usage], timestamp=datetime.now(UTC))


def _summary(_: EsxHost, vm: Vm) -> Any:
    now = datetime.now(UTC)
    used = sum(disk.allocated_bytes() for disk in vm.all_disks())
    config = vim.vm.Summary.ConfigSummary(
        name=vm.name, template=vm.template, vmPathName=vm.vmx, memorySizeMB=vm.memory_mb, numCpu=vm.cpus, uuid=vm.uuid,
        instanceUuid=vm.instance_uuid, guestId=vm.guest_id, numVirtualDisks=len(vm.disks),
        numEthernetCards=len(vm.nics),
        annotation=vm.annotation, guestFullName="Debian GNU/Linux 12 (64-bit)",
    )  # fmt: skip
    guest = _guest(_, vm)
    return vim.vm.Summary(
        vm=vim.VirtualMachine(vm.moid), runtime=_runtime(_, vm), config=config, overallStatus="green",
        guest=vim.vm.Summary.GuestSummary(
            toolsStatus=guest.toolsStatus, toolsRunningStatus=guest.toolsRunningStatus, hostName=guest.hostName,
            ipAddress=guest.ipAddress, guestId=guest.guestId,
        ),
        storage=vim.vm.Summary.StorageSummary(committed=used, uncommitted=0, unshared=used, timestamp=now),
        quickStats=vim.vm.Summary.QuickStats(guestHeartbeatStatus="green" if guest.ipAddress else "gray"),
    )  # fmt: skip


def _tree(vm: Vm, snapshot: Snapshot) -> Any:
    return vim.vm.SnapshotTree(
        snapshot=vim.vm.Snapshot(snapshot.moid), vm=vim.VirtualMachine(vm.moid), name=snapshot.name,
        description=snapshot.description, id=snapshot.number, createTime=snapshot.created_at, state=snapshot.power,
        quiesced=snapshot.quiesced, childSnapshotList=[_tree(vm, child) for child in snapshot.children],
        replaySupported=False,
    )  # fmt: skip


def _snapshot_info(_: EsxHost, vm: Vm) -> Any:
    if not vm.roots:
        return None
    info = vim.vm.SnapshotInfo(rootSnapshotList=[_tree(vm, root) for root in vm.roots])
    if vm.current_snapshot is not None:
        info.currentSnapshot = vim.vm.Snapshot(vm.current_snapshot.moid)
    return info


def _vm_capability(_: EsxHost, vm: Vm) -> Any:
    return vim.vm.Capability(
        snapshotOperationsSupported=True, multipleSnapshotsSupported=True, snapshotConfigSupported=True,
        poweredOffSnapshotsSupported=True, memorySnapshotsSupported=True, revertToSnapshotSupported=True,
        quiescedSnapshotsSupported=True, disableSnapshotsSupported=False, lockSnapshotsSupported=False,
        changeTrackingSupported=int(vm.version.removeprefix("vmx-")) >= 7, diskSharesSupported=True,
    )  # fmt: skip


def _task_info(_: EsxHost, task: Task) -> Any:
    return vim.TaskInfo(
        key=task.moid, task=vim.Task(task.moid), descriptionId=task.name,
        entity=task.entity if isinstance(task.entity, vim.ManagedEntity) else None,
        entityName="", state=task.state, cancelled=False, cancelable=task.cancellable, progress=task.progress,
        result=task.result, error=task.error, queueTime=task.queued_at, startTime=task.queued_at,
        completeTime=task.completed_at, eventChainId=0, reason=vim.TaskReasonUser(userName=task.user),
    )  # fmt: skip


# -- leases ---------------------------------------------------------------------------------------------------------


def _lease_info(_: EsxHost, lease: Lease) -> Any:
    if lease.state != "ready":
        return None
    urls = [
        vim.HttpNfcLease.DeviceUrl(
            key=f"/{lease.vm.moid}/{item.slot}", importKey=f"/{lease.vm.name}/{item.slot}",
            url=f"https://*/nfc/{lease.moid}/{item.name}", sslThumbprint="", disk=True, targetId=item.name,
            datastoreKey="", fileSize=None,
        )
        for item in lease.devices
    ]  # fmt: skip
    return vim.HttpNfcLease.Info(
        lease=vim.HttpNfcLease(lease.moid), entity=vim.VirtualMachine(lease.vm.moid), deviceUrl=urls,
        totalDiskCapacityInKB=sum(item.capacity for item in lease.devices) // 1024, leaseTimeout=lease.timeout,
    )  # fmt: skip


# -- host, storage, folders -----------------------------------------------------------------------------------------


def _datastore_summary(host: EsxHost, name: str) -> Any:
    free = max(0, host.spec.free_bytes - host.used_bytes(name))
    return vim.Datastore.Summary(
        datastore=vim.Datastore(name), name=name, url=f"/vmfs/volumes/{name}", capacity=host.spec.free_bytes,
        freeSpace=free,
        accessible=True, multipleHostAccess=False, type="VMFS", maintenanceMode="normal", uncommitted=0,
    )  # fmt: skip


def _datastore_info(host: EsxHost, name: str) -> Any:
    summary = _datastore_summary(host, name)
    volume = vim.host.VmfsVolume(
        type="VMFS", name=name, capacity=summary.capacity, blockSizeMb=1, blockSize=1024, majorVersion=6,
        version="6.82",
        uuid=host.uuid, maxBlocks=1 << 20, vmfsUpgradable=False, ssd=True,
        extent=[vim.host.ScsiDisk.Partition(diskName="t10.NVMe____simulated", partition=1)],
    )  # fmt: skip
    return vim.host.VmfsDatastoreInfo(
        name=name, url=summary.url, freeSpace=summary.freeSpace, maxFileSize=64 << 40, vmfs=volume,
        timestamp=datetime.now(UTC),
        maxVirtualDiskCapacity=62 << 40,
    )  # fmt: skip


def _host_summary(host: EsxHost, _: Any) -> Any:
    product = about(host)
    return vim.host.Summary(
        host=vim.HostSystem("ha-host"), overallStatus="green", rebootRequired=False,
        hardware=vim.host.Summary.HardwareSummary(
            vendor="Simulated", model="ESXi simulator", uuid=host.uuid, memorySize=64 << 30, cpuModel="Simulated CPU",
            cpuMhz=2400, numCpuPkgs=1, numCpuCores=8, numCpuThreads=16, numNics=1, numHBAs=1,
        ),
        runtime=_host_runtime(host, None),
        config=vim.host.Summary.ConfigSummary(
            name=host.spec.name, port=902, product=product, vmotionEnabled=False, sslThumbprint=""
        ),
        quickStats=vim.host.Summary.QuickStats(),
    )  # fmt: skip


def _host_runtime(host: EsxHost, _: Any) -> Any:
    return vim.host.RuntimeInfo(
        connectionState="connected", powerState="poweredOn", standbyMode="none", inMaintenanceMode=False,
        inQuarantineMode=False, bootTime=host.started_at, dasHostState=None,
    )  # fmt: skip


def _vm_references(host: EsxHost, _: Any = None) -> list[Any]:
    return [vim.VirtualMachine(moid) for moid in host.vms]


def _datastores(host: EsxHost, _: Any = None) -> list[Any]:
    return [vim.Datastore(name) for name in host.spec.datastores]


def _networks(_host: EsxHost, _: Any = None) -> list[Any]:
    return [vim.Network(f"HaNetwork-{NETWORK}")]


def _children(host: EsxHost, moid: str) -> list[Any]:
    return {
        "ha-folder-root": lambda: [vim.Datacenter("ha-datacenter")],
        "ha-folder-vm": lambda: _vm_references(host),
        "ha-folder-host": lambda: [vim.ComputeResource("ha-compute-res")],
        "ha-folder-datastore": lambda: _datastores(host),
        "ha-folder-network": lambda: _networks(host),
    }[moid]()


def _folder_parent(moid: str) -> Any:
    return None if moid == "ha-folder-root" else vim.Datacenter("ha-datacenter")


def _network_summary(_: EsxHost, __: Any) -> Any:
    return vim.Network.Summary(
        network=vim.Network(f"HaNetwork-{NETWORK}"), name=NETWORK, accessible=True, ipPoolName=""
    )


COMMON: dict[str, Getter] = {
    "overallStatus": lambda _h, _s: "green",
    "configStatus": lambda _h, _s: "green",
    "recentTask": lambda _h, _s: [],
    "permission": lambda _h, _s: [],
    "effectiveRole": lambda _h, _s: [-1],
    "alarmActionsEnabled": lambda _h, _s: True,
    "tag": lambda _h, _s: [],
    "value": lambda _h, _s: [],
    "availableField": lambda _h, _s: [],
    "customValue": lambda _h, _s: [],
    "declaredAlarmState": lambda _h, _s: [],
    "triggeredAlarmState": lambda _h, _s: [],
    "disabledMethod": lambda _h, _s: [],
}
PROPERTIES: dict[str, dict[str, Getter]] = {
    "vim.ServiceInstance": {
        "content": content,
        "serverClock": lambda _h, _s: datetime.now(UTC),
        "capability": lambda _h, _s: vim.Capability(multiHostSupported=False, userShellAccessSupported=True),
    },
    "vim.SessionManager": {
        "currentSession": lambda _h, _s: _current_session(),
        "sessionList": lambda h, _s: [user_session(session) for session in h.sessions.authenticated()],
        "supportedLocaleList": lambda _h, _s: ["en"],
        "defaultLocale": lambda _h, _s: "en",
    },
    "vim.LicenseManager": {
        "licenses": lambda h, _s: licences(h),
        "licensedEdition": lambda h, _s: licences(h)[0].editionKey,
    },
    "vim.TaskManager": {"recentTask": lambda h, _s: [vim.Task(moid) for moid in list(h.tasks.by_moid)[-20:]]},
    "vim.view.ViewManager": {"viewList": lambda h, _s: [view.reference for view in h.views.values()]},
    "vim.view.ContainerView": {
        "view": lambda h, view: view.members(h),
        "container": lambda _h, view: view.container,
        "type": lambda _h, view: view.kinds,
        "recursive": lambda _h, view: view.recursive,
    },
    "vim.Folder": {
        "name": lambda _h, moid: FOLDERS[moid][0],
        "childType": lambda _h, moid: FOLDERS[moid][1],
        "childEntity": _children,
        "parent": lambda _h, moid: _folder_parent(moid),
    },
    "vim.Datacenter": {
        "name": lambda _h, _s: "ha-datacenter",
        "parent": lambda _h, _s: vim.Folder("ha-folder-root"),
        "vmFolder": lambda _h, _s: vim.Folder("ha-folder-vm"),
        "hostFolder": lambda _h, _s: vim.Folder("ha-folder-host"),
        "datastoreFolder": lambda _h, _s: vim.Folder("ha-folder-datastore"),
        "networkFolder": lambda _h, _s: vim.Folder("ha-folder-network"),
        "datastore": _datastores,
        "network": _networks,
    },
    "vim.ComputeResource": {
        "name": lambda h, _s: h.spec.name,
        "parent": lambda _h, _s: vim.Folder("ha-folder-host"),
        "host": lambda _h, _s: [vim.HostSystem("ha-host")],
        "resourcePool": lambda _h, _s: vim.ResourcePool("ha-root-pool"),
        "datastore": _datastores,
        "network": _networks,
    },
    "vim.ResourcePool": {
        "name": lambda _h, _s: "Resources",
        "parent": lambda _h, _s: vim.ComputeResource("ha-compute-res"),
        "owner": lambda _h, _s: vim.ComputeResource("ha-compute-res"),
        "vm": _vm_references,
        "resourcePool": lambda _h, _s: [],
    },
    "vim.HostSystem": {
        "name": lambda h, _s: h.spec.name,
        "parent": lambda _h, _s: vim.ComputeResource("ha-compute-res"),
        "summary": _host_summary,
        "runtime": _host_runtime,
        "datastore": _datastores,
        "network": _networks,
        "vm": _vm_references,
    },
    "vim.Datastore": {
        "name": lambda _h, name: name,
        "parent": lambda _h, _s: vim.Folder("ha-folder-datastore"),
        "summary": _datastore_summary,
        "info": _datastore_info,
        "browser": lambda _h, name: vim.host.DatastoreBrowser(f"datastorebrowser-{name}"),
        "vm": lambda h, name: [vim.VirtualMachine(vm.moid) for vm in h.vms.values() if vm.datastore == name],
        "capability": lambda _h, _s: vim.Datastore.Capability(
            directoryHierarchySupported=True, rawDiskMappingsSupported=True, perFileThinProvisioningSupported=True
        ),
    },
    "vim.Network": {
        "name": lambda _h, _s: NETWORK,
        "parent": lambda _h, _s: vim.Folder("ha-folder-network"),
        "summary": _network_summary,
        "host": lambda _h, _s: [vim.HostSystem("ha-host")],
        "vm": _vm_references,
    },
    "vim.VirtualMachine": {
        "name": lambda _h, vm: vm.name,
        "parent": lambda _h, _s: vim.Folder("ha-folder-vm"),
        "config": lambda _h, vm: hardware.config_object(vm),
        "runtime": _runtime,
        "guest": _guest,
        "guestHeartbeatStatus": lambda _h, vm: "green" if vm.running and vm.tools else "gray",
        "summary": _summary,
        "storage": _storage,
        "capability": _vm_capability,
        "snapshot": _snapshot_info,
        "rootSnapshot": lambda _h, vm: [vim.vm.Snapshot(root.moid) for root in vm.roots],
        "layoutEx": lambda _h, vm: hardware.layout_object(vm),
        "datastore": lambda _h, vm: [vim.Datastore(vm.datastore)],
        "network": _networks,
        "resourcePool": lambda _h, _s: vim.ResourcePool("ha-root-pool"),
        "recentTask": lambda _h, vm: [vim.Task(vm.busy.moid)] if vm.busy else [],
    },
    "vim.vm.Snapshot": {
        "config": lambda h, snapshot: hardware.config_object(owner(h, snapshot), snapshot),
        "vm": lambda h, snapshot: vim.VirtualMachine(owner(h, snapshot).moid),
        "childSnapshot": lambda _h, snapshot: [vim.vm.Snapshot(child.moid) for child in snapshot.children],
    },
    "vim.Task": {"info": _task_info},
    "vim.HttpNfcLease": {
        "state": lambda _h, lease: lease.state,
        "info": _lease_info,
        "error": lambda _h, lease: lease.error if lease.state == "error" else None,
        "initializeProgress": lambda _h, lease: 0 if lease.stage == "initializing" else 100,
        "transferProgress": lambda _h, lease: lease.percent,
        "mode": lambda _h, _s: "pushOrGet",
    },
    "vim.host.DatastoreBrowser": {"datastore": lambda _h, name: [vim.Datastore(name)]},
}
