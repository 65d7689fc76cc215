"""A process beside the first one of a run: makes the same steps on its rows, and does between them what it is told.

It writes nothing into the run folder and takes no lock. When the first process is gone it goes too.
"""

import signal
import traceback
from pathlib import Path

from config.errors import CheckpointError, ConfigError, RunError, TextError, TrainingError
from runs import machine
from runs.folder import RunFolder
from training.distributed import LeaderGoneError, Order, Ranks
from training.signals import STOP_SIGNALS

EXIT_DONE, EXIT_FAILED = 0, 1


class Follower:
    """One rank but the first."""

    def __init__(self, run: RunFolder, ranks: Ranks) -> None:
        self.run, self.ranks = run, ranks

    def work(self) -> int:
        """Until the first process says that this is the end; the exit status."""
        try:
            while (order := self._obey()) != "end":
                if order == "train":
                    self._train()
            return EXIT_DONE
        except LeaderGoneError:
            return EXIT_FAILED
        except (ConfigError, TextError, RunError, CheckpointError, TrainingError) as error:
            self.ranks.report_failure(str(error))
        except Exception as error:
            self.ranks.report_failure(f"{type(error).__name__}: {error}")
            traceback.print_exc()
        return EXIT_FAILED

    def _train(self) -> None:
        from training.fork import build_run_model
        from training.prepare import prepare_text
        from training.trainer import Trainer, train

        config = self.run.read_config()
        text = prepare_text(self.run, config)  # the first process has prepared it: this opens its files
        model = build_run_model(self.run, config)
        self.trainer = Trainer(self.run, config, model, text, lambda line: None, self.ranks)
        train(self.trainer, lambda: self._obey() == "go", lambda: False)

    def _obey(self) -> Order:
        """Save and evaluate as often as that is ordered; the first other order."""
        while True:
            order = self.ranks.next_order()
            if order == "save":
                self.trainer.save()
            elif order == "evaluate":
                self.trainer.evaluate()
            else:
                return order


def follow(ranks: Ranks) -> int:
    """Meet the first process and follow it; the exit status.

    Signals reach all processes of torchrun. The first one listens to them and tells the others; until all have met
    they end a process as usual.
    """
    machine.prefer_to_die_first()
    ranks = ranks.join()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    status = Follower(RunFolder(Path(ranks.hear_run())), ranks).work()
    if status == EXIT_DONE:
        ranks.leave()
    return status
