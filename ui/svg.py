"""The few shapes that drawings are made of, as SVG text. Colours are classes, so that the theme decides them."""

from collections.abc import Iterable
from html import escape


def text(x: float, y: float, content: str, style: str = "name", anchor: str = "middle") -> str:
    """One line of text; `y` is its middle."""
    return f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">{escape(content)}</text>'


def rectangle(x: float, y: float, width: float, height: float, style: str, radius: float = 8) -> str:
    """A rectangle by its upper left corner."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="{style}"/>'


def circle(x: float, y: float, radius: float, style: str) -> str:
    """A circle by its centre."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" class="{style}"/>'


def line(points: Iterable[tuple[float, float]], style: str = "wire", arrow: bool = False) -> str:
    """A line through points, with an arrow head at its end if asked."""
    path = " ".join(f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(points))
    return f'<path d="{path}" class="{style}"{" marker-end=" + chr(34) + "url(#arrow)" + chr(34) if arrow else ""}/>'


def plus(x: float, y: float, radius: float = 9, sign: str = "+") -> str:
    """Where two streams are added (or, with ×, multiplied)."""
    half = radius * 0.5
    strokes = line([(x - half, y), (x + half, y)], "sign") + line([(x, y - half), (x, y + half)], "sign")
    if sign == "×":
        strokes = f'<g transform="rotate(45 {x:g} {y:g})">{strokes}</g>'
    return circle(x, y, radius, "sum") + strokes


def part(name: str, description: str, shapes: str, *, marked: bool = False) -> str:
    """A group that can be clicked and reached by keyboard; `name` is what the click reports."""
    style = "part marked" if marked else "part"
    # The title is its name for a screen reader; a label beside it would hide the words that stand in the picture.
    return (
        f'<g class="{style}" data-part="{escape(name)}" tabindex="0" role="button">'
        f"<title>{escape(description)}</title>{shapes}</g>"
    )


def picture(width: float, height: float, description: str, shapes: str) -> str:
    """A whole drawing that scales with its place."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="group" '
        f'aria-label="{escape(description)}">'
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0.5 L7.5 4 L0 7.5 Z" class="head"/></marker></defs>'
        f"{shapes}</svg>"
    )
