"""Peak memory of `python -m text.prepare` against the size of the text: it must not grow with it.

    python -m benchmarks.prepare_memory --megabytes 20 100 500 --tokenizer bpe

Text comes from text.storyteller and lies in a temporary folder, as do the tokens; both are removed. Memory is the
resident set of the command and all its processes together, read every 50 ms.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from text.storyteller import write

SECONDS_PER_READING = 0.05
MEGABYTE = 1_000_000
SEED_MEGABYTES = 20  # written once; longer texts repeat it, which changes neither memory nor speed


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare_memory", description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[20, 100, 500])
    parser.add_argument("--tokenizer", default="bpe")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where temporary files go")
    arguments = parser.parse_args()
    print("text MB   peak MB of all processes   largest one   seconds   MB/s")
    for megabytes in arguments.megabytes:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            text = Path(folder) / "text.txt"
            make_text(text, megabytes)
            command = [sys.executable, "-m", "text.prepare", str(text), "--tokenizer", arguments.tokenizer]
            command += ["--processes", str(arguments.processes), "--out", str(Path(folder) / "tokens")]
            peak, largest, seconds = measure(command)
            print(
                f"{megabytes:7,} {peak:26,.0f} {largest:13,.0f} {seconds:9.1f} {megabytes / seconds:6.1f}", flush=True
            )


def make_text(path: Path, megabytes: int) -> None:
    """About `megabytes` of text."""
    write(path, min(megabytes, SEED_MEGABYTES), seed=1)
    content = path.read_bytes()
    with path.open("ab") as file:
        while file.tell() < megabytes * MEGABYTE:
            file.write(content)


def measure(command: list[str]) -> tuple[float, float, float]:
    """Peak memory of all processes of a command together and of the largest one, in MB, and its seconds."""
    start, peak, largest = time.perf_counter(), 0.0, 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        sizes = [resident_bytes(one) for one in (watched, *children_of(watched))]
        peak, largest = max(peak, sum(sizes) / MEGABYTE), max(largest, max(sizes) / MEGABYTE)
        time.sleep(SECONDS_PER_READING)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)
    return peak, largest, time.perf_counter() - start


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """All processes below one."""
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def resident_bytes(process: psutil.Process) -> int:
    """Resident memory of a process, 0 if it has ended."""
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    main()
