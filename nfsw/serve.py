"""`nfsw serve`: puts the service together and runs it until it is told to end. The main process.

The children are started before FastAPI is imported, so that they boot meanwhile. The end is immediate, whatever brings it
about: children are killed, and the process leaves without waiting for their work. What was under way is found again.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import NoReturn

from nfsw import process_setup, settings
from nfsw.actors import logs
from nfsw.actors.config import ActorConfig, Boot, ClaimerConfig, CollectorConfig, KeeperConfig, ScannerConfig, UploaderConfig
from nfsw.actors.manifest import largest_staged
from nfsw.settings import Settings
from nfsw.supervisor.actor_ref import ActorRef, ChildSpec
from nfsw.supervisor.assembly import Limits, MainProcess, assemble
from nfsw.supervisor.child import ProcessChild
from nfsw.supervisor.environment import without_secrets
from nfsw.supervisor.exporters import SCOPE, Providers, providers
from nfsw.supervisor.instruments import Instruments
from nfsw.supervisor.orphans import reap_orphans
from nfsw.supervisor.staging_lock import StagingTaken, lock_staging
from nfsw.supervisor.telemetry import Telemetry
from nfsw.supervisor.transfer_service import TransferService

log = logging.getLogger("nfsw.serve")

#: Azure cannot be reached, or refused the credentials, at the start.
NO_AZURE = 1
#: The environment does not make a configuration.
BAD_SETTINGS = 2
#: The pod has asked for its restart (`/healthz` says why) and was told to end; sysexits.h's EX_UNAVAILABLE.
ASKED_FOR_RESTART = 69
#: An error that nobody expected; sysexits.h's EX_SOFTWARE.
CRASHED = 70
#: Another pod holds what this one held; sysexits.h's EX_TEMPFAIL.
LOST_SESSION = 75


def main() -> int:
    """Reads the environment and serves. Returns an exit code, or leaves the process by itself."""
    process_setup.open_standard_descriptors()
    process_setup.raise_open_files_limit()
    try:
        chosen = settings.load()
        unlocked = _lock_staging(chosen)
        listening = _listen(chosen)
    except settings.BadSettings as wrong:
        print(f"nfsw: {wrong}", file=sys.stderr)  # noqa: T201 - the contract's one line
        return BAD_SETTINGS
    logs.configure(chosen.log_level)
    for name in settings.unknown(os.environ):
        log.warning("unknown setting %s", name)
    if unlocked:
        log.warning("cannot lock the staging folder, so a second service in it goes unnoticed: %s", unlocked, extra={"action": "start"})
    try:
        asyncio.run(_serve(chosen, listening))
    except Exception as error:  # a bug; by itself the interpreter would end with 1, which means something else
        log.critical("crashed: %r", error, exc_info=error)
        logs.leave(CRASHED)


async def _serve(chosen: Settings, listening: socket.socket) -> NoReturn:
    """Leaves the process."""
    process, exporting, readings = _assemble(chosen)
    service, supervisor = process.service, process.supervisor

    def leave(code: int) -> NoReturn:
        supervisor.end()
        logs.leave(code)

    def leave_as_told() -> NoReturn:
        """Whoever asked for a restart shows it in the exit code, so that `kubectl describe pod` tells it from an ordinary end."""
        leave(ASKED_FOR_RESTART if supervisor.unhealthy_reason() else 0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leave_as_told())
    if os.getpid() == 1:
        reap_orphans(ProcessChild.is_ours)
    moving = asyncio.create_task(service.run(), name="service")
    await asyncio.wait([moving, asyncio.create_task(supervisor.begun.wait())], return_when=asyncio.FIRST_COMPLETED)
    sampling = [asyncio.create_task(readings.keep_sampling(), name="readings")] if exporting.exports else []
    serving = asyncio.create_task(_serve_http(service, chosen.hosts, exporting, readings, listening, leave_as_told), name="http")
    checking = asyncio.create_task(service.container_checked(), name="container")
    done, _ = await asyncio.wait([moving, serving, checking, *sampling], return_when=asyncio.FIRST_COMPLETED)
    if checking in done and (reason := checking.result()):
        log.critical("cannot use the Azure container: %s", reason, extra={"action": "start"})
        leave(NO_AZURE)
    done, _ = await asyncio.wait([moving, serving, *sampling], return_when=asyncio.FIRST_COMPLETED)
    for ended in done:
        log.critical("%s has ended", ended.get_name(), exc_info=ended.exception())
    leave(CRASHED)


def _assemble(chosen: Settings) -> tuple[MainProcess, Providers, Instruments]:
    def lost(reason: str) -> None:
        log.critical("this pod ends: %s", reason, extra={"action": "lose"})
        process.supervisor.end()
        logs.leave(LOST_SESSION)

    exporting = providers(chosen.pod_name)
    if exporting.logs:
        logs.configure(chosen.log_level, export_fd=exporting.logs.fd)
    meter = exporting.meters.get_meter(SCOPE)
    telemetry = Telemetry(exporting.tracers.get_tracer(SCOPE), meter)
    limits = Limits(
        chosen.workers,
        chosen.queue_size,
        chosen.staging_limit_bytes,
        chosen.azure_max_block_size,
        chosen.hang_timeout_s,
        chosen.hang_escalate_s,
    )
    refs = _refs(chosen, exporting.logs.fd if exporting.logs else None)
    process = assemble(refs, telemetry, limits, chosen.upload_limit, lost)
    return process, exporting, Instruments(meter, process, telemetry.totals)


def _refs(chosen: Settings, log_export: int | None) -> list[ActorRef]:
    """The Uploader first: it takes longest to start."""
    root, staging, workers = str(chosen.nfs_root), str(chosen.staging_dir), chosen.workers
    limit, block_size = chosen.staging_limit_bytes, chosen.azure_max_block_size

    def spec(name: str, config: ActorConfig, capacity: int | None) -> ChildSpec:
        slots = (capacity or 0) + 2
        boot = Boot(config, chosen.log_level, slots, log_export)
        inherited = () if log_export is None else (log_export,)
        environment = None if isinstance(config, UploaderConfig) else without_secrets(os.environ)
        return ChildSpec(name, partial(ProcessChild.start, name, boot, slots, inherited, environment), capacity)

    uploader = UploaderConfig(
        staging,
        chosen.azure_account_url,
        chosen.connection_string,
        chosen.azure_container,
        chosen.azure_max_single_put_size,
        chosen.azure_max_concurrency,
        workers,
        chosen.azure_tier,
        chosen.azure_tags,
    )
    claimer = ClaimerConfig(root, staging, block_size, workers, chosen.content_md5, chosen.done_suffix)
    scanner = ScannerConfig(
        root,
        chosen.poll_interval_s,
        chosen.min_file_age_s,
        chosen.writeback_age_s,
        chosen.file_extensions,
        largest_staged(limit, block_size),
        recursive=chosen.recursive,
        done_suffix=chosen.done_suffix,
    )
    collector = CollectorConfig(
        root,
        staging,
        chosen.gc_interval_s,
        workers,
        chosen.keep_completed_s,
        recursive=chosen.recursive,
        min_file_age_s=chosen.min_file_age_s,
        writeback_age_s=chosen.writeback_age_s,
    )
    return [
        ActorRef(spec("uploader", uploader, None)),
        ActorRef(spec("keeper", KeeperConfig(root, chosen.pod_name), 1)),
        ActorRef(spec("scanner", scanner, None)),
        ActorRef(spec("claimer", claimer, workers)),
        ActorRef(spec("collector", collector, workers)),
    ]


async def _serve_http(
    service: TransferService,
    hosts: frozenset[str],
    exporting: Providers,
    readings: Instruments,
    listening: socket.socket,
    leave: Callable[[], NoReturn],
) -> None:
    from nfsw.api.app import create_app  # noqa: PLC0415 - the children boot while this is imported
    from nfsw.api.server import Server  # noqa: PLC0415

    app = create_app(service, hosts)
    if exporting.exports:
        from nfsw.api.instrument import instrument  # noqa: PLC0415 - takes memory

        instrument(app, exporting)
        exporting.connect(readings)
    host, port = listening.getsockname()[:2]
    log.info("listening on %s port %d", host, port, extra={"action": "listen"})
    await Server(app, listening, on_signal=leave).serve()


def _lock_staging(chosen: Settings) -> str | None:
    """Locks the staging folder until the process ends. Returns why it cannot be locked: whatever is wrong with it, files will show.

    Raises BadSettings when another service has it.
    """
    try:
        lock_staging(chosen.staging_dir)
    except StagingTaken as taken:
        raise settings.BadSettings(
            f"APP_STAGING_DIR: another nfsw service is using {chosen.staging_dir}; each one needs a folder of its own"
        ) from taken
    except OSError as error:
        return f"{error.strerror}: {chosen.staging_dir}"
    return None


def _listen(chosen: Settings) -> socket.socket:
    """Raises BadSettings: an address that is taken, or not ours, is a setting that is wrong."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(chosen.host, chosen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except (OSError, UnicodeError) as error:  # the latter: a host name with an empty or an overlong label
        reason = error.strerror if isinstance(error, OSError) else error
        raise settings.BadSettings(f"APP_HOST, APP_PORT: cannot listen on {chosen.host} port {chosen.port}: {reason}") from error
    return listening
