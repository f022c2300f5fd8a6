"""The outbox: committed frames in SQLite until the cloud has them, within a fixed room on the disk."""
