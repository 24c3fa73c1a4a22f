"""The terminal side of nfsw: clients of the REST API of a running service. The standard library, and rich for live progress."""
