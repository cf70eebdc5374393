"""Every error that leaves this package, in one tree.

`code` is stable: docs/errors.md lists each with what happened and what to do, clients
and logs carry it, and tests hold it. Fields keep the facts; `__str__` builds the text.
Nothing here may hold a secret or a token: texts reach logs and clients.
"""

from __future__ import annotations

from typing import ClassVar, Literal


class RealtimeHubError(Exception):
    """Root of the tree; never raised itself."""

    code: ClassVar[str] = "RealtimeHubError"


# Bytes that are not what they should be.


class WireError(RealtimeHubError):
    """Bytes or text from outside that do not follow their format."""

    code = "WireError"


class LsnError(WireError):
    """Text that is not an LSN."""

    code = "InvalidLsn"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"not an LSN: {self.text[:40]!r} (two hexadecimal numbers, as in 16/B374D848)"


class ReplicationProtocolError(WireError):
    """The replication stream carried bytes that PostgreSQL's protocol does not have."""

    code = "ReplicationProtocolError"

    def __init__(self, reason: str, *, offset: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        where = "" if self.offset is None else f" at byte {self.offset}"
        return f"{self.reason}{where}"


class ValueSyntaxError(WireError):
    """A column's text is not what its type prints; the change's JSON can't be built."""

    code = "ValueSyntaxError"

    def __init__(self, type_name: str, reason: str) -> None:
        super().__init__(type_name, reason)
        self.type_name = type_name
        self.reason = reason

    def __str__(self) -> str:
        return f"unexpected text for type {self.type_name}: {self.reason}"


class FrameError(WireError):
    """A client's frame is not Phoenix JSON of its protocol version; the frame is dropped."""

    code = "MalformedFrame"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"malformed frame: {self.reason}"


class CursorError(WireError):
    """A cursor that was not signed with this key: altered, foreign or of another version."""

    code = "InvalidCursor"

    def __str__(self) -> str:
        return "not a cursor of this server"


# What a client asked for and can't have.


class SubscriptionError(RealtimeHubError):
    """A binding is refused; the channel's other bindings go on. The text is shown to the client."""

    code = "SubscriptionRefused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class FilterSyntaxError(SubscriptionError):
    """A filter that does not parse."""

    code = "InvalidFilter"


class FilterValueError(SubscriptionError):
    """A filter whose column, operator or value does not fit the table."""

    code = "InvalidFilterValue"


class SelectError(SubscriptionError):
    """A `select` list that is malformed or names a column that can't be read."""

    code = "InvalidSelect"


class SnapshotRefusedError(SubscriptionError):
    """The rows of a table can't be told ahead of its changes."""

    code = "SnapshotRefused"


class TableNotPublishedError(SubscriptionError):
    """The table does not exist, is not in the publication, or is not a table."""

    code = "TableNotPublished"


class UnknownRoleError(SubscriptionError):
    """The token's role does not exist in the database."""

    code = "UnknownRole"


# What a connection asked for and does not get.


class JoinError(RealtimeHubError):
    """A channel can't be joined. Clients try again, so the text says what to change."""

    code = "JoinRefused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class TopicNameRequiredError(JoinError):
    code = "TopicNameRequired"

    def __init__(self) -> None:
        super().__init__("You must provide a topic name")


class TooManyBindingsError(JoinError):
    code = "TooManyBindings"

    def __init__(self, count: int, limit: int) -> None:
        super().__init__(f"{count} bindings in one channel, at most {limit} are allowed")
        self.count = count
        self.limit = limit


class TooManyChannelsError(JoinError):
    code = "ChannelRateLimitReached"

    def __init__(self, limit: int) -> None:
        super().__init__("Too many channels")
        self.limit = limit


class TooManyJoinsError(JoinError):
    code = "ClientJoinRateLimitReached"

    def __init__(self, limit: int) -> None:
        super().__init__("Too many joins per second")
        self.limit = limit


class ProjectUnreachableError(JoinError):
    """The database gave no answer while the channel was joined; it may a little later."""

    code = "UnableToConnectToProject"

    def __init__(self) -> None:
        super().__init__("The database can't be reached at the moment")


class ChannelUnauthorizedError(JoinError):
    """No policy on `realtime.messages` lets this identity read anything in the topic."""

    code = "Unauthorized"

    def __init__(self, topic: str) -> None:
        super().__init__(f"You do not have permissions to read from this Channel topic: {topic}")
        self.topic = topic


class PrivateOnlyError(JoinError):
    code = "PrivateOnly"

    def __init__(self) -> None:
        super().__init__("This project only allows private channels")


class ChannelPolicyError(JoinError):
    """The policies on `realtime.messages` could not be asked, or gave no answer."""

    code = "UnableToSetPolicies"


class MissingPartitionError(ChannelPolicyError):
    code = "MissingPartition"

    def __init__(self) -> None:
        super().__init__("realtime.messages has no partition for today")


class ReplayError(JoinError):
    """The messages that were asked for with the join can't be had."""

    code = "UnableToReplayMessages"


class NotServedError(RealtimeHubError):
    """A message of a feature that this server does not have."""

    code = "NotServed"

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.feature = feature

    def __str__(self) -> str:
        return f"{self.feature} is not served here"


class RoomLimitError(RealtimeHubError):
    """A channel took more than it may of broadcast or presence: it ends. Shown to the client."""

    code = "RoomLimitReached"
    reason: ClassVar[str] = "Too much was asked for"

    def __str__(self) -> str:
        return self.reason


class TooManyMessagesError(RoomLimitError):
    code = "MessagesRateLimitReached"
    reason = "Too many messages per second"


class TooManyPresenceCallsError(RoomLimitError):
    """Of all channels together."""

    code = "PresenceRateLimitReached"
    reason = "Too many presence messages per second"


class ClientPresenceRateError(RoomLimitError):
    """Of one channel."""

    code = "ClientPresenceRateLimitReached"
    reason = "Client presence rate limit exceeded"


class PayloadSizeError(RoomLimitError):
    """What is tracked is too large; a broadcast that is so is dropped, and its channel lives."""

    code = "PayloadSizeExceeded"
    reason = "Track message size exceeded"


class RoleForbiddenError(SubscriptionError):
    """The token's role is a superuser, which no client may be."""

    code = "RoleForbidden"


# Who somebody is.


class TokenError(RealtimeHubError):
    """A token that is not accepted. The text never holds any part of the token."""

    code = "InvalidToken"
    reason: str = "The token provided is not a valid JWT"

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        if reason is not None:
            self.reason = reason

    def __str__(self) -> str:
        return self.reason


class TokenMissingError(TokenError):
    code = "TokenMissing"
    reason = "API key is missing"


class TokenMalformedError(TokenError):
    code = "MalformedJWT"
    reason = "The token provided is not a valid JWT"


class TokenSignatureError(TokenError):
    code = "JwtSignatureError"
    reason = "Failed to validate JWT signature"


class TokenClaimsError(TokenError):
    code = "InvalidJWTToken"
    reason = "Fields `role` and `exp` are required in JWT"


class TokenExpiredError(TokenError):
    """`seconds` is how long ago the token expired."""

    code = "InvalidJWTToken"

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Token has expired {seconds} seconds ago")
        self.seconds = seconds


class ReadRevokedError(TokenError):
    """What the policies let a channel read before, they do not any more: the channel ends."""

    code = "ReadPermissionRevoked"

    def __init__(self, topic: str) -> None:
        super().__init__(f"You no longer have permission to read from this Channel topic: {topic}")


# The database and the stream.


class SourceError(RealtimeHubError):
    """The change stream can't go on as it is."""

    code = "SourceError"


class DatabaseUnreachableError(SourceError):
    """No connection to PostgreSQL; tried again with back-off."""

    code = "DatabaseUnreachable"


class SlotError(SourceError):
    """The replication slot can't be used."""

    code = "SlotError"


class SlotInUseError(SlotError):
    """Another process reads the slot."""

    code = "SlotInUse"


class SlotLostError(SlotError):
    """The slot was dropped or its WAL was removed: changes were missed."""

    code = "SlotLost"


class PublicationMissingError(SourceError):
    """The publication does not exist (at the position that is read)."""

    code = "PublicationMissing"


class NotFitError(SourceError):
    """The database can't be served as it is configured; `remedy` says what to change."""

    code = "DatabaseNotFit"

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}. {self.remedy}"


class SlimRefusedError(SourceError):
    """A publication is not slimmed, or not restored: it is not as it must be for that."""

    code = "SlimRefused"


class UndecidedError(RealtimeHubError):
    """PostgreSQL was asked about a change and gave no answer: the change is withheld."""

    code = "VerdictUnavailable"


class SnapshotError(RealtimeHubError):
    """PostgreSQL refused to read a table's rows for somebody, in its own words."""

    code = "SnapshotFailed"


class SettingsError(RealtimeHubError):
    """A setting is missing or makes no sense."""

    code = "InvalidSettings"


class PositionGoneError(RealtimeHubError):
    """Changes after this Position can't all be had any more.

    `reason` is stable: "retention" (too old, or too much came since), "epoch" (the LSN line
    broke), "corrupt" (the log's file is damaged there).
    """

    code = "PositionGone"

    def __init__(self, reason: Literal["retention", "epoch", "corrupt"]) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"changes after this position are no longer kept ({self.reason})"


class ChangeLogError(RealtimeHubError):
    """The log can't be opened, or can't go on; `reason` is what the system said."""

    code = "LogUnavailable"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"the change log {self.path} can't be used: {self.reason}"


class ChangeLogInUseError(ChangeLogError):
    """Another process has the log open."""

    code = "LogInUse"


# The library.


class HubMisusedError(RealtimeHubError):
    """The library was called in a way that can't work; the text says how it can."""

    code = "HubMisused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class HubNameError(HubMisusedError):
    """A hub's name is taken, or nobody has it."""

    code = "HubName"


class AuthNotSupportedError(HubMisusedError):
    """The upstream knows no tokens."""

    code = "AuthNotSupported"

    def __init__(self, kind: str) -> None:
        super().__init__(f"the {kind} upstream has no tokens to read with")


class MissingExtraError(RealtimeHubError):
    """A package is missing that one of this project's extras brings."""

    code = "MissingExtra"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.package} is not installed: pip install 'realtime-hub[{self.extra}]'"


class UpstreamError(RealtimeHubError):
    """The upstream of a hub can't be reached, or failed; tried again with back-off."""

    code = "UpstreamUnavailable"


class ListenerOverflowError(RealtimeHubError):
    """A listener fell behind, and its overflow rule is to be removed."""

    code = "ListenerOverflow"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"{self.limit} changes wait for the listener, which was removed (overflow='disconnect')"
        )
