"""The training process keeps its memory from step to step."""

import subprocess
import sys
from pathlib import Path

import pytest

LARGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"

CHILD = """
import resource, statistics, sys
import torch
from training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    return [torch.ones(10_000_000) for _ in range(4)]  # 40 MB each: more than glibc ever keeps by itself
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# The median: until the heap has found its shape, and now and then later, it grows once more.
print(statistics.median(faults() for _ in range(9)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_used_again_instead_of_taken_from_the_system_anew():
    faults = {}
    for mode in ("keep", "give back"):
        child = subprocess.run([sys.executable, "-c", CHILD, mode], capture_output=True, text=True, check=True)
        faults[mode] = float(child.stdout)
    assert faults["keep"] < 100 < faults["give back"]  # pages may be huge: 2 MB


HEAP = """
import torch
from training.memory import keep_freed_memory
keep_freed_memory()
kept = [torch.ones(250_000) for _ in range(40)]  # 1 MB each
heaps = open("/proc/self/smaps").read().split("[heap]")[1:]
print(sum(int(heap.split("AnonHugePages:")[1].split()[0]) for heap in heaps))
"""


@pytest.mark.skipif(
    not Path(LARGE_PAGES).exists() or "[never]" in Path(LARGE_PAGES).read_text(), reason="no such pages"
)
def test_the_tensors_of_a_step_lie_in_large_pages():
    child = subprocess.run([sys.executable, "-c", HEAP], capture_output=True, text=True, check=True)
    assert int(child.stdout) > 20_000  # KB, of 40 MB: the system may be short of them
