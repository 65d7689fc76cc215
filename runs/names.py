"""Names that a person can say ("brave-otter" from a run id), and bounds for the words that people write themselves."""

from __future__ import annotations

import hashlib
import unicodedata
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

NAME_LIMIT = 80
NOTE_LIMIT = 2_000
COLORS = 7  # that a run can have; ui/charts.py says which

_ADJECTIVES = """
able agile airy amber ample apt azure balmy bold brave breezy bright brisk broad calm candid careful cheery
civil clear clever cool cosy crisp curious dapper daring deft dewy eager early easy elfin exact fair fancy fast
fine firm fleet fluent fond frank free fresh frosty gallant gentle giddy glad gleaming golden good grand great
green handy happy hardy hasty hazy hearty hidden honest humble icy jaunty jolly keen kind large late lean lively
lofty loud loyal lucid lucky lunar mellow merry mighty mild misty modest neat nimble noble odd open patient
plain plucky polite proud quick quiet rapid rare ready rosy round royal rustic sandy sharp shiny silent silver
simple sleek sly smart smooth snowy soft solar solid spry steady stern still sturdy sunny sweet swift tall tame
tidy tiny tranquil trusty upbeat vast vivid warm wary wild windy wise witty young zesty
"""
_ANIMALS = """
adder albatross alpaca ant antelope badger bat bear beaver bee beetle bison boar bobcat buffalo bullfinch
bunting camel caribou cat cheetah chough cicada condor coot cormorant cougar crab crane cricket crow curlew deer
dingo dipper dolphin donkey dormouse dove dragonfly duck dunlin eagle egret eider eland elk ermine falcon ferret
finch firefly flamingo fox frog gannet gazelle gecko gibbon goat goose goshawk grouse gull hare harrier hawk
hedgehog heron hoopoe horse ibex ibis iguana impala jackal jackdaw jaguar jay kestrel kingfisher kite kiwi koala
lapwing lark lemming lemur leopard linnet lion lizard llama lobster lynx magpie mallard marmot marten merlin
mole mongoose moose moth mouse mule newt nightjar ocelot octopus orca oriole osprey otter owl ox oyster panda
panther parrot partridge pelican penguin perch petrel pheasant pigeon pika plover pony puffin puma quail rabbit
raccoon raven robin rook salmon sandpiper seal shrew skua skylark snail sparrow squirrel stag starling stoat
stork swallow swan swift tapir teal tern thrush tiger toad trout turtle viper vole walrus warbler weasel whale
wigeon wolf wombat woodcock wren yak zebra
"""
ADJECTIVES = tuple(_ADJECTIVES.split())
ANIMALS = tuple(_ANIMALS.split())


@dataclass(frozen=True)
class Label:
    """The person's words about a run. Text from outside: never drawn as Markdown or HTML."""

    name: str
    note: str = ""
    star: bool = False
    color: int = 0
    """Which of the colours every page draws this run in, from 0 to COLORS - 1."""


def parse_label(values: Any, run_id: str) -> Label:
    """What label.json holds, as far as it can be used; name and colour that it lacks are those that the id gives."""
    values = values if isinstance(values, dict) else {}
    name, note, color = values.get("name"), values.get("note"), values.get("color")
    return Label(
        name=clean_name(name if isinstance(name, str) else "") or friendly_name(run_id),
        note=clean_note(note if isinstance(note, str) else ""),
        star=values.get("star") is True,
        color=color if type(color) is int and 0 <= color < COLORS else zlib.crc32(run_id.encode()) % COLORS,
    )


def friendly_name(run_id: str, taken: Collection[str] = ()) -> str:
    """An adjective and an animal, always the same ones for the same id; the next pair where one is in `taken`."""
    number = int.from_bytes(hashlib.sha256(run_id.encode("utf-8", "replace")).digest()[:8], "big")
    pairs = len(ADJECTIVES) * len(ANIMALS)
    for attempt in range(pairs):
        adjective, animal = divmod((number + attempt * 7_919) % pairs, len(ANIMALS))
        name = f"{ADJECTIVES[adjective]}-{ANIMALS[animal]}"
        if name not in taken:
            return name
    return f"{name}-{len(taken)}"


def numbered_name(name: str, taken: Collection[str]) -> str:
    """`name`, or the first of `name-2`, `name-3` … that is not in `taken`: a name must mean one run."""
    number, found = 1, name
    while found in taken:
        number += 1
        ending = f"-{number}"
        found = name[: NAME_LIMIT - len(ending)] + ending
    return found


def clean_name(text: str) -> str:
    """`text` on one line, without control and direction characters, at most 80 characters.

    A name is text from outside: it may come from an upload or another person's folder and is drawn in pages and
    terminals, where an escape sequence or a right-to-left override would change more than itself.
    """
    return " ".join(_without_controls(text, keep="").split())[:NAME_LIMIT].strip()


def clean_note(text: str) -> str:
    """`text` with its line breaks, without other control and direction characters, at most 2,000 characters."""
    return _without_controls(text.replace("\r\n", "\n"), keep="\n")[:NOTE_LIMIT].strip()


def _without_controls(text: str, keep: str) -> str:
    # Cut before normalizing: one character can become eighteen, and the text may be as long as its author likes.
    text = unicodedata.normalize("NFC", text[: 4 * NOTE_LIMIT])
    return "".join(
        character if character in keep or unicodedata.category(character) not in ("Cc", "Zl", "Zp") else " "
        for character in text
        if character in keep or unicodedata.category(character) not in ("Cf", "Cs")
    )
