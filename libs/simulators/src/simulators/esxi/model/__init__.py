"""What the simulated host is: VMs, snapshots, sessions, tasks, leases. Nothing here knows SOAP messages or HTTP."""
