"""A long call that cannot be interrupted, made in a thread, while this thread stays awake."""

import threading
from collections.abc import Callable
from typing import TypeVar

BEAT_SECONDS = 0.2

Result = TypeVar("Result")


def call_in_background(
    act: Callable[[], Result], beat: Callable[[], None] = lambda: None, seconds: float | None = None
) -> Result:
    """What `act()` returns or raises.

    Libraries that compute for minutes, or wait for a network, hear neither Ctrl-C nor a request to stop. Here both take
    effect at once: what `beat` raises goes to the caller, and `act` is left behind in a thread that ends with the
    program, if not before.

    Args:
        beat: Called five times a second; it may raise.
        seconds: How long to wait; None for as long as it takes.

    Raises:
        TimeoutError: `act` has not returned within `seconds`.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:  # all of them are raised again, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    waited = 0.0
    while thread.is_alive():
        if seconds is not None and waited >= seconds:
            raise TimeoutError(f"no answer within {seconds:g} s")
        beat()
        thread.join(BEAT_SECONDS)
        waited += BEAT_SECONDS
    if errors:
        raise errors[0]
    return results[0]
