"""The uplink: sends committed frames over NATS until the cloud has acknowledged them."""
