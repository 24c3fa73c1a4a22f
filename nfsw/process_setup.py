"""What the main process sets up for itself before it opens anything."""

import os
import resource


def open_standard_descriptors() -> None:
    """Leads those of descriptors 0 to 2 that are closed (`>&-`) to /dev/null.

    Else the next file or socket would get such a number, and whoever writes to stdout would write into it: the board of a
    child, say, which children inherit.
    """
    for standard in (0, 1, 2):
        try:
            os.fstat(standard)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(opened, True)


def raise_open_files_limit() -> None:
    """As many descriptors as the system allows: the soft limit of 1024 is for programs that use select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
