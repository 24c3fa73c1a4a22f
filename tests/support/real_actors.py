"""The four NFS actors as real child processes, on a folder that stands in for NFS and staging."""

from pathlib import Path

from nfsw.actors.config import ActorConfig, Boot, ClaimerConfig, CollectorConfig, KeeperConfig, ScannerConfig
from nfsw.supervisor.child import ProcessChild

#: Of a board: as many as any of them has threads, and more.
SLOTS = 4


def boots(folder: Path) -> dict[str, Boot]:
    """The first message for each of them, by its name. Makes the folders."""
    nfs, staging = folder / "nfs", folder / "staging"
    nfs.mkdir()
    staging.mkdir()
    configs: dict[str, ActorConfig] = {
        "keeper": KeeperConfig(str(nfs), "pod-a"),
        "scanner": ScannerConfig(str(nfs), 0.1, 0.0, 0.0, (), 1 << 30),
        "claimer": ClaimerConfig(str(nfs), str(staging), 1 << 20, 2, content_md5=False),
        "collector": CollectorConfig(str(nfs), str(staging), 0.1, 2),
    }
    return {name: Boot(config, "INFO", SLOTS) for name, config in configs.items()}


def start_real(folder: Path) -> dict[str, ProcessChild]:
    return {name: ProcessChild.start(name, boot, SLOTS) for name, boot in boots(folder).items()}
