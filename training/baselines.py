"""Baselines beside the training: started after the first evaluation, noticed when ready, waited for at the end.

They are computed by `python -m text.baselines`, a process of its own with the lowest priority, so that neither the
start of a run nor its speed depends on them. It writes beside the token files, once for every text and tokenizer; the
worker copies the result into the run, as it alone writes there.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from runs.baselines import baseline_title, overtaken_sentence, read_baselines
from runs.files import write_json
from runs.folder import RunFolder
from runs.metrics import MetricsReader
from runs.shared_files import tokens_folder
from text.baselines import read_baselines as read_computed

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 120.0
POLL_SECONDS = 0.1
ERROR_CHARACTERS = 300


class BaselineLadder:
    """The baselines of one run, from the first evaluation to its end.

    Args:
        say: Called with each line that a person should read.
    """

    def __init__(self, run: RunFolder, say: Callable[[str], None]):
        self.run, self.say = run, say
        self.tokens_folder = tokens_folder(run)
        self.process: subprocess.Popen[bytes] | None = None
        self.losses = read_baselines(run)
        self.sentence = ""
        self.evaluations: list[dict[str, float]] = []

    def evaluated(self, step: int, val_loss_nats: float) -> None:
        """Take note of an evaluation; the first one starts the computation."""
        if not self.evaluations:
            reader = MetricsReader(self.run.metrics_path)  # of earlier attempts, where this one resumes
            reader.refresh(force=True)
            self.evaluations = [row for row in reader.evaluations if row.get("step", step) < step]
            self._start()
        self.evaluations.append({"step": step, "val_loss_nats": val_loss_nats})
        self._say_overtaken()

    def _start(self) -> None:
        if self.losses or self._adopt():
            return
        folders = [str(self.tokens_folder.absolute()), str(self.run.tokenizer_path.absolute())]
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "text.baselines", *folders],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in the terminal is for the worker, which ends this process itself
            )
        except OSError as error:  # numbers to compare with are no reason to fail a run
            self.say(f"the baselines cannot be computed: {error}")

    def poll(self) -> None:
        """Take over the result if it is there; costs next to nothing, for every step."""
        if self.process is None or self.process.poll() is None:
            return
        error = self.process.communicate()[1].decode(errors="replace").strip()
        self.process = None
        if self._adopt():
            self._say_overtaken()
        else:
            self.say(f"the baselines could not be computed: {error[-ERROR_CHARACTERS:]}")

    def _adopt(self) -> bool:
        """Copy the result into the run; False while there is none."""
        found = read_computed(self.tokens_folder)
        if found is None:
            return False
        try:
            write_json(self.run.baselines_path, found)
        except OSError as error:
            self.say(f"baselines.json could not be written: {error}")
        self.losses = read_baselines(self.run)
        levels = "  ".join(f"{baseline_title(name)} {nats:.4f}" for name, nats in self.losses.items())
        sampled = ", from samples of this large text" if found.get("sampled") else ""
        self.say(f"baselines in nats per token: {levels}{sampled}")
        return True

    def _say_overtaken(self) -> None:
        sentence = overtaken_sentence(self.losses, self.evaluations)
        if sentence != self.sentence:
            self.sentence = sentence
            self.say(sentence)

    def wait(self, should_stop: Callable[[], bool]) -> None:
        """Wait for the result at the end of a run, at most two minutes, or until somebody asks to stop."""
        deadline = time.monotonic() + WAIT_SECONDS
        self.poll()
        if self.process is not None:
            self.say("waiting for the baselines of this text")
        while self.process is not None and not should_stop():
            if time.monotonic() > deadline:
                self.say(f"the baselines took longer than {WAIT_SECONDS:.0f} s after the last step and were given up")
                return
            time.sleep(POLL_SECONDS)
            self.poll()

    def close(self) -> None:
        """End the computation if it still goes on."""
        if self.process is not None:
            self.process.kill()  # it has nothing to save: its file appears whole or not at all
            self.process.communicate()
            self.process = None
