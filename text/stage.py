"""The stage: people with names, trades and habits of speech, and the steps of a script that make them speak.

A script is a list of steps (see text/grammar.py for where they are written):

    cast A B C=judge D#Captain#captain   who takes part: a role, or a title to speak under and to be called by
    let THING=treasure                   a word for the whole piece
    say A B symbol                       A says it to B; `-` for B means everyone
    chat A B symbol                      an exchange that A begins; without letters, two of the cast on "chat"
    sing A                               a song
    stage symbol, tell symbol            a stage direction; a paragraph
    write A B, sign                      begin and end a letter from A to B
    title symbol, scene symbol           the heading; the persons of a play and where it begins
    make WORD, keep WORD                 a promise (debt, secret, journey ...) is made; is kept, broken or forgiven
    go script                            continue with one of the scripts of that name
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from text.grammar import Grammar, Teller, fix_articles

LETTERS = "ABCDEF"
# he or she, and the words that go with it
WORDS = {
    True: {"he": "he", "him": "him", "his": "his", "He": "He", "His": "His", "man": "man", "boy": "boy",
           "own": "his own", "self": "himself", "ruler": "king"},
    False: {"he": "she", "him": "her", "his": "her", "He": "She", "His": "Her", "man": "woman", "boy": "girl",
            "own": "her own", "self": "herself", "ruler": "queen"},
}  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip


@dataclass
class Person:
    """Somebody in a piece: `cue` stands before the colon, `call` is what others say to them."""

    name: str
    cue: str
    call: str
    role: str
    male: bool
    fond: str  # how they address people: "good ", "dear " or nothing
    habit: str  # a saying they cannot leave off
    habit_first: bool

    def words(self, letter: str) -> dict[str, str]:
        """What slots like {A}, {A.his} and {A.role} must say."""
        words = {f"{letter}.{key}": value for key, value in WORDS[self.male].items()}
        return words | {letter: self.name, f"{letter}.role": self.role}


@dataclass
class Piece:
    """One finished piece and what is known about it: title, speakers in order of the cast, words of promises."""

    kind: str
    title: str = ""
    cast: dict[str, Person] = field(default_factory=dict)
    blocks: list[str] = field(default_factory=list)
    spoke: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The whole piece with the blank lines that separate it from the next."""
        return fix_articles("\n\n".join(self.blocks)) + "\n\n\n"


class Stage(Teller):
    """Plays scripts; every performance is a new piece with its own people and town."""

    def __init__(self, grammar: Grammar, random: Callable[[], float]) -> None:
        """`random` gives floats in [0, 1): the only source of chance."""
        super().__init__(grammar, random)
        self.piece = Piece("none")
        self._speaker = ""  # whose speech is the last block
        self._chatted = False  # an exchange has just ended
        self._month = 0
        self._day = 0

    def perform(self, kind: str) -> Piece:
        """One new piece: a script called `kind`, with its own people and town."""
        self.bound.clear()
        self._kept.clear()
        self.piece = Piece(kind)
        self._speaker = ""
        self._month, self._day = self.below(10), self.below(20)
        for name in ("town", "place"):
            self.bound[name.upper()] = self.expand(name)
        self.play(self.script(kind))
        return self.piece

    def play(self, steps: list[str]) -> None:
        """Do the steps in order."""
        for step in steps:
            command, *arguments = step.split()
            getattr(self, f"_do_{command}")(*arguments)

    # people ---------------------------------------------------------------------------------------------------------

    def _do_cast(self, *members: str) -> None:
        for member in members:
            letter, _, title = member.partition("#")
            letter, _, role = letter.partition("=")
            person = self._new_person(role, title)
            self.piece.cast[letter] = person
            self.bound.update(person.words(letter))

    def _new_person(self, role: str, title: str) -> Person:
        male = self.chance(0.5)
        taken = {person.name for person in self.piece.cast.values()}
        while (name := self.expand("name_m" if male else "name_f")) in taken:
            pass
        fond = self.expand("fond")
        cue = call = name
        if title:
            cue, _, call = title.replace("_", " ").partition("#")
            name, fond = f"the {cue.lower()}", ""
        if not role or role in self.forms:
            role = self.expand(role or "role")
        role = WORDS[male]["ruler"] if role == "ruler" else role.replace("_", " ")
        if title:
            role = call
        first = self.chance(0.5)
        self.bound["me"] = name
        self.bound["me.role"] = role
        habit = self.expand("oath" if first else "tag")
        return Person(name, cue, call, role, male, "" if fond == "-" else fond + " ", habit, first)

    # words ----------------------------------------------------------------------------------------------------------

    def _do_let(self, assignment: str) -> None:
        word, symbol = assignment.split("=")
        self.bound[word] = self.expand(symbol)

    def _do_title(self, symbol: str) -> None:
        self.piece.title = fix_articles(self.expand(symbol)).upper()
        self.piece.blocks.append(self.piece.title)

    def _do_scene(self, symbol: str) -> None:
        people = [f"{p.name}, {a}{p.role}" for p in self.piece.cast.values() for a in [self._article(p.role)]]
        self.piece.blocks.append(f"Persons: {'; '.join(people)}.\n{self.expand(symbol)}")

    def _article(self, role: str) -> str:
        return "the " if role in ("king", "queen", "judge", "mayor") else "a "

    def _do_make(self, word: str) -> None:
        self.piece.made.append(word)

    def _do_keep(self, word: str) -> None:
        self.piece.kept.append(word)

    def _do_go(self, name: str) -> None:
        self.play(self.script(name))

    # speech ---------------------------------------------------------------------------------------------------------

    def _do_say(self, speaker: str, hearer: str, symbol: str) -> None:
        me = self.piece.cast[speaker]
        if hearer == "-":
            self.bound["you"] = "friends"
        else:
            you = self.piece.cast[hearer]
            fond = me.fond if you.cue == you.name and self.chance(0.5) else ""
            self.bound["you"] = fond + you.call
            self.bound["you.role"] = you.role
        self.bound["me"] = me.name
        text = self.expand(symbol)
        if self.chance(0.14):
            text = f"{me.habit} {text}" if me.habit_first else f"{text} {me.habit}"
        if self._speaker == speaker:
            turning = self.expand("turning") + " " if self._chatted else ""
            self.piece.blocks[-1] += f" {turning}{text}"
        else:
            self.piece.blocks.append(f"{me.cue}:\n{text}")
        self._speaker, self._chatted = speaker, False
        self.piece.spoke.add(speaker)

    def _do_sing(self, singer: str) -> None:
        self.piece.blocks.append(f"{self.piece.cast[singer].cue}:\n{self.expand('song')}".replace(" / ", "\n"))
        self.piece.spoke.add(singer)
        self._speaker = singer

    def _do_chat(self, *arguments: str) -> None:
        first, second = arguments[:2] or self._two_others()
        name = arguments[2] if len(arguments) > 2 else "chat"
        pair = (first, second)
        for number, turn in enumerate(self.script(name)):
            self._do_say(pair[number % 2], pair[1 - number % 2], turn)
        self._chatted = True
        self.forget()

    def _two_others(self) -> tuple[str, str]:
        letters = [letter for letter in self.piece.cast if letter != self._speaker]
        first = letters.pop(self.below(len(letters)))
        others = [letter for letter in self.piece.cast if letter != first]
        return first, others[self.below(len(others))]

    def _do_stage(self, symbol: str) -> None:
        self.piece.blocks.append(f"({self.expand(symbol)})")
        self._speaker = ""

    # prose ----------------------------------------------------------------------------------------------------------

    def _do_tell(self, symbol: str) -> None:
        self.piece.blocks.append(self.expand(symbol))
        self._speaker = ""
        self.forget()

    def _do_write(self, writer: str, reader: str) -> None:
        me, you = self.piece.cast[writer], self.piece.cast[reader]
        self._day += 2 + self.below(9)
        if self._day >= 28:
            self._month, self._day = self._month + 1, self._day - 27
        self.bound["me"], self.bound["you"] = me.name, you.name
        self.bound["HERE"] = self.bound["TOWN" if writer == "A" else "OTHER"]
        # what the weather does must suit the date
        season = ("winter", "spring", "summer", "autumn")[(self._month + 1) % 12 // 3]
        self.bound["weather_line"] = self.expand(f"{season}_line")
        self.bound["DAY"] = f"{self.expand('ordinals').split(' ')[self._day]} of {MONTHS[self._month % 12]}"
        self.piece.blocks += [self.expand("dateline"), self.expand("salutation")]

    def _do_sign(self) -> None:
        self.piece.blocks.append(f"{self.expand('closing')}\n{self.bound['me']}")
