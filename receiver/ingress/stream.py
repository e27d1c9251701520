"""One vendor WebSocket, without the socket: messages in, records out. What it tells of itself goes the same way."""

import asyncio
import time
from collections.abc import Callable

import msgspec
import structlog

from receiver.bundle import Part
from receiver.errors import JournalUnavailable, Malformed, Shed
from receiver.events import Event, StreamClosed, StreamOpened
from receiver.ingress.guard import CHANNELS
from receiver.ingress.intake import Intake, Outcome, decode_safely
from receiver.ingress.media import MediaGather
from receiver.ingress.note import StreamNote
from receiver.ingress.shedding import Kind as Weight
from receiver.ingress.shedding import kind_of_channel
from receiver.ingress.streams import Ended, Key, StreamBook
from receiver.journal.base import EVENTS, MEDIA
from receiver.journal.state import State
from receiver.record import Kind, Record
from receiver.telemetry.ledger import Intake as Book
from receiver.vendors.base import Session

log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode


class Rim(msgspec.Struct, frozen=True):
    """What every stream of a server shares."""

    intake: Intake
    streams: StreamBook
    media: MediaGather
    state: State


class Stream:
    """``take`` each message in turn, ``finish`` once. ``failed`` is set when the journal could not take something.
    Frames may be offered to ``take_at_once`` before.

    It is opened in the journal with the message that tells its channel and, where the URL named none, its bot. Text
    messages are records of their own, frames are gathered into bundles; all of them keep their order.
    """

    __slots__ = (
        "_arrivals_ns", "_frame_events", "_frames", "_frames_state", "_granted_bytes", "_journal", "_key", "_note",
        "_opened", "_opening", "_rim", "_shedding", "_since_s", "book", "bytes", "connection", "failed", "messages",
        "session",
    )  # fmt: skip

    def __init__(self, rim: Rim, session: Session, note: StreamNote, book: Book) -> None:
        self.session = session
        self.connection = note.connection
        self.failed = asyncio.Event()
        self.messages = 0
        self.bytes = 0
        self._rim = rim
        self._journal, self._shedding = rim.intake.journal, rim.intake.shedding
        self._since_s = time.monotonic()
        self._note = note
        self.book = book
        self._key: Key | None = None
        self._frames: list[bytes] = []
        self._arrivals_ns: list[int] = []
        self._frame_events: list[Event] = []
        self._frames_state = b""
        #: so much may come without asking whether there is room
        self._granted_bytes = 0
        #: until the first frame: its opening on its way to the disk, in another lane than the frames
        self._opening: asyncio.Future[None] | None = None
        self._opened = False
        rim.streams.connect(self)

    async def take(self, message: bytes | str, lying_bytes: Callable[[], int] = lambda: 0) -> None:
        """Journal one message. Waits while the journal is behind, so that the peer is read no faster. ``lying_bytes``:
        what has come behind it by now, and is offered next."""
        now_ns = time.time_ns()
        self.book.received += 1
        unknown = self._key is None or not self._note.subject
        if unknown:
            self.session.learn(message)
        if self._shedding.kinds and self._is_shed(message):
            return
        self.messages += 1
        if unknown:
            self._bind_if_known(message)
        if isinstance(message, str):
            await self._take_text(message, now_ns)
            return
        if not self._frames or self._opening is not None:
            await self._begin_row(lambda: len(message) + lying_bytes())
        try:
            decoded = decode_safely(self.session.receive, message, now_ns)
        except Malformed as problem:
            await self._refuse_frame(message, now_ns, problem)
            return
        self._frame_events += decoded.events
        self._keep([message], now_ns)

    def is_ready(self) -> bool:
        """Whether frames can be taken at once: the stream is open in the journal, which has room for them."""
        return self._is_open() and (bool(self._frames) or self._granted_bytes > 0 or self._rim.media.has_room())

    def wait_for_room(self, let_in: Callable[[], bool], lying_bytes: Callable[[], int]) -> bool:
        """Whether nothing but room is wanting, so that frames can be taken when ``let_in`` is called. ``lying_bytes``:
        what will be there then."""
        if not self._is_open():
            return False

        wanted_bytes = 0

        def wanted() -> int:
            nonlocal wanted_bytes
            wanted_bytes = lying_bytes()
            return wanted_bytes

        def grant() -> bool:
            self._granted_bytes = wanted_bytes
            return let_in()

        self._journal.ask_room(MEDIA, grant, wanted)
        return True

    def take_at_once(self, frames: list[bytes]) -> int:
        """Journal frames that came together, where it ``is_ready``, as far as nothing speaks against one. Of those
        behind that many nothing was done: the first of them is for ``take``."""
        session, now_ns = self.session, time.time_ns()
        if not self._frames:
            self._frames_state = session.snapshot()
        taken = session.receive_frames(frames, now_ns, self._frame_events)
        if taken:
            self.messages += taken
            self.book.received += taken
            self._keep(frames if taken == len(frames) else frames[:taken], now_ns)
        return taken

    async def finish(self, code: int, *, clean: bool) -> None:
        """The socket is gone: journal what is held, then the closing with all that a continuation needs to know."""
        self.seal()
        session = self.session
        if self._key is None and self.messages:
            session.channel = session.channel or "control"  # it said `ready` and nothing else: what control sockets do
            self._bind()
        self._rim.streams.disconnect(self, self._key)
        if self._key is None:
            return
        fact = StreamClosed(
            channel=session.channel,  # type: ignore[arg-type]  # bound: one of the contract's channels
            connection=self.connection,
            code=code,
            clean=clean,
            messages=self.messages,
            bytes=self.bytes,
            duration_s=round(time.monotonic() - self._since_s, 3),
        )
        try:
            await asyncio.shield(self._submit_fact("closed", _encode(fact), session.snapshot()))
        except JournalUnavailable:
            return  # it stays noted as open, and is told after the next start
        self._rim.state.stream_closed(self.connection)

    def seal(self) -> None:
        """Hand the gathered frames to the journal, before anything else of this stream."""
        if self._frames:
            self._rim.media.seal(self)

    @property
    def origin(self) -> tuple[str, str, str]:
        """Vendor, endpoint and channel."""
        return self._note.vendor, self._note.endpoint, self.session.channel

    def give(self, frames: list[bytes], events: list[Event]) -> Part:
        """Let go of the gathered frames and their events, to the end of these lists."""
        part = Part(
            self.connection, self.session.subject, self._frames_state, len(self._frame_events),
            self._arrivals_ns, list(map(len, self._frames)),
        )  # fmt: skip
        frames += self._frames
        events += self._frame_events
        self._frames, self._arrivals_ns, self._frame_events = [], [], []
        return part

    # ---- parts

    def _is_open(self) -> bool:
        """Whether frames need nothing but room: no opening has to be on disk before them, and no disk is full."""
        return self._key is not None and bool(self._note.subject) and self._opening is None and not self._shedding.kinds

    def _keep(self, frames: list[bytes], now_ns: int) -> None:
        """Gather frames whose events are held."""
        size, media = sum(map(len, frames)), self._rim.media
        self.bytes += size
        self.book.bytes += size
        if not self._frames:
            media.note(self)
        self._frames += frames
        self._arrivals_ns += [now_ns] * len(frames)
        self._granted_bytes -= size
        media.add(size)

    def _is_shed(self, message: bytes | str) -> bool:
        """Whether the disk has no space for it: then the socket goes, before it leaves a trace in the journal."""
        weight = self._weight(message)
        try:
            self._shedding.require(weight)
        except Shed as problem:
            self.book.failed += 1
            self._shedding.failed(problem, weight)
            self.failed.set()
            return True
        return False

    def _weight(self, message: bytes | str) -> Weight:
        return "media" if isinstance(message, bytes) else kind_of_channel(self.session.channel)

    async def _begin_row(self, frames_bytes: Callable[[], int]) -> None:
        """Wait until a frame may be taken. A row begins with what the session knows before its first one."""
        if self._opening is not None:  # no frame is ever on disk without the opening that it belongs to
            await asyncio.wait((self._opening,))
            self._opening = None
        if not self._frames:  # asked before each row: a socket is ahead of a journal that is behind by one row at most
            await self._journal.room(MEDIA, frames_bytes)
            self._granted_bytes = frames_bytes()
            self._frames_state = self.session.snapshot()

    async def _refuse_frame(self, message: bytes, now_ns: int, problem: Malformed) -> None:
        self.bytes += len(message)
        self.book.bytes += len(message)
        state = (b"" if self._frames else self._frames_state) or self.session.snapshot()
        self.seal()  # what comes next has a snapshot of its own, whatever this one has left behind in the session
        await self._quarantine("binary", message, now_ns, state, problem)

    async def _take_text(self, message: str, now_ns: int) -> None:
        self.seal()
        payload = message.encode("utf-8", "surrogatepass")
        self.bytes += len(payload)
        self.book.bytes += len(payload)
        state = self.session.snapshot()
        try:
            decoded = decode_safely(self.session.receive, message, now_ns)
        except Malformed as problem:
            await self._quarantine("text", payload, now_ns, state, problem)
            return
        record = self._record("text", payload, now_ns, state)
        try:
            self._rim.intake.submit(record, decoded, self.book, self._text_settled)
        except Shed as problem:
            self._rim.intake.count_failed(problem, decoded, self.book)
            self.failed.set()
            return
        await self._journal.room(EVENTS)

    def _text_settled(self, outcome: Outcome | JournalUnavailable) -> None:
        if isinstance(outcome, JournalUnavailable):
            self.failed.set()

    async def _quarantine(self, kind: Kind, payload: bytes, now_ns: int, state: bytes, problem: Malformed) -> None:
        """Keep a message that means nothing. Its number stands behind the connection's name, so that ids made from
        that at a retry are not those of the messages that followed."""
        record = self._record(kind, payload, now_ns, state)
        record.connection = f"{self.connection}.{self.messages}"
        try:
            weight = self._weight(payload if kind == "binary" else "")
            await self._rim.intake.quarantine(record, str(problem), self.book, weight)
        except JournalUnavailable:
            self.failed.set()

    def _bind_if_known(self, message: bytes | str) -> None:
        """Media needs no subject to be a stream; everything else waits until it is known whose it is."""
        session = self.session
        if self._key is None:
            if session.channel in CHANNELS and (session.subject or isinstance(message, bytes)):
                self._bind()
        elif session.subject:  # told after the first frames: whoever comes back can still be recognised
            self._enter_book()

    def _enter_book(self) -> Ended | None:
        session = self.session
        self._note = note = msgspec.structs.replace(
            self._note,
            subject=session.subject,
            channel=session.channel,
            track=session.track,
            state=session.snapshot() if session.track else b"",
        )
        self._key = note.key
        self._note_down()
        return self._rim.streams.bind(self._key, self) if session.subject else None

    def _note_down(self) -> None:
        """A crash from now on is told as a closing; not before the opening is safe, or nobody would know of what."""
        if self._opened:
            self._rim.state.stream_opened(self.connection, msgspec.msgpack.encode(self._note))

    def _opening_ended(self, ended: "asyncio.Future[None]") -> None:
        self._opened = not ended.cancelled() and ended.exception() is None
        self._note_down()

    def _bind(self) -> None:
        session = self.session
        previous = self._enter_book()
        fact = StreamOpened(
            channel=session.channel,  # type: ignore[arg-type]  # checked by the caller
            connection=self.connection,
            resumes=previous.connection if previous is not None and self._adopt(previous) else None,
        )
        self._opening = self._submit_fact("opened", _encode(fact), self._note.state)
        self._opening.add_done_callback(self._opening_ended)
        log.info("stream.opened", channel=session.channel, connection=self.connection, resumes=fact.resumes)

    def _adopt(self, previous: Ended) -> bool:
        try:
            self.session.adopt(previous.state)
        except Malformed:  # of an earlier version's making
            return False
        return True

    def _submit_fact(self, kind: Kind, payload: bytes, state: bytes) -> "asyncio.Future[None]":
        record = self._record(kind, payload, time.time_ns(), state)
        future = self._journal.submit(record, EVENTS)
        future.add_done_callback(self._fact_ended)
        return future

    def _fact_ended(self, ended: "asyncio.Future[None]") -> None:
        problem = None if ended.cancelled() else ended.exception()
        if ended.cancelled() or problem is not None:
            self._shedding.failed(problem, "callback", 0)
            self.failed.set()

    def _record(self, kind: Kind, payload: bytes, received_ns: int, state: bytes) -> Record:
        return Record(
            vendor=self._note.vendor,
            endpoint=self._note.endpoint,
            kind=kind,
            channel=self.session.channel,
            connection=self.connection,
            subject=self.session.subject,
            payload=payload,
            received_ns=received_ns,
            state=state,
        )
