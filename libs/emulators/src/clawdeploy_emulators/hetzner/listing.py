"""Listings: filters, `meta.pagination`, and the Link header."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.pages import Page, page_of
from clawdeploy_emulators.hetzner.errors import invalid_input
from clawdeploy_emulators.hetzner.labels import selects


class Listing:
    """What a caller asked a listing for, and the way the answer is cut and told."""

    def __init__(
        self,
        request: Request,
        response: Response,
        *,
        page: Annotated[int, Query(ge=1)] = 1,
        per_page: Annotated[int, Query(ge=1)] = 25,
        name: str | None = None,
        label_selector: str | None = None,
        sort: Annotated[list[str] | None, Query()] = None,
    ) -> None:
        self._request = request
        self._response = response
        self._page = page
        self._per_page = min(per_page, 50)
        self._name = name
        self._labels = selects(label_selector) if label_selector else None
        self._sort = sort or []

    def answer(self, noun: str, documents: list[Document]) -> dict[str, Any]:
        """One page of what was asked for."""
        found = [document for document in documents if self._wanted(document)]
        for order in reversed(self._sort):
            found = _sorted(found, order)
        page = page_of(found, number=self._page, size=self._per_page)
        self._response.headers["Link"] = ", ".join(self._links(page))
        return {noun: page.items, "meta": {"pagination": _pagination(page)}}

    def _wanted(self, document: Document) -> bool:
        if self._name is not None and document["name"] != self._name:
            return False
        return self._labels is None or self._labels(document["labels"])

    def _links(self, page: Page[Document]) -> list[str]:
        neighbours = {"prev": page.previous, "next": page.following, "last": page.last}
        return [
            f'<{self._request.url.include_query_params(page=number, per_page=page.size)}>; rel="{relation}"'
            for relation, number in neighbours.items()
            if number is not None
        ]


Asked = Annotated[Listing, Depends()]


def _sorted(documents: list[Document], order: str) -> list[Document]:
    field, _, direction = order.partition(":")
    if field not in {"id", "name", "created"} or direction not in {"", "asc", "desc"}:
        raise invalid_input("sort", f"'{order}' is not supported")
    return sorted(documents, key=lambda document: document[field], reverse=direction == "desc")


def _pagination(page: Page[Document]) -> dict[str, int | None]:
    return {
        "page": page.number,
        "per_page": page.size,
        "previous_page": page.previous,
        "next_page": page.following,
        "last_page": page.last,
        "total_entries": page.total,
    }
