"""The four NFS actors as real child processes, on a folder that stands in for NFS and staging."""

from pathlib import Path

from nfsw.actors.config import ActorConfig, ClaimerConfig, CollectorConfig, KeeperConfig, ScannerConfig
from nfsw.supervisor.child import ProcessChild


def configs(folder: Path) -> dict[str, ActorConfig]:
    nfs, staging = folder / "nfs", folder / "staging"
    nfs.mkdir()
    staging.mkdir()
    return {
        "keeper": KeeperConfig(str(nfs), "pod-a"),
        "scanner": ScannerConfig(str(nfs), 0.1, 0.0, 0.0, (), 1 << 30),
        "claimer": ClaimerConfig(str(nfs), str(staging), 1 << 20, 2, content_md5=False),
        "collector": CollectorConfig(str(nfs), str(staging), 0.1, 2),
    }


def start_real(folder: Path) -> dict[str, ProcessChild]:
    return {name: ProcessChild.start(name, config, "INFO", 4) for name, config in configs(folder).items()}
