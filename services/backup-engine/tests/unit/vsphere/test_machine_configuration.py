"""The stored configuration of a VM reads back equal, and what is not one is refused."""

import json

import pytest
from backup_engine.domain.machine_configuration import (
    ConfiguredDisk,
    Controller,
    MachineConfiguration,
    NetworkCard,
)

WEB = MachineConfiguration(
    name="wéb #1",
    guest_id="debian12_64Guest",
    hardware_version="vmx-19",
    cpus=4,
    cores_per_socket=2,
    memory_mib=8192,
    firmware="efi",
    secure_boot=True,
    uuid="u",
    instance_uuid="i",
    annotation="line\nline",
    controllers=(
        Controller(1000, "ParaVirtualSCSIController", 0, "noSharing"),
        Controller(15000, "VirtualAHCIController", 0),
    ),
    disks=(ConfiguredDisk(2000, "Hard disk 1", 1000, 0, 1 << 40, "d", "persistent", thin=True, datastore="ds"),),
    cards=(NetworkCard(4000, "VirtualVmxnet3", "VM Network", "00:0c:29:00:00:01", start_connected=False),),
    extra={"guestinfo.a": "1"},
    not_restorable=("Virtual TPM",),
)


def test_it_reads_back_equal_through_json() -> None:
    assert MachineConfiguration.from_json(json.loads(json.dumps(WEB.to_json()))) == WEB


def test_fields_that_a_later_version_added_are_ignored() -> None:
    stored = WEB.to_json() | {"colour": "blue"}
    stored["disks"] = [disk | {"iops": 5} for disk in stored["disks"]]
    assert MachineConfiguration.from_json(stored) == WEB


@pytest.mark.parametrize("stored", [{}, {"format": 2}, {"format": 1}, {"format": 1, "disks": [], "controllers": None}])
def test_what_is_not_such_a_document_is_refused(stored: dict) -> None:
    with pytest.raises(ValueError, match="machine configuration"):
        MachineConfiguration.from_json(stored)


def test_disks_and_controllers_are_found_by_key() -> None:
    assert WEB.disk(2000).label == "Hard disk 1"
    assert WEB.controller(15000).type == "VirtualAHCIController"
    with pytest.raises(KeyError):
        WEB.disk(1)
