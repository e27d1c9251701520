"""Calls about recordings. Source: RealtimeKit, REST API reference, recordings (2026)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from receiver.simulator.realtimekit import checks
from receiver.simulator.realtimekit.answers import Answers, Refusal, body_of, data
from receiver.simulator.realtimekit.store import Session
from receiver.simulator.realtimekit.wire import Dialect, instant


class RecordingAnswers(Answers):
    """Recordings of a whole meeting, or of each track."""

    async def _start_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        fields = await body_of(request, checks.RECORDING)
        if "url" in fields and "meeting_id" not in fields:
            raise Refusal(400, "meeting_id is required")
        return await self._recorded(fields, tracks=False)

    async def _start_tracks(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return await self._recorded(await body_of(request, checks.TRACKS, ("meeting_id",)), tracks=True)

    async def _recorded(self, fields: Mapping[str, Any], *, tracks: bool) -> web.StreamResponse:
        session = self._store.live_session(str(fields.get("meeting_id")))
        if session is None:
            raise Refusal(404, "No active session found for the meeting")
        if self._running(session) and not fields.get("allow_multiple_recordings"):
            raise Refusal(409, "A recording of the meeting is already running")
        told = self.new_recording(session, tracks=tracks)
        await self._changed(session, told)
        shown = recording_body(told)
        return data({"recording": shown} if tracks else shown, status=201)

    def new_recording(self, session: Session, *, tracks: bool = False) -> dict[str, Any]:
        """A recording that has been asked for; times are ``datetime``."""
        id_ = self._store.id()
        told: dict[str, Any] = {
            "id": id_, "status": "INVOKED", "download_url": None, "audio_download_url": None,
            "download_url_expiry": None, "file_size": None, "output_file_name": f"{id_}.{'tar' if tracks else 'mp4'}",
            "session_id": session.occasion.session_id, "invoked_time": datetime.now(UTC), "started_time": None,
            "stopped_time": None, "recording_duration": 0, "meeting": {"id": session.occasion.meeting_id},
            "start_reason": {"reason": "API_CALL", "caller": {"type": "ORGANIZATION"}}, "stop_reason": None,
            "tracks": tracks,
        }  # fmt: skip
        self._store.recordings[id_] = told
        return told

    async def _list_recordings(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        query = request.query
        found = list(self._store.recordings.values())
        if "meeting_id" in query:
            found = [one for one in found if one["meeting"]["id"] == query["meeting_id"]]
        if "status" in query:
            found = [one for one in found if one["status"] in query.getall("status")]
        return self._page(request, [recording_body(one) for one in found])

    async def _get_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        return data(recording_body(self._recording(request)))

    async def _active_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        running = self._running(self._live(request))
        if not running:
            raise Refusal(404, "No active recording found")
        return data(recording_body(running[0]))

    async def _change_recording(self, request: web.Request, _dialect: Dialect) -> web.StreamResponse:
        told = self._recording(request)
        action = (await body_of(request, checks.ORDER, ("action",)))["action"]
        allowed = {"pause": ("RECORDING",), "resume": ("PAUSED",), "stop": ("INVOKED", "RECORDING", "PAUSED")}
        if told["status"] not in allowed[action]:
            raise Refusal(400, f"A recording that is {told['status']} cannot {action}")
        told["status"] = {"pause": "PAUSED", "resume": "RECORDING", "stop": "UPLOADING"}[action]
        if action == "stop":
            told["stopped_time"] = datetime.now(UTC)
            told["stop_reason"] = {"reason": "API_CALL", "caller": {"type": "ORGANIZATION"}}
        await self._changed(self._store.sessions[told["session_id"]], told)
        return data(recording_body(told))


def recording_body(told: Mapping[str, Any]) -> dict[str, Any]:
    """A recording as the REST API tells it."""
    shown = {name: value for name, value in told.items() if name != "tracks"}
    return {name: instant(value) if isinstance(value, datetime) else value for name, value in shown.items()}
