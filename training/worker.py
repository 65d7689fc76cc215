"""The life of one worker: take over a run folder, train in it, and leave it in a state that says how it ended.

The protocol with the pages is files only (docs/run_folder.md). Signals and control files only set a flag that every
long loop reads, so that a stop always ends in a checkpoint.

torch is imported late, in `_train`: it takes two seconds, and by then the worker holds the lock and has said so.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING

from config.errors import CheckpointError, ConfigError, RunError, TextError, TrainingError
from config.sizes import sizes_in_words
from runs import control, machine
from runs.folder import RunFolder
from runs.lock import RunLock, Slot, wait_for_slot
from runs.state import StateWriter, read_status
from training.distributed import ALONE, Ranks
from training.figure import write_figure
from training.report import Reporter
from training.signals import StopSignals

if TYPE_CHECKING:
    from training.baselines import BaselineLadder
    from training.trainer import Trainer

EXIT_DONE, EXIT_FAILED, EXIT_WRONG_INPUT = 0, 1, 2
PAUSE_POLL_SECONDS = 0.2
# Who stops a run waits for it, and what ends a service kills it after about 10 s: the checkpoint needs time too.
STOP_EVALUATION_SECONDS = 3.0


class StopRequestedError(Exception):
    """Somebody asked for a stop before there was anything to save."""


class PauseRequestedError(Exception):
    """Somebody paused a run that was waiting to go on from a pause."""


class Worker:
    """One attempt at one run."""

    def __init__(self, run: RunFolder, reporter: Reporter, ranks: Ranks = ALONE):
        self.run, self.reporter, self.ranks = run, reporter, ranks
        self.state = StateWriter(run)
        self.signals = StopSignals()
        self.slot: Slot | None = None
        self.trainer: Trainer | None = None
        self.baselines: BaselineLadder | None = None
        self._spoken_evaluation = -1
        self._compared_evaluation = -1
        self._known_save = -1
        self._ahead: str | None = None

    def work(self) -> int:
        """Queue, prepare, train; the exit status. The caller holds the run's lock."""
        try:
            self.state.set("starting")
            self._take_slot("starting")
            self._train()
            return EXIT_DONE
        except StopRequestedError:
            self.state.set("stopped", "Stopped before training began or went on.")
            self.reporter.say(f"stopped before training; go on with: train.py --run {self.run.path}")
            return EXIT_DONE
        except TrainingError as error:
            return self._fail(str(error), EXIT_FAILED)
        except (ConfigError, TextError, RunError, CheckpointError) as error:
            return self._fail(str(error), EXIT_WRONG_INPUT)
        except Exception as error:
            traceback.print_exc()
            return self._fail(self.ranks.explain(error), EXIT_FAILED)
        finally:
            self._free_slot()

    def _take_slot(self, then: str) -> None:
        """Wait for the right to train, `queued` as long as another run has it, then enter the state `then`.

        Raises:
            StopRequestedError: somebody asked for a stop; the run does not have the slot.
        """
        self.slot = wait_for_slot(self.run.path.parent, self._on_wait, run_id=self.run.id)
        self._ahead = None
        self.state.set(then)

    def _free_slot(self) -> None:
        if self.slot:
            self.slot.release()

    def _train(self) -> None:
        from training.baselines import BaselineLadder
        from training.fork import build_run_model
        from training.lora import describe_trained
        from training.prepare import prepare_text
        from training.trained_on import describe_computing, note_or_compare
        from training.trainer import Trainer, train

        config = self.run.read_config()
        text = prepare_text(self.run, config, self._beat)
        model = build_run_model(self.run, config)
        self._beat()
        for note in text.notes:
            self.reporter.say(note)
        self.ranks.order("train")
        self.trainer = trainer = Trainer(self.run, config, model, text, self.reporter.say, self.ranks)
        if config.training.baselines and config.data.text_kind == "text":  # they would count prompts, too
            self.baselines = BaselineLadder(self.run, self.reporter.say)
        step = trainer.progress.step
        self.state.set("running", step=step, max_steps=trainer.max_steps)
        computing = describe_computing(trainer.device, trainer.dtype_name, self.ranks.size)
        if changed := note_or_compare(self.run, computing):
            self.reporter.say(changed)
        where = self.ranks.describe(trainer.device.type)
        if config.lora.is_on:
            self.reporter.say(describe_trained(model))
        self.reporter.say(f"training on {where} in {trainer.dtype_name}, from step {step:,}")
        self.reporter.say(sizes_in_words(self.run.read_model_config()))
        self.reporter.start_bar(step, trainer.max_steps)
        try:
            train(trainer, self._attend, self._should_stop)
            if self.baselines and trainer.finished:
                self.baselines.wait(self._should_stop)
        finally:
            self.reporter.stop_bar()
            if self.baselines:
                self.baselines.close()
            trainer.metrics.flush()
        self._end(trainer)

    def _draw(self) -> None:
        try:
            write_figure(self.run)
        except OSError as error:  # a picture that can be drawn again is no reason to call a run failed
            self.reporter.say(f"loss.html could not be written: {error}")

    def _end(self, trainer: Trainer) -> None:
        step = trainer.progress.step
        self._note(trainer)
        if trainer.finished and trainer.progress.evaluated_step == step:
            self._draw()
            self.reporter.say(trainer.validation.summary())
            self.state.set("finished", step=step)
            self.reporter.say(f"finished at step {step:,}")
            return
        self.state.set("stopping", step=step)
        if trainer.progress.saved_step != step:
            self._evaluate_quickly(trainer)
            self._save(trainer)
        self._note(trainer)
        self._draw()
        self.state.set("stopped", f"Stopped at step {step:,} and saved.", step=step)
        self.reporter.say(f"stopped at step {step:,} and saved; resume with: train.py --run {self.run.path}")

    def _evaluate_quickly(self, trainer: Trainer) -> None:
        """A loss for the checkpoint of a stop, unless it takes long, or a second signal says that there is no time."""
        deadline = time.monotonic() + STOP_EVALUATION_SECONDS
        if 0 < trainer.progress.step < trainer.max_steps and trainer.progress.evaluated_step != trainer.progress.step:
            self.ranks.order("evaluate")
            trainer.evaluate(lambda: self.signals.count > 1 or time.monotonic() > deadline)

    def _attend(self) -> bool:
        """Between two steps: say where we are, read messages; False to stop."""
        trainer = self.trainer
        assert trainer is not None
        self._note(trainer)
        self.state.step(trainer.progress.step)
        self.reporter.step(trainer.progress.step)
        if self.baselines:
            self.baselines.poll()
        messages = control.requested(self.run)
        if "save" in messages:
            self._save(trainer)
            control.clear(self.run, "save")
        if "pause" in messages and not self._should_stop():
            self._pause(trainer)
        goes_on = not self._should_stop()
        self.ranks.order("go" if goes_on else "stop")
        return goes_on

    def _save(self, trainer: Trainer) -> None:
        self.ranks.order("save")
        trainer.save()

    def _pause(self, trainer: Trainer) -> None:
        """Save and let another run train; returns when this one may go on, or shall stop."""
        self._save(trainer)
        self._note(trainer)
        self._free_slot()
        while True:
            self.state.set("paused", step=trainer.progress.step)
            self.reporter.say(f"paused at step {trainer.progress.step:,}")
            while "pause" in control.requested(self.run) and not self._should_stop():
                time.sleep(PAUSE_POLL_SECONDS)
            try:
                self._beat()
                self._take_slot("running")
                return
            except PauseRequestedError:  # again, while it waited for its turn
                continue
            except StopRequestedError:  # everything is saved already, and to end needs no turn
                return

    def _note(self, trainer: Trainer) -> None:
        """Tell readers of state.json and of the log what is new since the last step."""
        progress = trainer.progress
        if progress.evaluated_step > self._spoken_evaluation:
            self._spoken_evaluation = progress.evaluated_step
            self.state.update(best_val_loss_nats=progress.best_val_loss_nats)
            self.reporter.say(trainer.progress.summary(trainer.max_steps))
        # One step later: the process that computes baselines would compete with the first step of a run.
        is_news = progress.evaluated_step > self._compared_evaluation
        if self.baselines and is_news and (progress.step > progress.evaluated_step or trainer.finished):
            self._compared_evaluation = progress.evaluated_step
            self.baselines.evaluated(progress.evaluated_step, progress.val_loss_nats or 0.0)
        if progress.saved_step > self._known_save:
            self._known_save = progress.saved_step
            best = self.run.step_path(progress.best_step)
            self.state.update(
                last_checkpoint=self.run.step_path(progress.saved_step).name,
                best_checkpoint=best.name
                if progress.best_step > 0 and best.exists()
                else None,  # its parent's, of a fork
            )

    def _should_stop(self) -> bool:
        self.state.beat()
        return self.signals.count > 0 or "stop" in control.requested(self.run)

    def _beat(self) -> None:
        if self._should_stop():
            raise StopRequestedError

    def _on_wait(self, ahead: str | None) -> None:
        self._beat()
        if self.trainer and "pause" in control.requested(self.run):
            raise PauseRequestedError
        if ahead and ahead != self._ahead:  # not known while the slot changes hands
            self._ahead = ahead
            self.state.set("queued", queued_behind=ahead)
            self.reporter.say(f"queued behind {RunFolder(self.run.path.parent / ahead).read_label().name}")

    def _fail(self, reason: str, status: int) -> int:
        self.reporter.say(f"failed: {reason}")
        try:
            self.state.set("failed", reason)
        except OSError as error:  # a full disk: readers then see a run whose worker is gone
            self.reporter.say(f"state.json could not be written: {error}")
        return status


def run_worker(run: RunFolder, ranks: Ranks = ALONE) -> int:
    """Train the run in this process until it ends; the exit status of the command line.

    Args:
        ranks: this process, the first, among those that train with it and wait for its orders.

    Raises:
        RunError: another process is training it, or it does not exist.
    """
    machine.prefer_to_die_first()
    with RunLock(run), Reporter(run) as reporter:
        if read_status(run).state == "finished":
            reporter.say(f"run {run.id} is finished already")
            ranks.order("end")
            return EXIT_DONE
        worker = Worker(run, reporter, ranks)
        with worker.signals.heard():
            status = worker.work()
            if status == EXIT_DONE:  # where it failed the others see that this process is gone
                ranks.order("end")
        return status
