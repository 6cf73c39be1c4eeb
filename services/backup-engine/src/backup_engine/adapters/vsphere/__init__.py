"""VMware vSphere made real for `ports.hypervisor`: public SOAP and HTTPS calls only, no disk library of VMware's."""
