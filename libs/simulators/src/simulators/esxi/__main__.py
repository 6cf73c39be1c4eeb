"""The simulated host as a program."""

from pathlib import Path
from typing import Any

from simulators.esxi.runtime import EsxiSimulator
from simulators.esxi.spec import HostSpec, VmSpec
from simulators.server import Running, arguments, run


def main() -> None:
    """Parse the command line and serve until SIGINT or SIGTERM."""
    parser = arguments("A simulated ESXi host for pyvmomi clients. Disks are sparse files below --folder.")
    parser.add_argument("--control-port", type=int, default=0, help="port of /_sim/ (plain http); 0 takes a free one")
    parser.add_argument("--username", default="root")
    parser.add_argument("--password", default="VMware1!", help="default: %(default)s")
    parser.add_argument("--folder", type=Path, required=True, help="where disks and certificate are kept")
    parser.add_argument("--name", default="esxi.sim.local", help="host name shown in the inventory")
    parser.add_argument("--licence", choices=["enterprise", "free"], default="enterprise", help="free: a read-only API")
    parser.add_argument("--lease-timeout", type=int, default=300, help="seconds without a report until a lease ends")
    parser.add_argument("--datastore", action="append", default=[], help="name of a datastore (repeatable)")
    parser.add_argument(
        "--vm", action="append", default=[], type=VmSpec.parse, metavar="NAME:SIZE:USED[:gpt][:off]",
        help="a VM, e.g. web:2g:400m; further SIZE:USED pairs add disks (repeatable)",
    )  # fmt: skip
    given = parser.parse_args()
    spec = HostSpec(
        folder=given.folder.resolve(), vms=tuple(given.vm), username=given.username, password=given.password,
        name=given.name, host=given.host, port=given.port, control_port=given.control_port, licence=given.licence,
        datastores=tuple(given.datastore) or ("datastore1",), lease_timeout=given.lease_timeout,
    )  # fmt: skip

    async def begin() -> tuple[Running, dict[str, Any]]:
        simulator = EsxiSimulator(spec)
        running = await simulator.start()
        main_listener = simulator.listener
        main_listener.on_stop(simulator.stop)
        return main_listener, running.announced()

    run(begin, given.announce)


if __name__ == "__main__":
    main()
