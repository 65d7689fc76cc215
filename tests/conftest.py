"""Checks every shape in the signatures of components/ while tests run, and keeps torch to one thread.

The hook has to stand before the first import of components, hence here and not in tests/components.
"""

from jaxtyping import install_import_hook

install_import_hook("components", "beartype.beartype")

import torch  # noqa: E402  (after the hook, which must see every import of components)

torch.set_num_threads(1)
