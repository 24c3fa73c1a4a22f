"""nfsw moves files from an NFS directory to Azure Blob Storage and loses none of them.

Every process of the service imports this package first, so nothing is imported here.
"""

__version__ = "0.1.0"
