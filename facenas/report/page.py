"""A whole page in the reports' style. No script, no font, no address: its own policy forbids loading anything."""

from facenas.report.markup import Html, element, join
from facenas.report.style import STYLE

CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, *body: Html) -> Html:
    """A self-contained HTML page; `body` is its header, main part and footer."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    return join(Html("<!doctype html>\n"), element("html", head, element("body", *body), lang="en"))
