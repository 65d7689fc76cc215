"""Keeps the pauses short that Streamlit makes after every run of a page or of a part that refreshes itself.

It collects garbage then (`gc.collect(2)` at the end of streamlit/runtime/scriptrunner/script_runner.py), and that walks
every object of the process: 61 ms with plotly and pandas loaded, 128 ms with torch, while no other thread gets the
interpreter. At four looks a second, half of the time in which a text could be written. What came with modules stays for
ever, so it need not be walked.
"""

import gc
import sys

GROWTH = 25  # new modules that are worth setting aside: the first chart brings hundreds, torch a thousand

_settled_modules = 0


def settle() -> None:
    """Set aside all that is loaded by now, if that has grown. Call it wherever something refreshes itself."""
    global _settled_modules
    if len(sys.modules) - _settled_modules >= GROWTH:
        gc.collect()
        gc.freeze()
        _settled_modules = len(sys.modules)
