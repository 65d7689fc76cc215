"""A trained model from the inside: python -m examples.look_inside RUN [PROMPT]"""

import sys
from pathlib import Path

from interpret.ablation import importance
from interpret.activations import capture, points_of
from interpret.attention_patterns import attention_patterns
from interpret.head_scores import head_scores, induction_scores
from interpret.subject import open_subject
from runs.folder import CHECKPOINTS, find_run
from training.checkpoint import load_model


def main(run: Path, prompt: str) -> None:
    """The tensors of a checkpoint, two implementations of it, where its first head looks, and what parts are worth."""
    subject = open_subject(run)  # in einops, where every value has a name; the run was trained with fused kernels
    model, text = subject.model, subject.read(prompt)
    for name, tensor in model.state_dict().items():
        print(f"{name:<40}{tuple(tensor.shape)!s:<16} spread {tensor.std().item():.3f}")

    names = list(points_of(model))  # blocks.0.attn.hook_pattern, …
    found = capture(model, text.tokens[None], names)  # all of them in one pass; the logits stay what they are
    print(f"{len(names)} activation points hold {sum(value.numel() for value in found.values.values()):,} numbers")
    difference = found.logits - load_model(run, implementation="fused")(text.tokens[None])
    print(f"einops and fused logits differ by at most {difference.abs().max().item():.1e}")

    patterns = attention_patterns(model, text.tokens)  # for each layer [head query key]
    for name, row in zip(text.names, patterns[0][0].tolist(), strict=True):  # layer 0, head 0
        print(f"{name:>8} |", *(f"{weight:4.2f}" for weight in row))
    best = max(head_scores(patterns, induction_scores(model)), key=lambda score: score.previous_token or 0.0)
    print(f"layer {best.layer} head {best.head} looks at the previous token most: {best.previous_token or 0.0:.2f}")
    whole, effects = importance(model, text.tokens)
    for effect in sorted(effects, key=lambda effect: -effect.change)[:3]:
        print(f"without {effect.part}: loss {effect.loss:.2f} instead of {whole:.2f} nats per token")


if __name__ == "__main__":
    main(find_run(CHECKPOINTS, sys.argv[1]).path, sys.argv[2] if len(sys.argv) > 2 else "The king")
