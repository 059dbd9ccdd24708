"""Pages of every report: Jinja2 templates, and charts that Plotly draws in the browser.

A page is one HTML file that needs no network: style, plotly.js and whatever is embedded are in it, compressed.
"""

from __future__ import annotations

import base64
import gzip
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from tabular_bento.pages import formats

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["compressed", "render"]


def render(template: str, /, **context: Any) -> str:
    """Render a page.

    Parameters
    ----------
    template : str
        Name of a file in `pages/templates`, such as ``drift.html``.
    **context
        What the template reads; a name that is not given is an error. Text is escaped.

    Returns
    -------
    str
        A whole HTML document.
    """
    return _environment().get_template(template).render(**context)


def compressed(text: str) -> str:
    """Text as base64 of gzip, which the page's script expands when it is needed."""
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 9, mtime=0)).decode("ascii")


@lru_cache(maxsize=1)
def _plotly() -> str:
    """plotly.js, of the package plotly."""
    return compressed((files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tabular_bento.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["plotly"] = _plotly
    environment.filters |= formats.FILTERS
    return environment
