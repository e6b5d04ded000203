"""The gRPC methods of IdentityService."""

from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from authsvc.errors import InvalidRequest
from authsvc.guard import Context, Guarded, guarded
from authsvc.identity.authenticate import Authenticator, origin_of
from authsvc.identity.passwords import ASKED_LENGTH_MAX
from authsvc.identity.ports import Origin
from authsvc.identity.signin import Session, SignIn
from authsvc.metrics import Metrics
from authsvc.v1 import identity_pb2 as pb
from authsvc.v1.identity_pb2_grpc import IdentityServiceServicer

_EMAIL_MAX: Final = 255
_TOKEN_MAX: Final = 255


class IdentityServicer(IdentityServiceServicer, Guarded):
    """Holds no state."""

    def __init__(self, sign_in: SignIn, authenticator: Authenticator, metrics: Metrics) -> None:
        """The use cases, who callers are, and whom errors are told."""
        self._sign_in = sign_in
        self._authenticator = authenticator
        self.metrics = metrics

    @guarded
    async def SignIn(self, message: pb.SignInRequest, context: Context) -> pb.SessionTokens:  # noqa: N802 - gRPC's
        """A session begins."""
        email = _given("email", message.email, _EMAIL_MAX)
        password = _given("password", message.password, ASKED_LENGTH_MAX)
        return _tokens_of(await self._sign_in.sign_in(email, password, _origin(context)))

    @guarded
    async def RefreshSession(self, message: pb.RefreshSessionRequest, context: Context) -> pb.SessionTokens:  # noqa: N802 - gRPC's
        """It goes on."""
        token = _given("refresh_token", message.refresh_token, _TOKEN_MAX)
        return _tokens_of(await self._sign_in.refresh(token, _origin(context)))

    @guarded
    async def SignOut(self, message: pb.SignOutRequest, context: Context) -> pb.SignOutResponse:  # noqa: N802 - gRPC's
        """It ends."""
        await self._sign_in.sign_out(_given("refresh_token", message.refresh_token, _TOKEN_MAX), _origin(context))
        return pb.SignOutResponse()

    @guarded
    async def WhoAmI(self, _: pb.WhoAmIRequest, context: Context) -> pb.WhoAmIResponse:  # noqa: N802 - gRPC's
        """Who calls."""
        caller = await self._authenticator.authenticate(_metadata(context), context.peer())
        return pb.WhoAmIResponse(
            actor=caller.actor,
            role=caller.role,
            account_id=caller.account_id or 0,
            user_id=caller.user_id or 0,
            scopes=sorted(caller.scopes),
        )

    @guarded
    async def ChangePassword(self, message: pb.ChangePasswordRequest, context: Context) -> pb.ChangePasswordResponse:  # noqa: N802 - gRPC's
        """Another password."""
        claims = await self._authenticator.claims(_metadata(context))
        current = _given("current_password", message.current_password, ASKED_LENGTH_MAX)
        new = _given("new_password", message.new_password, ASKED_LENGTH_MAX)
        await self._sign_in.change_password(claims, current, new, _origin(context))
        return pb.ChangePasswordResponse()

    @guarded
    async def RequestPasswordReset(  # noqa: N802 - gRPC's
        self, message: pb.RequestPasswordResetRequest, context: Context
    ) -> pb.RequestPasswordResetResponse:
        """Another password, for somebody who has forgotten it."""
        await self._sign_in.request_reset(_given("email", message.email, _EMAIL_MAX), _origin(context))
        return pb.RequestPasswordResetResponse()

    @guarded
    async def ResetPassword(self, message: pb.ResetPasswordRequest, context: Context) -> pb.ResetPasswordResponse:  # noqa: N802 - gRPC's
        """And here it is."""
        token = _given("reset_token", message.reset_token, _TOKEN_MAX)
        new = _given("new_password", message.new_password, ASKED_LENGTH_MAX)
        await self._sign_in.reset_password(token, new, _origin(context))
        return pb.ResetPasswordResponse()


def _given(field: str, value: str, length_max: int) -> str:
    """Text that PostgreSQL takes. A secret is never told again, not even why it is a bad one."""
    if not 0 < len(value) <= length_max or "\x00" in value:
        raise InvalidRequest(field, f"must be 1 to {length_max} characters")
    return value


def _metadata(context: Context) -> list[tuple[str, str | bytes]]:
    return [(name, value) for name, value in context.invocation_metadata() or ()]


def _origin(context: Context) -> Origin:
    return origin_of(_metadata(context), context.peer())


def _tokens_of(session: Session) -> pb.SessionTokens:
    return pb.SessionTokens(
        access_token=session.access_token,
        access_token_expire_time=Timestamp(seconds=session.access_expires_s),
        refresh_token=session.refresh_token,
    )
