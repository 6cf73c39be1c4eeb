"""Virtual disks: sparse files, delta chains, changed block tracking, disk images and the VMDK stream format."""
