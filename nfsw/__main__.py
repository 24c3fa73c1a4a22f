"""`python -m nfsw` is `nfsw`."""

import sys

from nfsw.cli import main

if __name__ == "__main__":
    sys.exit(main())
