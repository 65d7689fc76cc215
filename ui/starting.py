"""Starting a run from the page: its folder is made, its worker spawned, and nothing is waited for."""

from config.errors import CheckpointError, ConfigError, RunError
from config.run_config import RunConfig
from runs import folder, launch
from runs.folder import RunFolder
from ui.command import equivalent_command


def start_run(config: RunConfig, command: str = "") -> tuple[RunFolder | None, str]:
    """The run, or why there is none.

    Args:
        command: the command line that does the same, for origin.json; reckoned from `config` when left out.
    """
    origin = {"launcher": "page", "command": command or equivalent_command(config), "seed": config.training.seed}
    try:
        run = folder.create_run(folder.CHECKPOINTS, config, origin)
        launch.launch(run)
    except (ConfigError, RunError, CheckpointError, OSError) as error:
        return None, f"The training could not be started: {error}"
    return run, ""
