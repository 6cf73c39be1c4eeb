"""What the host serves beside SOAP: datastore files, NFC streams; and the simulator's own control."""
