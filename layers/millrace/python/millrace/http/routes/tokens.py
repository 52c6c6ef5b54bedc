"""/v1/tokens and /v1/tokenInfo."""

from http import HTTPStatus
from typing import Final

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayHttpRouter

from millrace.domain.token import TokenInput
from millrace.http.documented import WITH_BODY, answers
from millrace.http.requests import answer, caller_of
from millrace.http.roles import needs
from millrace.http.routes.crud import Place, add_routes
from millrace.http.token_views import CreatedToken, TokenInfo, TokenView
from millrace.usecases.context import Context
from millrace.usecases.tokens import TOKENS, create_token, token_of

_PLACE: Final = Place("tokens", "token_id", reader="admin", writer="admin")


def tokens_router(context: Context) -> APIGatewayHttpRouter:
    """The routes over this context."""
    router = APIGatewayHttpRouter()

    @router.post(
        _PLACE.collection,
        tags=["tokens"],
        security=needs(_PLACE.writer),
        responses=answers(HTTPStatus.CREATED, *WITH_BODY),
    )
    def create(given: TokenInput) -> Response[CreatedToken]:
        token, text = create_token(context, caller_of(router.current_event), given)
        return answer(CreatedToken.with_text(token, text), token, HTTPStatus.CREATED)

    add_routes(router, context, _PLACE, TOKENS, TokenView, TokenView.of)

    @router.get(
        "/v1/tokenInfo", tags=["tokens"], security=needs("viewer"), responses=answers(HTTPStatus.OK)
    )
    def token_info() -> TokenInfo:
        return TokenInfo.of(token_of(context, caller_of(router.current_event)))

    return router
