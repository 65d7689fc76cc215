"""Checks every shape in the signatures of components/ while tests run, keeps torch to one thread; Ctrl-C interrupts.

The hook has to stand before the first import of components, hence here and not in tests/components.
"""

import signal

from jaxtyping import install_import_hook

install_import_hook("components", "beartype.beartype")

import torch  # noqa: E402  (after the hook, which must see every import of components)

torch.set_num_threads(1)
# In a job in the background Ctrl-C is ignored, and would be in every program that a test starts there and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
