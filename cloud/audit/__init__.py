"""The audit log: who changed or looked at what, append-only, a chain of hashes for each tenant."""
