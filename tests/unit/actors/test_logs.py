"""The log lines: one JSON object each, whatever is logged, and short enough for one write to a pipe."""

import json
import logging
import select
import socket
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfsw.actors import logs
from nfsw.actors.logs import JsonFormatter, about
from tests.unit.actors.test_names import file_names

PIPE_BUF = 4096
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def line(
    message: str, *arguments: object, actor: str | None = "scanner", error: BaseException | None = None, extra: dict[str, str] | None = None
) -> bytes:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.getLogger("nfsw.test").makeRecord("nfsw.test", logging.WARNING, __file__, 1, message, arguments, info, extra=extra)
    return JsonFormatter(actor).format(record).encode() + b"\n"


def fields(text: bytes) -> dict[str, str]:
    assert len(text) <= PIPE_BUF
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    loaded = json.loads(text)
    assert isinstance(loaded, dict)
    return loaded


def test_the_fields_of_the_contract() -> None:
    loaded = fields(line("took %d files", 3, extra=about("s", "a.bin", "take")))
    assert loaded.pop("timestamp").endswith("Z")
    assert loaded == {
        "level": "WARNING",
        "logger": "nfsw.test",
        "message": "took 3 files",
        "trace_id": "0" * 32,
        "span_id": "0" * 16,
        "trace_flags": "00",
        "actor": "scanner",
        "session_name": "s",
        "file_name": "a.bin",
        "action": "take",
    }


def test_the_main_process_is_no_actor_and_what_does_not_apply_is_left_out() -> None:
    assert not {"actor", "session_name", "file_name", "action", "exception"} & fields(line("hello", actor=None)).keys()


def test_the_trace_of_the_file_in_hand_is_in_the_line() -> None:
    token = logs.traceparent.set(TRACEPARENT)
    try:
        loaded = fields(line("hello"))
    finally:
        logs.traceparent.reset(token)
    assert [loaded[name] for name in ("trace_id", "span_id", "trace_flags")] == TRACEPARENT.split("-")[1:]


@given(st.text(st.characters(exclude_categories=[]), max_size=200))
def test_any_text_is_one_line_of_json(text: str) -> None:
    """Lone surrogates too, which are no UTF-8: a name of a file that got into an error's text, say."""
    merged = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")  # what JSON makes of two halves side by side
    assert fields(line("%s", text))["message"] == merged


@given(file_names())
def test_any_name_of_a_file_is_one_line_of_json(name: str) -> None:
    assert fields(line("refused", extra=about("s", name)))["file_name"].isprintable()


PARTS = st.sampled_from(["x", "\n", '"', "\\", "\x00", "ä", "\N{GRINNING FACE}", "\udcff", "  File somewhere\n"])
LONG = st.lists(st.tuples(PARTS, st.integers(1, 9000)), max_size=4).map(lambda parts: "".join(part * count for part, count in parts))


@given(message=LONG, exception=LONG)
def test_however_long_a_line_fits_one_write(message: str, exception: str) -> None:
    loaded = fields(line("crashed: %s", message, error=RuntimeError(exception), extra=about("s" * 128, "\udcff" * 255)))
    assert loaded["message"].startswith("crashed: ")
    assert "RuntimeError" in loaded["exception"]


def test_of_a_long_exception_the_beginning_and_the_end_are_kept() -> None:
    exception = fields(line("crashed", error=RuntimeError("x" * 10_000 + " at last")))["exception"]
    assert exception.startswith("RuntimeError: xxx")
    assert exception.endswith("xxx at last\n")
    assert " [...] " in exception


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def written(capfdbinary: pytest.CaptureFixture[bytes]) -> list[dict[str, str]]:
    for handler in logging.getLogger().handlers:
        handler.flush()
    return [fields(text) for text in capfdbinary.readouterr().out.splitlines(keepends=True)]


@pytest.mark.usefixtures("untouched_logging")
def test_a_configured_process_writes_to_stdout_and_its_last_words_too(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure("INFO", "claimer")
    log = logging.getLogger("nfsw.claimer")
    log.debug("not asked for")
    log.info("claimed", extra=about("s", "a\udcff"))
    logging.getLogger("azure.core").info("noise")
    sys.excepthook(KeyError, KeyError("k"), None)
    assert [(one["level"], one["message"], one["actor"]) for one in written(capfdbinary)] == [
        ("INFO", "claimed", "claimer"),
        ("CRITICAL", "uncaught KeyError: 'k'", "claimer"),
    ]


@pytest.mark.usefixtures("untouched_logging")
def test_an_error_that_a_thread_does_not_catch_is_a_line_too(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure("INFO")

    def fails() -> None:
        raise KeyError("k")

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    [line] = written(capfdbinary)
    assert (line["level"], line["message"]) == ("CRITICAL", "uncaught KeyError: 'k'")
    assert capfdbinary.readouterr().err == b""


@pytest.mark.usefixtures("untouched_logging")
def test_a_log_call_whose_arguments_do_not_fit_is_a_line_that_says_so(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    logs.configure("INFO")
    logging.getLogger("nfsw").info("took %d files", "three")
    [line] = written(capfdbinary)
    assert (line["level"], line["message"]) == ("ERROR", "cannot be put into words: 'took %d files'")
    assert "TypeError" in line["exception"]
    assert capfdbinary.readouterr().err == b""


@pytest.mark.usefixtures("untouched_logging")
def test_lines_that_the_exporter_had_no_room_for_are_counted_and_told_of_once_it_has(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        logs.configure("INFO", export_fd=theirs.fileno())
        for number in range(2000):
            logging.getLogger("nfsw").info("line %d", number)
        exported = 0
        while select.select([ours], [], [], 0)[0]:
            ours.recv(logs.LONGEST)
            exported += 1
        logging.getLogger("nfsw").info("there is room")
        assert [json.loads(ours.recv(logs.LONGEST))["message"] for _ in range(2)] == [
            "there is room",
            f"{2000 - exported} log lines were not exported, because the exporter was too slow",
        ]
    assert len(written(capfdbinary)) == 2002, "stdout has them all"
