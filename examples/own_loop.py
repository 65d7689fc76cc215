"""A training loop of your own, with no run folder: python -m examples.own_loop [STEPS]"""

import sys

import torch
import torch.nn.functional as F

from components.model import build_model
from config.presets import load_preset
from text.batches import get_batch
from text.corpus import read_text
from text.tokenizer_types import train_tokenizer


def main(steps: int) -> None:
    """Text, tokens, model, optimizer, loop: the five things a training is made of."""
    corpus = read_text("training.txt", data_size="100k")
    tokenizer = train_tokenizer("bpe", corpus, vocab_size=300)
    tokens = tokenizer.encode_array(corpus.text)  # [token]

    config = load_preset("gpt2", "tiny").replace(d_vocab=tokenizer.vocab_size, n_ctx=32)
    model = build_model(config, implementation="torch", seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    for step in range(steps):
        inputs, targets = get_batch(tokens, step, batch_size=12, n_ctx=config.n_ctx, seed=1)  # [batch pos] each
        logits = model(inputs)  # [batch pos d_vocab]
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())  # nats per token
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0 or step == steps - 1:
            print(f"step {step:>4}  train loss {loss.item():.3f} nats")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
