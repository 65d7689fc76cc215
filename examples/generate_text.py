"""Continue a text with a trained model, from Python: python -m examples.generate_text RUN [PROMPT]"""

import sys
from pathlib import Path

from generation.generate import generate
from generation.prompt import TextStream, encode_prompt
from generation.samplers import build_samplers
from runs.folder import CHECKPOINTS, find_run
from training.checkpoint import load_model, load_tokenizer_of


def main(checkpoint: Path, prompt: str) -> None:
    """Print a continuation as it comes, then the tokens the model was least sure of."""
    model = load_model(checkpoint)  # a run folder (its best checkpoint), a step folder, or the weights in one
    tokenizer = load_tokenizer_of(checkpoint)
    samplers = build_samplers(temperature=0.8, top_k=40, top_p=0.95)
    print(f"{samplers}\n{prompt}", end="")

    stream, steps = TextStream(tokenizer), []
    for step in generate(model, encode_prompt(tokenizer, prompt), max_new_tokens=100, samplers=samplers, seed=7):
        steps.append(step)  # token id, and the probability that the model gave it
        print(stream.push(step.token), end="", flush=True)
    print(stream.finish())

    for token, probability in sorted(steps, key=lambda step: step.probability)[:5]:
        print(f"{tokenizer.token_text(token)!r:>8} had a probability of {probability:.4f}")


if __name__ == "__main__":
    main(find_run(CHECKPOINTS, sys.argv[1]).path, sys.argv[2] if len(sys.argv) > 2 else "")
