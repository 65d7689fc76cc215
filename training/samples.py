"""What the model writes at each evaluation: the same prompt and the same seed, so that only the model has changed."""

from collections.abc import Callable

from torch import nn

from config.train_config import TrainConfig
from generation.generate import generate
from generation.samplers import build_samplers
from text.tokenizer import Tokenizer
from training.device import few_threads

TEMPERATURE, TOP_P = 0.8, 0.9  # as infer.py's defaults


def write_sample(
    model: nn.Module, tokenizer: Tokenizer, settings: TrainConfig, should_stop: Callable[[], bool] = lambda: False
) -> dict[str, str]:
    """Continue the sample prompt; what was asked and what came.

    Characters of the prompt that the tokenizer does not know are left out; an empty prompt is a line break, or the
    first token where even that is unknown.
    """
    prompt = tokenizer.encode(settings.sample_prompt or "\n", unknown="skip") or [0]
    model.eval()
    written: list[int] = []
    with few_threads(model):
        for generated in generate(
            model,
            prompt,
            max_new_tokens=settings.sample_tokens,
            samplers=build_samplers(temperature=TEMPERATURE, top_p=TOP_P),
            seed=settings.seed,
        ):
            written.append(generated.token)
            if should_stop():
                break
    model.train()
    return {"prompt": tokenizer.decode(prompt), "text": tokenizer.decode(written)}
