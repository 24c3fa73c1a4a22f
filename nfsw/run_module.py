"""`python -P .../nfsw/run_module.py MODULE ARGUMENTS`: runs a module of the very package that this file belongs to.

Child processes are started this way. `python -m` would look into the working directory first, where an `nfsw/` or a
`types.py` of somebody may lie; and with `-P` alone another nfsw that is installed may be found instead of the one that runs.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from runpy import run_module


def command(module: str, *arguments: str) -> list[str]:
    """Starts a child process: the same interpreter, the same package."""
    return [sys.executable, "-P", __file__, module, *arguments]


def main() -> None:
    package = __file__.rpartition("/")[0]
    spec = spec_from_file_location("nfsw", f"{package}/__init__.py", submodule_search_locations=[package])
    assert spec is not None
    assert spec.loader is not None
    sys.modules["nfsw"] = nfsw = module_from_spec(spec)
    spec.loader.exec_module(nfsw)
    del sys.argv[0]
    run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
