"""A query parameter that a route does not know is refused: a mistyped filter must not show everything."""

from fastapi import Request
from fastapi.dependencies.models import Dependant

from clawdeploy_common.errors import InvalidInput


async def only_known_query(request: Request) -> None:
    """Raise InvalidInput for the first parameter that the route does not have."""
    if not request.scope["query_string"]:
        return
    known = _names(request.scope["route"].dependant)
    for name in request.query_params:
        if name not in known:
            raise InvalidInput(name, "is no parameter of this route", allowed=sorted(known))


def _names(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_names, dependant.dependencies))
