"""Writes the texts of an order by the engine that it asks for: one by one, in a batch, with a draft, or by beams."""

import itertools
import secrets
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from config.errors import ConfigError, Problem
from generation.beam_search import EarlyStopping, beam_search
from generation.console import interrupt
from generation.console.order import Order
from generation.console.output import Output, Sample
from generation.generate import generate_batch
from generation.prompt import TextStream
from generation.samplers import Chain, build_samplers
from generation.speculative import Speculation
from generation.step import Step
from text.tokenizer import Tokenizer

BATCH = 16  # so many samples at once; more would hold more caches without being faster
# A plain text to compare a draft with: enough to see its speed, and not so long that anybody waits for it.
PLAIN_TOKENS, PLAIN_SECONDS = 64, 1.0
EARLY_STOPPING: dict[str, EarlyStopping] = {"on": True, "off": False, "never": "never"}

Rows = Iterator[list[Step | None]]


@dataclass(frozen=True)
class Prompt:
    """What a text follows: the characters to show before it, and the tokens that the model reads."""

    text: str
    tokens: Sequence[int]


@dataclass
class Report:
    """What was written, for the line of statistics."""

    samples: list[Sample]
    seeds: range
    method: str
    seconds: float = 0.0
    interrupted: bool = False
    proposed: int = 0
    accepted: int = 0
    passes: int = 0

    @property
    def n_tokens(self) -> int:
        """How many tokens were written in all texts."""
        return sum(len(sample.tokens) for sample in self.samples)

    @property
    def tokens_per_second(self) -> float:
        """Over all texts, the reading of the prompt included."""
        return self.n_tokens / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        count = f"{self.n_tokens} token{'' if self.n_tokens == 1 else 's'}"
        line = f"{count} in {self.seconds:.2f} s, {self.tokens_per_second:,.0f} tokens/s; {self.method}"
        if self.passes:
            share = self.accepted / self.proposed if self.proposed else 0.0
            line += f"; {share:.0%} of the draft accepted, {self.n_tokens / self.passes:.2f} tokens a pass"
        if len(self.seeds) > 1:
            return f"{line}; seeds {self.seeds[0]} to {self.seeds[-1]}"
        return f"{line}; seed {self.seeds[0]}" if self.seeds else line


class Writer:
    """A model with its tokenizer, and with a draft if there is one."""

    def __init__(self, model: nn.Module, tokenizer: Tokenizer, draft: nn.Module | None = None) -> None:
        self.model, self.tokenizer, self.draft = model, tokenizer, draft

    def samplers(self, order: Order) -> Chain:
        """The stages of an order; for beams those alone that do not draw."""
        wants = order.settings
        draws = {
            "temperature": wants.temperature,
            "top_k": wants.top_k,
            "top_p": wants.top_p,
            "min_p": wants.min_p,
            "typical": wants.typical_p,
            "greedy": wants.greedy,
        }
        chosen: dict[str, Any] = {"temperature": 1, "top_p": 1} if wants.num_beams > 1 else draws
        return build_samplers(
            **chosen,
            repetition_penalty=wants.repetition_penalty,
            frequency_penalty=wants.frequency_penalty,
            presence_penalty=wants.presence_penalty,
            no_repeat_ngram_size=wants.no_repeat_ngram_size,
            min_new_tokens=wants.min_new_tokens,
            stop_tokens=order.stop_tokens,
            logit_bias=dict(order.logit_bias),
        )

    def write(self, prompt: Prompt, order: Order, output: Output) -> Report:
        """Write all texts of an order. Ctrl-C ends it: what was written until then is in the report.

        Raises:
            ConfigError: the order cannot be carried out with this model.
        """
        order.refuse_conflicts(self.draft is not None)
        started = time.perf_counter()
        write = self._search if order.settings.num_beams > 1 else self._draw
        report = write(prompt, order, output)
        report.seconds = time.perf_counter() - started
        return report

    def plain_tokens_per_second(self, prompt: Prompt, order: Order, seed: int) -> float:
        """The speed without the draft, on the beginning of the same text."""
        started = time.perf_counter()
        count = 0
        rows = self._batch(prompt, order, [seed])
        for _ in itertools.islice(rows, PLAIN_TOKENS):
            count += 1
            if time.perf_counter() - started > PLAIN_SECONDS:
                break
        return count / (time.perf_counter() - started)

    def _draw(self, prompt: Prompt, order: Order, output: Output) -> Report:
        wants = order.settings
        first = secrets.randbelow(2**32) if wants.seed is None else wants.seed
        report = Report([], range(first, first + wants.num_samples), str(self.samplers(order)))
        # Drafts, rounded weights and compiled products are for one text at a time.
        at_once = 1 if self.draft is not None or wants.quantize != "none" or wants.compile else BATCH
        try:
            for start in range(0, wants.num_samples, at_once):
                seeds = report.seeds[start : start + at_once]
                samples = [self._sample(prompt, order, start + place, seed) for place, seed in enumerate(seeds)]
                rows = self._rows(prompt, order, list(seeds), report)
                report.samples += samples
                self._follow(rows, samples, order, output)
        except KeyboardInterrupt:
            if not report.n_tokens:
                raise
            report.interrupted = True
            for sample in report.samples:
                if not sample.end:
                    self._finish(sample, "interrupted", output)
        return report

    def _follow(self, rows: Rows, samples: list[Sample], order: Order, output: Output) -> None:
        """Hand the tokens of some samples on until each has ended."""
        first = next(rows)  # a refusal comes before anything is printed
        for sample in samples:
            output.begin(sample)
        for row in itertools.chain([first], rows):
            with interrupt.held_back():  # so that no token is half noted
                self._note(row, samples, order, output)
            if all(sample.end for sample in samples):
                return
        with interrupt.held_back():
            for sample in samples:
                if not sample.end:
                    self._finish(sample, "length", output)

    def _note(self, row: list[Step | None], samples: list[Sample], order: Order, output: Output) -> None:
        """One more token for each sample that has not ended."""
        for sample, step in zip(samples, row, strict=True):
            if step is None or sample.end:
                continue
            sample.tokens.append(step.token)
            sample.log_probabilities.append(step.log_probability)
            sample.pieces.append(sample.stream.push(step.token))
            output.token(sample, step)
            if sample.stream.stopped or step.token in order.stop_tokens:
                self._finish(sample, "stop" if sample.stream.stopped else "stop_token", output)

    def _finish(self, sample: Sample, end: str, output: Output) -> None:
        sample.pieces.append(sample.stream.finish())
        sample.end = end
        output.finish(sample)

    def _rows(self, prompt: Prompt, order: Order, seeds: list[int], report: Report) -> Rows:
        if self.draft is not None:
            return self._speculate(prompt, order, seeds, report)
        return self._batch(prompt, order, seeds)

    def _batch(self, prompt: Prompt, order: Order, seeds: list[int]) -> Generator[list[Step | None], None, None]:
        wants = order.settings
        return generate_batch(
            self.model, [prompt.tokens] * len(seeds), max_new_tokens=wants.max_new_tokens, seeds=seeds,
            samplers=self.samplers(order), vocab_size=self.tokenizer.vocab_size, stop_tokens=order.stop_tokens,
            n_alternatives=wants.alternatives, sliding=wants.sliding,
            weights="float32" if wants.quantize == "none" else wants.quantize, compiled=wants.compile,
        )  # fmt: skip

    def _speculate(self, prompt: Prompt, order: Order, seeds: list[int], report: Report) -> Rows:
        assert self.draft is not None
        wants = order.settings
        speculation = Speculation(
            self.model, self.draft, prompt.tokens, max_new_tokens=wants.max_new_tokens, seed=seeds[0],
            samplers=self.samplers(order), n_draft=wants.n_draft, vocab_size=self.tokenizer.vocab_size,
            stop_tokens=order.stop_tokens,
        )  # fmt: skip
        before = (report.proposed, report.accepted, report.passes)
        for step in speculation:
            now = (speculation.proposed, speculation.accepted, speculation.passes)
            report.proposed, report.accepted, report.passes = map(sum, zip(before, now, strict=True))
            yield [step]

    def _search(self, prompt: Prompt, order: Order, output: Output) -> Report:
        wants = order.settings
        parts: Any = self.model  # nn.Module's attributes have no type
        n_ctx = parts.config.n_ctx
        room = n_ctx - len(prompt.tokens)
        if room < 1:
            message = f"the prompt has {len(prompt.tokens)} tokens and fills the window of {n_ctx}: no room for beams"
            raise ConfigError([Problem("prompt", message)])
        samplers = self.samplers(order)
        beams = beam_search(
            self.model, prompt.tokens, n_beams=wants.num_beams,
            max_new_tokens=wants.max_new_tokens if "max_new_tokens" in order.given else min(wants.max_new_tokens, room),
            length_penalty=wants.length_penalty, early_stopping=EARLY_STOPPING[wants.early_stopping],
            stop_tokens=order.stop_tokens, samplers=samplers if samplers.stages else None,
            vocab_size=self.tokenizer.vocab_size,
        )  # fmt: skip
        method = f"{wants.num_beams} beams, length penalty {wants.length_penalty:g}"
        report = Report([], range(0), " → ".join([*map(str, samplers.stages), method]))
        for number, beam in enumerate(beams[: wants.num_samples]):
            sample = self._sample(prompt, order, number, None)
            sample.tokens, sample.log_probability, sample.score = list(beam.tokens), beam.log_probability, beam.score
            sample.pieces = [sample.stream.push(token) for token in beam.tokens]
            report.samples.append(sample)
            output.begin(sample)
            self._finish(sample, "stop_token" if beam.tokens[-1] in order.stop_tokens else "length", output)
        return report

    def _sample(self, prompt: Prompt, order: Order, number: int, seed: int | None) -> Sample:
        return Sample(number, seed, prompt.text, prompt.tokens, TextStream(self.tokenizer, order.stop))
