"""The `nfsw` command: `serve` is the service, `doctor` a preflight, the others are clients of a service that runs.

Each command imports what it needs when it is called: a client starts without the libraries of the service, and the
service without those of a client.
"""

import argparse
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING

import nfsw

if TYPE_CHECKING:
    from nfsw.client import Client

#: The service refused, or cannot be reached.
FAILED = 1
#: The environment does not say where the service listens; argparse's code for wrong arguments.
BAD_USAGE = 2
#: Ended by Ctrl-C, as shells count it.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code. Bad usage leaves by SystemExit with 2."""
    options = _parser().parse_args(arguments)
    run: Callable[[Namespace], int] = options.run
    return run(options)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="nfsw", description="Move files from an NFS directory to Azure Blob Storage, and lose none of them.")
    parser.add_argument("--version", action="version", version=f"nfsw {nfsw.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    serve = commands.add_parser(
        "serve", help="run the service", description="Run the service. Its settings are environment variables.", add_help=False
    )
    serve.add_argument("-h", "--help", action=_HelpWithSettings, help="show this help and all settings")
    serve.set_defaults(run=_serve)

    client = ArgumentParser(add_help=False)
    client.add_argument("--url", type=_url, help="URL of the service (default: http://127.0.0.1:8000, or what APP_HOST and APP_PORT say)")

    start = commands.add_parser("start", parents=[client], help="start a session", description="Start a session.")
    start.add_argument(
        "session", nargs="?", metavar="SESSION", help="its name, which is its folder under incoming/; without one, a name is generated"
    )
    start.set_defaults(run=_as_client(_start))

    stop = commands.add_parser(
        "stop", parents=[client], help="stop the session", description="Claim no new files. Files already claimed are finished."
    )
    stop.set_defaults(run=_as_client(_stop))

    abandon = commands.add_parser(
        "abandon",
        parents=[client],
        help="give up on a claimed file that can never be finished",
        description="Give up on a claimed file. It stays under .processing, is listed as refused, and its session can end without it.",
    )
    abandon.add_argument("session", metavar="SESSION", help="the session of the file")
    abandon.add_argument("file", metavar="FILE", help="its name, as the status shows it")
    abandon.add_argument("--date", metavar="YYYYMMDD", help="UTC date of its claim, if files of this name were claimed on several days")
    abandon.set_defaults(run=_as_client(_abandon))

    status = commands.add_parser("status", parents=[client], help="show the status", description="Show the status of the service.")
    status.add_argument("--watch", action="store_true", help="keep showing it until Ctrl-C, each file with its progress")
    status.add_argument("--json", action="store_true", help="print it as JSON; with --watch, one line a second")
    status.set_defaults(run=_as_client(_status))

    doctor = commands.add_parser(
        "doctor",
        help="check everything the service needs",
        description="Check NFS, staging, Azure and telemetry from here with the settings of the service. Prints a remedy for each problem.",
        epilog="Exit code 0: the service can run; 1: it cannot; 2: the settings are wrong.",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.add_argument("--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="limit for each check (default: %(default)g)")
    doctor.set_defaults(run=_doctor)

    return parser


def _doctor(options: Namespace) -> int:
    from nfsw.doctor.runner import main as doctor  # noqa: PLC0415 - the others do without it

    doctor(as_json=options.json, limit_s=options.timeout)


def _serve(_options: Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):  # PID 1 would ignore the one, and the other is a traceback, while all is imported
        signal.signal(number, lambda *_: os._exit(0))
    from nfsw.serve import main as serve  # noqa: PLC0415 - clients do without it

    return serve()


def _as_client(command: "Callable[[Client, Namespace], None]") -> Callable[[Namespace], int]:
    """`command` with a client of the service at `--url`; its errors become one line on stderr and an exit code."""

    def run(options: Namespace) -> int:
        from nfsw.client import Client, ClientError, default_url  # noqa: PLC0415 - `serve` does without it

        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal may know fewer characters than file names have
        try:
            url = options.url or default_url(os.environ)
        except ValueError as wrong:
            print(f"nfsw: {wrong}", file=sys.stderr)
            return BAD_USAGE
        try:
            command(Client(url), options)
            if sys.stdout is not None:  # closed from the start
                sys.stdout.flush()
        except ClientError as error:
            print(f"nfsw: {error}", file=sys.stderr)
            return FAILED
        except BrokenPipeError:  # the reader of our output, such as `head`, has ended
            _drop_output()
        except OSError as error:
            _drop_output()
            print(f"nfsw: cannot write: {error.strerror}", file=sys.stderr)
            return FAILED
        except KeyboardInterrupt:
            return INTERRUPTED
        return 0

    return run


def _start(client: "Client", options: Namespace) -> None:
    from nfsw.client import session_line  # noqa: PLC0415

    print(session_line(client.start(options.session)))


def _stop(client: "Client", _options: Namespace) -> None:
    from nfsw.client import session_line  # noqa: PLC0415

    print(session_line(client.stop()))


def _abandon(client: "Client", options: Namespace) -> None:
    client.abandon(options.session, options.file, options.date)
    print("abandoned; it stays under .processing, and .nfsw/abandoned has a note of it")


def _status(client: "Client", options: Namespace) -> None:
    if options.watch:
        from nfsw.live import watch  # noqa: PLC0415 - rich takes longer to import than all the rest

        watch(client, as_json=options.json)
    elif options.json:
        print(client.status_json(indent=2))
    else:
        from nfsw.client import report  # noqa: PLC0415

        print("\n".join(report(client.status())))


def _drop_output() -> None:
    """What is left in the buffer would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _HelpWithSettings(argparse.Action):
    """Imports the settings' model, which takes long, only when this help is asked for."""

    def __init__(self, option_strings: list[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: ArgumentParser, *_: object) -> None:
        from nfsw.settings import help_lines  # noqa: PLC0415

        parser.print_help()
        print(
            "\nsettings:",
            *help_lines(),
            f"  {'OTEL_*':<29}  as OpenTelemetry defines them; without OTEL_EXPORTER_OTLP_ENDPOINT nothing is exported",
            sep="\n",
        )
        parser.exit()


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number of seconds")
    return seconds


def _url(given: str) -> str:
    from nfsw.client import checked_url  # noqa: PLC0415

    try:
        return checked_url(given)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
