"""Large matrices in a kernel of our own, for --compile: built by the machine's C compiler in half a second.

Why not torch.compile: it takes half a minute for the same loop, and each call of compiled code checks its arguments for
longer than a small product takes. A call through ctypes costs a microsecond. The kernel works in torch's own threads:
its OpenMP calls are left open when it is linked, and find the library that torch has loaded.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from ctypes import c_int, c_long, c_void_p
from pathlib import Path

import torch
from torch import Tensor

from config.errors import ConfigError, Problem
from generation.projections import Projection, Row

SOURCE = Path(__file__).with_name("matvec.c")
COMPILERS = ("cc", "gcc", "clang")
# The first that this compiler knows: threads and vectors, vectors alone (Apple's), whatever it does by itself.
FLAGS = (("-march=native", "-fopenmp"), ("-march=native", "-fopenmp-simd"), ())
PATIENCE_SECONDS = 60


@functools.cache
def kernel() -> "ctypes._NamedFuncPointer":
    """The function of matvec.c, built once in a process and kept in no file.

    Raises:
        ConfigError: there is no compiler, or none that builds it.
    """
    named = os.environ.get("CC")
    compiler = next(filter(None, map(shutil.which, [named] if named else COMPILERS)), None)
    if compiler is None:
        raise _refusal(f"there is none ({named or ', '.join(COMPILERS)})")
    reason = ""
    with tempfile.TemporaryDirectory() as folder:
        for flags in FLAGS:
            library = Path(folder, f"matvec{len(flags)}{flags[-1:]}.so")
            try:
                _build(compiler, flags, library)
                function = ctypes.CDLL(str(library)).matvec
            except (subprocess.SubprocessError, OSError) as error:
                reason = (str(getattr(error, "stderr", "") or error).strip().splitlines() or ["no reason given"])[-1]
                continue
            function.argtypes, function.restype = (*[c_void_p] * 4, *[c_long] * 2, *[c_int] * 2), None
            return function
    raise _refusal(f"{compiler} cannot build {SOURCE.name}: {reason}")


def _build(compiler: str, flags: tuple[str, ...], library: Path) -> None:
    """Compile, then link without the flags, which would bring a second OpenMP beside torch's."""
    compiled = library.with_suffix(".o")
    for command in (
        [compiler, "-O3", *flags, "-fPIC", "-c", str(SOURCE), "-o", str(compiled)],
        [compiler, "-shared", str(compiled), "-o", str(library)],
    ):
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS)


def _refusal(reason: str) -> ConfigError:
    return ConfigError([Problem("compile", f"compile needs a C compiler that works, and {reason}")])


class CompiledProjection(Projection):
    """In float32, with the weights of the model, by the kernel."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        self.weight = weight.contiguous()
        bias_pointer = None if self.bias is None else c_void_p(self.bias.data_ptr())
        self._matrix = c_void_p(self.weight.data_ptr()), bias_pointer
        self._sizes = c_long(weight.shape[0]), c_long(weight.shape[1])
        self._kernel = kernel()

    def __call__(self, x: Row) -> Row:
        self._run(x, self.out, adds=0)
        return self.out

    def add_to(self, stream: Row, x: Row) -> None:
        self._run(x, stream, adds=1)

    def _run(self, x: Row, y: Row, adds: int) -> None:
        assert x.is_contiguous() and y.is_contiguous()
        self._kernel(*self._matrix, x.data_ptr(), y.data_ptr(), *self._sizes, adds, torch.get_num_threads())
