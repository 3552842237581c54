"""Parts of a self-contained page: static charts, Vega's scripts, escaped data, a content security policy."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

import vl_convert
from markupsafe import Markup

from gan_bench.core.errors import printable

Spec: TypeAlias = dict[str, Any]

STYLE_ATTRIBUTE = re.compile(r' style="([^"]*)"')
UNSAFE_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def static_svg(spec: Spec, width: int) -> Markup:
    """Return a Vega-Lite spec drawn `width` pixels wide as inline SVG, without style attributes.

    Colors can be CSS variables, which the page defines for light, dark and print.
    """
    svg = vl_convert.vegalite_to_svg(
        {**spec, "width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
    )
    svg = svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
    return Markup(STYLE_ATTRIBUTE.sub(_presentation_attributes, svg))


def _presentation_attributes(match: re.Match[str]) -> str:
    """Return a style attribute, which the page's policy refuses, as attributes of its properties."""
    properties = (part.split(":", 1) for part in match[1].split(";") if ":" in part)
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in properties)


@functools.lru_cache(maxsize=1)
def vega_bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that sets `window.vegaEmbed`."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def script_hash(text: str) -> str:
    """Return the source expression by which a content security policy allows an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def policy(styles: list[str], scripts: list[str]) -> str:
    """Return a content security policy that allows these inline styles and scripts, and images within the page."""
    style, script = (" ".join(map(script_hash, texts)) for texts in (styles, scripts))
    return f"default-src 'none'; img-src data:; style-src {style}; script-src {script}"


def json_block(values: Mapping[str, Any]) -> Markup:
    """Return JSON for an inline data block: no character of it can end the block, or is a control character."""
    text = json.dumps(_clean(values), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escaped in UNSAFE_IN_SCRIPT.items():
        text = text.replace(character, escaped)
    return Markup(text)


def _clean(value: Any) -> Any:
    """Return JSON values without control and bidirectional characters, and None for numbers that JSON lacks."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): _clean(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(each) for each in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
