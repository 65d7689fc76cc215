"""Train a tiny LLaMA from Python, as train.py does: python -m examples.train_a_model [STEPS]

The run lands under checkpoints/ like any other: the page shows it, infer.py writes with it, it can be resumed.
"""

import sys

from config.data_config import DataConfig
from config.presets import load_preset
from config.run_config import RunConfig
from config.sizes import parameters_by_component
from config.train_config import TrainConfig
from runs.folder import CHECKPOINTS, create_run
from training.worker import run_worker


def main(steps: int) -> int:
    """Start one run and train it to its end; the exit status."""
    # Any field can be changed after the preset: here two heads share one set of keys and values.
    model = load_preset("llama", "tiny").replace(n_kv_heads=2)
    for part, count in parameters_by_component(model.replace(d_vocab=65)).items():
        print(f"{part:<22}{count:>10,} parameters")

    config = RunConfig(
        model=model,
        implementation="fused",
        data=DataConfig(text_file="training.txt", tokenizer_type="character"),
        training=TrainConfig(max_steps=steps, warmup_steps=min(50, steps), eval_interval=50, eval_iters=5),
    )
    run = create_run(CHECKPOINTS, config, origin={"command": "examples.train_a_model"}, name="from-python")
    status = run_worker(run)  # in this process; runs.launch.launch(run) would start one of its own
    print(f"{run.path} ended with status {status}; its checkpoints:", *sorted(p.name for p in run.path.glob("step_*")))
    return status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
