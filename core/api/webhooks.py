"""Providers call here: checked over the raw bytes, stored sealed, answered; then the bell.

What is not signed is refused and stored nowhere. A fault of ours is a 5xx, so that the provider
tries again; the body is never looked into here.
"""

from typing import Final

from litestar import MediaType, Response, get, post
from litestar.params import FromPath

from core.api.lending import Call, Lent
from core.api.operations import PUBLIC, Answer, Operation, described
from core.api.problems import UnavailableError
from core.channels.channel import Channel
from core.channels.messages import WebhookRequest
from core.crashpoint import crashpoint
from core.errors import NotFoundError, PermissionDeniedError
from core.ids import new_uuid
from core.notify.mailbox import Letter
from core.notify.services import Services
from core.outbox.sealing import sealing_context

_KEPT_OUT: Final = frozenset({"authorization", "cookie", "proxy-authorization"})


@get(
    "/hooks/{slug:str}",
    opt=described(
        Operation(
            id="answerChallenge",
            summary="A provider checks our webhook address",
            tag="Provider webhooks",
            scope=PUBLIC,
            answers={
                200: Answer(description="The challenge.", schema=str, media_type="text/plain")
            },
            problems=("scope-missing", "not-found"),
        )
    ),
)
async def answer_challenge(slug: FromPath[str], request: Call, services: Lent) -> Response[str]:
    """Give the provider its challenge back if it knows the word that was agreed on."""
    answer = _channel(services, slug).challenge(dict(request.query_params.items()))
    if answer is None:
        raise PermissionDeniedError("The verify token is wrong, or none is configured here.")
    headers = {"X-Content-Type-Options": "nosniff"}
    return Response(answer, media_type=MediaType.TEXT, headers=headers)


@post(
    "/hooks/{slug:str}",
    status_code=200,
    opt=described(
        Operation(
            id="takeWebhook",
            summary="A provider tells its news",
            tag="Provider webhooks",
            scope=PUBLIC,
            answers={200: Answer(description="Stored.", schema=str, media_type="text/plain")},
            problems=("webhook-rejected", "not-found"),
        )
    ),
)
async def take_webhook(slug: FromPath[str], request: Call, services: Lent) -> Response[str]:
    """Verify the signature over the raw bytes, store them sealed, commit, ring, answer."""
    crashpoint("hook_started")
    channel = _channel(services, slug)
    body = await request.body()
    headers = {name.lower(): value for name, value in request.headers.items()}
    told = WebhookRequest(headers=headers, query=dict(request.query_params.items()), body=body)
    channel.verify(told)
    crashpoint("hook_verified")
    row_id = new_uuid()
    # The body is of no business yet: one call may bring news of many.
    sealed = services.vault.seal(body, context=sealing_context(slug, row_id))
    await services.mailbox.keep(
        Letter(
            id=row_id,
            channel=slug,
            headers={name: value for name, value in headers.items() if name not in _KEPT_OUT},
            body_sealed=sealed,
            received_at=services.clock.now(),
        )
    )
    crashpoint("hook_committed")
    services.ring.inbox()
    return Response("", media_type=MediaType.TEXT)


def _channel(services: Services, slug: str) -> Channel:
    channel = services.channels.get(slug)
    if channel is not None:
        return channel
    state = services.registry.states.get(slug)
    if state is not None and state.state == "failed":
        raise UnavailableError("This channel is out of service.")
    raise NotFoundError("There is no such channel.")


HANDLERS = (answer_challenge, take_webhook)
