"""Which text a model learns from, and how it is cut into tokens."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from config.errors import Problem, TextError
from config.fields import Settings, setting

SIZE_UNITS = {"k": 1_000, "m": 1_000_000}
COUNT = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)([km])|(\d{1,15})", re.ASCII)
FRACTION = re.compile(r"\d{0,15}\.\d{1,15}|\d{1,15}\.", re.ASCII)
HOW_TO_SAY_SIZE = "write a fraction (0.1), a number of characters (50000), 100k, 1m, or all"
PLACES = re.compile(r"\{prompt\}(.*)\{response\}", re.DOTALL)
TEMPLATE = r"Prompt: {prompt}\nResponse: {response}\n\n"
MUCH_TEXT = 2**62
"""More characters than any text has: a size is checked against it where the text is not known."""


def parse_data_size(size: str, total_characters: int) -> int:
    """How many characters `--data_size` asks for: "0.1" is a fraction, "50000", "100k" and "1m" are counts.

    A count may be more than there is; the caller decides what to do then.

    Raises:
        TextError: not a size, or nothing would be left.
    """
    wanted = size.strip().lower()
    if wanted in ("all", "1.0"):
        return total_characters
    if wanted == "1":
        raise TextError("data_size 1 would be one single character; write 1.0 or all for the whole text")
    if FRACTION.fullmatch(wanted):
        if not 0 < float(wanted) <= 1:
            raise TextError(f"data_size {size[:40]} is not a fraction above 0 and up to 1.0; {HOW_TO_SAY_SIZE}")
        count = math.floor(total_characters * float(wanted))
    elif match := COUNT.fullmatch(wanted):
        number, unit, plain = match.groups()
        count = int(plain) if plain else round(float(number) * SIZE_UNITS[unit])
    else:
        raise TextError(f"data_size {size[:40]!r} is not a size of text; {HOW_TO_SAY_SIZE}")
    if count < 1:
        of_total = "" if total_characters == MUCH_TEXT else f" of {total_characters:,} characters"
        raise TextError(f"data_size {size[:40]}{of_total} leaves no text; {HOW_TO_SAY_SIZE}")
    return count


def data_size_is_readable(values: Mapping[str, Any]) -> Problem | None:
    """A fraction, a count, or a count with k or m."""
    try:
        parse_data_size(values["data_size"], MUCH_TEXT)
    except TextError as error:
        return Problem("data_size", str(error))
    return None


def template_has_both_places(values: Mapping[str, Any]) -> Problem | None:
    """The prompt, then the response, each once."""
    template = values["pair_template"]
    if template.count("{prompt}") == template.count("{response}") == 1 and PLACES.search(template):
        return None
    return Problem(
        "pair_template",
        f"pair_template {template[:60]!r} must have {{prompt}} and after it {{response}} in it, each once",
    )


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """The text of one run and its tokenizer.

    Raises:
        ConfigError: with *all* problems at once, each naming its field, the numbers and what to do.
    """

    RULES: ClassVar = ((("data_size",), data_size_is_readable), (("pair_template",), template_has_both_places))

    text_file: str = setting("training.txt", group="Text", title="Text", typical="training.txt", basic=True)
    """A text (.txt, .txt.gz, .jsonl), a folder of such files, or a folder that `python -m text.prepare` made."""

    data_size: str = setting(
        "1.0", group="Text", title="Amount of text", typical="1.0; 0.1; 100k; 1m", unit="characters"
    )
    """How much of the text to use, from its start: a fraction, a number of characters (or of pairs), or 100k, 1m."""

    encoding: str = setting("utf-8", group="Text", title="Encoding", typical="utf-8", choices=("utf-8", "latin-1"))
    """How the file's bytes stand for characters."""

    val_fraction: float = setting(
        0.1, group="Text", title="Validation share", typical="0.1", minimum=0.001, maximum=0.5
    )
    """End of the text that is kept aside: the model never trains on it."""

    text_kind: str = setting("text", group="Text", title="Kind of text", typical="text", choices=("text", "pairs"))
    """Running text, or pairs: a .csv or .jsonl of prompts and responses, of which the responses alone are learned."""

    prompt_field: str = setting(
        "prompt", group="Text", title="Prompt field", typical="prompt", only_when=("text_kind", ("pairs",))
    )
    """Column or field of the file that holds the prompts."""

    response_field: str = setting(
        "response", group="Text", title="Response field", typical="response", only_when=("text_kind", ("pairs",))
    )
    """Column or field of the file that holds the responses."""

    pair_template: str = setting(
        TEMPLATE, group="Text", title="Template", typical=r"Prompt: {prompt}\nResponse: {response}\n\n",
        only_when=("text_kind", ("pairs",)),
    )  # fmt: skip
    """How a pair becomes one text; what stands around the two is a marker that the model reads, \\n is a line break."""

    tokenizer_type: str = setting(
        "character", group="Tokenizer", title="Tokenizer", typical="character",
        choices=("character", "byte", "bpe", "gpt2", "sentencepiece", "imported"), unoffered=("imported",), basic=True,
    )  # fmt: skip
    """How text becomes tokens: single characters or bytes, learned pieces (bpe, sentencepiece), or GPT-2's own."""

    vocab_size: int = setting(
        1_024, group="Tokenizer", title="Vocabulary size", typical="512 to 8,192", unit="tokens", minimum=257,
        maximum=1_000_000, only_when=("tokenizer_type", ("bpe", "sentencepiece")), basic=True,
    )  # fmt: skip
    """How many different tokens a trained tokenizer learns."""

    bpe_pattern: str = setting(
        "gpt2", group="Tokenizer", title="Word pattern", typical="gpt2", choices=("gpt2", "gpt4"),
        only_when=("tokenizer_type", ("bpe",)),
    )  # fmt: skip
    """How text is cut into words before pieces are learned: as GPT-2 does, or GPT-4 (at most three digits together)."""

    sentencepiece_model: str = setting(
        "bpe", group="Tokenizer", title="SentencePiece model", typical="bpe", choices=("bpe", "unigram"),
        only_when=("tokenizer_type", ("sentencepiece",)),
    )  # fmt: skip
    """How pieces are learned: by merging frequent neighbors (bpe), or by dropping those least missed (unigram)."""

    @property
    def template_parts(self) -> tuple[str, str, str]:
        """What stands before the prompt, between prompt and response, and after the response."""
        template = self.pair_template.replace("\\n", "\n").replace("\\t", "\t")
        match = PLACES.search(template)
        assert match is not None
        return template[: match.start()], match[1], template[match.end() :]

    @property
    def expected_vocabulary(self) -> int:
        """About how many tokens the tokenizer will have, before it has seen the text."""
        known = {"character": 100, "byte": 256, "gpt2": 50_257}
        return known.get(self.tokenizer_type, self.vocab_size)

    @property
    def tokenizer_options(self) -> dict[str, str]:
        """What `text.tokenizer_types.train_tokenizer` is told beside type and size."""
        return {"bpe_pattern": self.bpe_pattern, "sentencepiece_model": self.sentencepiece_model}
