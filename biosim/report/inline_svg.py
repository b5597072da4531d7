"""SVG files made part of a page: cleaned of all that could act, and recoloured by the page in the dark.

A figure of a study or a measure comes from the run directory, and a run from somebody else is data: only elements and
attributes that draw are let through, and references only to the figure itself or to an image it holds.
"""

from __future__ import annotations

import colorsys
import html
import re
from xml.etree import ElementTree

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
ELEMENTS = frozenset({
    "svg", "g", "defs", "path", "use", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "image", "clipPath",
    "pattern", "linearGradient", "radialGradient", "stop",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "id", "d", "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "cx", "cy", "r", "rx", "ry", "width", "height", "viewBox", "points",
    "transform", "rotate", "style", "fill", "stroke", "fill-opacity", "stroke-opacity", "opacity", "stroke-width", "stroke-dasharray",
    "stroke-linecap", "stroke-linejoin", "clip-path", "clip-rule", "fill-rule", "text-anchor", "font-size", "font-family",
    "font-weight", "font-style", "offset", "stop-color", "stop-opacity", "gradientUnits", "gradientTransform", "patternUnits",
    "patternTransform", "preserveAspectRatio", "image-rendering",
})  # fmt: skip
LIGHT_MARK, DARK_MARK = "#fffffe", "#000001"  # of marks on an image, which stay as they are on any page
_HEX = re.compile(r"#[0-9a-fA-F]{6}\b")
_PLAIN_URL = re.compile(r"url\(\s*#([\w.:-]+)\s*\)")
_BITMAP = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=\s]*\Z")
LEAST = 0.125  # relative luminance, in the dark, of a colour: three times the page's contrast
PAPER, INK = 0.078, 0.90  # lightness, in the dark, of what is white and of what is black on paper


def inline_svg(text: str, name: str, label: str) -> str:
    """Return an SVG file as an element of a page, every colour a variable with the one on paper to fall back on.

    Parameters
    ----------
    text : str
        The file.
    name : str
        Goes in front of identifiers, so that those of two figures differ.
    label : str
        What a screen reader says of it.

    Raises
    ------
    ValueError
        When it is no SVG.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"not SVG: {error}") from None
    if root.tag != f"{SVG}svg":
        raise ValueError("not SVG: its outermost element is another")
    prefix = re.sub(r"[^\w-]", "-", name)
    used = set(_PLAIN_URL.findall(text)) | set(re.findall(r"href=[\"']#([^\"']+)", text))
    content = "".join(_element(child, prefix, used) for child in root)
    box = root.get("viewBox") or f"0 0 {_points(root.get('width'))} {_points(root.get('height'))}"
    if not re.fullmatch(r"[\d.eE+\-\s]+", box):
        raise ValueError("not SVG: its viewBox is none")
    width = float(box.split()[2]) * 4 / 3 if len(box.split()) == 4 else 0.0  # points as pixels
    return f'<svg viewBox="{box}" style="width:{width:.0f}px" role="img" aria-label="{html.escape(label)}">{content}</svg>'


def _points(length: str | None) -> float:
    found = re.match(r"[\d.]+", length or "")
    return float(found[0]) if found else 100.0


def _element(node: ElementTree.Element, prefix: str, used: set[str]) -> str:
    if not isinstance(node.tag, str) or not node.tag.startswith(SVG) or (tag := node.tag.removeprefix(SVG)) not in ELEMENTS:
        return ""
    parts = [tag]
    for key, value in node.attrib.items():
        if key in (XLINK, "href"):
            if value.startswith("#"):
                parts.append(f'href="#{prefix}-{html.escape(value[1:])}"')
            elif tag == "image" and _BITMAP.match(value):
                parts.append(f'href="{value}"')
        elif key == "id":
            if value in used:
                parts.append(f'id="{prefix}-{html.escape(value)}"')
        elif key in ATTRIBUTES and (kept := _value(key, value, prefix)):
            parts.append(f'{key}="{html.escape(kept)}"')
    inside = html.escape(node.text or "", quote=False) if tag in ("text", "tspan") else ""
    inside += "".join(_element(c, prefix, used) + (html.escape(c.tail or "", quote=False) if tag == "text" else "") for c in node)
    return f"<{' '.join(parts)}>{inside}</{tag}>"


def _value(key: str, value: str, prefix: str) -> str:
    """Return an attribute's value: coordinates on one line, colours as variables, addresses only within the figure."""
    value = " ".join(value.split())
    if key == "style":
        value = ";".join(d for d in (part.strip() for part in value.split(";")) if d and _harmless(d))
    elif not _harmless(value):
        return ""
    return (
        _HEX.sub(_variable, _PLAIN_URL.sub(rf"url(#{prefix}-\1)", value))
        if key in ("style", "fill", "stroke")
        else _PLAIN_URL.sub(rf"url(#{prefix}-\1)", value)
    )


def _harmless(text: str) -> bool:
    rest = _PLAIN_URL.sub("", text).lower()
    return not any(word in rest for word in ("url", "\\", "@", "expression", "javascript", "var(", "position"))


def _variable(found: re.Match[str]) -> str:
    colour = found[0].lower()
    return colour if colour in (LIGHT_MARK, DARK_MARK) else f"var(--p{colour[1:]},{colour})"


def dark_colours(page: str) -> str:
    """Return CSS declarations of every colour that figures on a page use, as it is to be in the dark."""
    found = sorted(set(re.findall(r"var\(--p([0-9a-f]{6}),", page)))
    return "".join(f"--p{colour}:{in_the_dark(colour)};" for colour in found)


def in_the_dark(colour: str) -> str:
    """Return six hexadecimal digits as a colour on a dark page: black and white change places, hues keep theirs, lighter.

    >>> in_the_dark("ffffff"), in_the_dark("000000")
    ('#10141a', '#e6e6e6')
    """
    red, green, blue = (int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    if colour == "ffffff":
        return "#10141a"  # the page's own
    if saturation < 0.08:
        lightness = INK + (PAPER - INK) * lightness
    else:
        lightness = 0.4 + 0.45 * lightness
        while lightness < 0.9 and _luminance(colorsys.hls_to_rgb(hue, lightness, saturation)) < LEAST:
            lightness += 0.02
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, lightness, saturation))


def _luminance(colour: tuple[float, float, float]) -> float:
    """Return the relative luminance of WCAG 2.1."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
