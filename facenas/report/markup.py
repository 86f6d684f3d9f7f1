"""Markup as values: elements are built by a function that escapes everything which is not markup already."""

from collections.abc import Collection, Sequence
from html import escape

_VOID = frozenset({"img", "meta", "link"})


class Html(str):
    """Text that is markup. Any other `str` is escaped where it is put into an element."""


def element(tag: str, /, *children: str | None, **attributes: str | float | None) -> Html:
    """An element with children in order; None is left out, among children and attributes.

    In attribute names a trailing underscore is dropped and others become hyphens (`class_`, `aria_label`).
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*children: str | None) -> Html:
    """Children one after the other, escaped where they are no markup."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child is not None))


def _text(value: str | float) -> str:
    """Coordinates with one decimal, so that equal runs give equal and small pages."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> Html:
    """A table whose columns `numbers` stand right-aligned. Cells carry their header, for screens too narrow for columns."""
    kinds = ["number" if index in numbers else None for index in range(len(headers))]
    head = (element("th", name, class_=kind, scope="col") for name, kind in zip(headers, kinds, strict=True))
    body = (
        element(
            "tr",
            *(
                element("td", cell, class_=kind, data_label=name or None)
                for cell, kind, name in zip(cells, kinds, headers, strict=True)
            ),
        )
        for cells in rows
    )
    return element("table", element("thead", element("tr", *head)), element("tbody", *body))


def section(anchor: str, title: str, *children: str | None) -> Html:
    """A section of the page with its heading."""
    return element("section", element("h2", title), *children, id=anchor)


def paragraph(*children: str | None, kind: str | None = None) -> Html:
    """A paragraph; `kind` is its style: `lead`, `note` or `missing`."""
    return element("p", *children, class_=kind)
