"""Checks every shape in the signatures of components/ while tests run, keeps torch to one thread; Ctrl-C interrupts.

The hook has to stand before the first import of components, hence here and not in tests/components.
"""

import signal
from collections import Counter

from jaxtyping import install_import_hook

install_import_hook("components", "beartype.beartype")

import torch  # noqa: E402  (after the hook, which must see every import of components)

torch.set_num_threads(1)
# In a job in the background Ctrl-C is ignored, and would be in every program that a test starts there and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    words = "Of a test with parameters only every Nth case: coverage is about the same."
    parser.addoption("--every", type=int, default=1, metavar="N", help=words)


def pytest_collection_modifyitems(config, items):
    cases = Counter()
    left_out = set()
    for item in items:
        function = item.nodeid.partition("[")[0]
        if cases[function] % config.getoption("--every"):
            left_out.add(item)
        cases[function] += 1
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=list(left_out))
