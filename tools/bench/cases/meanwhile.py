"""Something that is done again and again while something else runs. The benchmark's process, a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(act: Callable[[], None], *, every_s: float) -> Iterator[None]:
    """Acts again and again while the body runs. An error there is raised at the end."""
    ended, errors = threading.Event(), list[BaseException]()

    def repeat() -> None:
        try:
            while not ended.is_set():
                act()
                ended.wait(every_s)
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits for this one
            errors.append(error)

    thread = threading.Thread(target=repeat, name="sampler")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]
