"""The training process keeps its memory from step to step."""

import subprocess
import sys

import pytest

CHILD = """
import resource, sys
import torch
from training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    return [torch.ones(10_000_000) for _ in range(4)]  # 40 MB each: more than glibc ever keeps by itself
for _ in range(3):
    step()  # until the heap has found its shape
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_used_again_instead_of_taken_from_the_system_anew():
    faults = {}
    for mode in ("keep", "give back"):
        child = subprocess.run([sys.executable, "-c", CHILD, mode], capture_output=True, text=True, check=True)
        faults[mode] = int(child.stdout)
    assert faults["keep"] < 100 < faults["give back"]  # pages may be huge: 2 MB
