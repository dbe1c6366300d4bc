"""Listings: `links.pages` with whole addresses, and `meta.total`."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.pages import Page, page_of


class Listing:
    """What a caller asked a listing for, and the way the answer is cut and told."""

    def __init__(
        self,
        request: Request,
        page: Annotated[int, Query(ge=1)] = 1,
        per_page: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> None:
        self._request = request
        self._page = page
        self._per_page = per_page

    def answer(self, noun: str, documents: list[Document]) -> dict[str, Any]:
        """One page of it."""
        page = page_of(documents, number=self._page, size=self._per_page)
        return {noun: page.items, "links": self._links(page), "meta": {"total": page.total}}

    def _links(self, page: Page[Document]) -> dict[str, Any]:
        neighbours = {
            "first": 1 if page.previous else None,
            "prev": page.previous,
            "next": page.following,
            "last": page.last if page.following else None,
        }
        pages = {
            relation: str(self._request.url.include_query_params(page=number, per_page=page.size))
            for relation, number in neighbours.items()
            if number is not None
        }
        return {"pages": pages} if pages else {}


Asked = Annotated[Listing, Depends()]
