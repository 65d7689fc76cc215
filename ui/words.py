"""Numbers and names in the form a person reads: few digits, units, and nothing that Markdown would interpret."""

import math
import re

DASH = "–"
MINUTE, HOUR, DAY = 60, 3_600, 86_400

# Backslashes stop Markdown; Streamlit's own :colour[…], :material/…: and bare web addresses are found after that, in
# the finished text, so an invisible space after their first character has to break them.
MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$^=&\"'])")
LOCAL_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]+\)")
DIRECTIVE = re.compile(r":(?=\S)|www(?=\.)|@")


def literal(text: str) -> str:
    """A text that any Streamlit label shows exactly as it is: no Markdown, colour, icon, link or formula in it."""
    one_line = " ".join(text.split())
    return MARKDOWN.sub(r"\\\1", DIRECTIVE.sub(lambda found: found.group() + "\u200b", one_line))


def without_local_links(markdown: str) -> str:
    """Links to files of the repository as plain names: inside the app they would lead nowhere."""
    return LOCAL_LINK.sub(r"\1", markdown)


def number(value: float | None, digits: int = 4) -> str:
    """At most `digits` significant digits: 1.906, 24,300, 0.0003."""
    if value is None:
        return DASH
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    if 0 < abs(rounded) < 1e-4:
        return f"{rounded:.{min(digits - 1, 2)}g}"
    if decimals <= 0:
        return f"{int(rounded):,}"
    return f"{rounded:,.{decimals}f}"


def share(probability: float) -> str:
    """A probability in percent; what cannot be drawn is a dash."""
    if probability <= 0:
        return "–"
    return "< 0.1 %" if probability < 0.0005 else f"{probability:.1%}".replace("%", " %")


def count(value: float) -> str:
    """A size in words: 3.2 M, 412 k, 96."""
    for limit, scale, unit in ((999.5e6, 1e9, " B"), (999.5e3, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            return f"{value / scale:.3g}{unit}" if abs(value) < 999.5e9 else f"{value / scale:,.0f}{unit}"
    return f"{value:,.0f}"


def counted(amount: int, thing: str) -> str:
    """1 checkpoint, 2 checkpoints."""
    return f"{amount:,} {thing}{'' if amount == 1 else 's'}"


def file_size(size_bytes: float) -> str:
    """Bytes in words: 812 B, 1.1 MB."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= limit:
            return f"{size_bytes / limit:.3g} {unit}"
    return f"{size_bytes:.0f} B"


def duration(seconds: float) -> str:
    """A time span as exact as it matters: 41 s, 1 min 40 s, 35 min, 2 h 5 min."""
    whole = max(0, round(seconds))
    if 10 * MINUTE <= whole < HOUR:
        whole = min(HOUR, round(whole / MINUTE) * MINUTE)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s" if whole % MINUTE else f"{whole // MINUTE} min"
    if whole < DAY:
        minutes = whole % HOUR // MINUTE
        return f"{whole // HOUR} h {minutes} min" if minutes else f"{whole // HOUR} h"
    hours = whole % DAY // HOUR
    return f"{whole // DAY} d {hours} h" if hours else f"{whole // DAY} d"
