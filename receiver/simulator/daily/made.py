"""What meetings in the stand-in for Daily leave behind: recordings, transcripts, jobs, and the files of all of them."""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from receiver.simulator import speech as recording
from receiver.simulator.cloud import Cloud
from receiver.simulator.daily.asked import Refusal, page, whole
from receiver.simulator.daily.call import Call, webvtt

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Handler]
#: when the first word is said, in seconds from the beginning of a session
TALK_S = 5.0
_MOST_VALID_S = 43_200
_LINK_S = 3600
#: links to files are signed by their host, which no API key is shown
_SIGNATURE = "standin"


class DailyMade(Cloud):
    """The routes over what ``calls`` have made."""

    calls: dict[str, Call]

    def made_routes(self) -> list[Route]:
        """Below the API."""
        return [
            ("GET", "/recordings", self._list_recordings),
            ("GET", "/recordings/{id}", self._get_recording),
            ("GET", "/recordings/{id}/access-link", self._recording_link),
            ("DELETE", "/recordings/{id}", self._delete_recording),
            ("GET", "/transcript", self._list_transcripts),
            ("GET", "/transcript/{id}", self._get_transcript),
            ("GET", "/transcript/{id}/access-link", self._transcript_link),
            ("GET", "/batch-processor/{id}", self._get_job),
            ("GET", "/batch-processor/{id}/access-link", self._job_links),
        ]

    async def _list_recordings(self, request: web.Request) -> web.Response:
        room = request.query.get("room_name")
        made = [call.recorded() for call in reversed(self.calls.values()) if call.recording]
        return page(request, [one for one in made if room in (None, one["room_name"])], "id")

    async def _get_recording(self, request: web.Request) -> web.Response:
        return web.json_response(self.call_of(request, "recording_id").recorded())

    async def _recording_link(self, request: web.Request) -> web.Response:
        call = self.call_of(request, "recording_id")
        if call.recording != "finished":
            raise Refusal(400, "the recording is not finished")
        valid_s = whole(request.query, "valid_for_secs")
        if valid_s is not None and not 0 < valid_s <= _MOST_VALID_S:
            raise Refusal(400, f"valid_for_secs has to be from 1 to {_MOST_VALID_S}")
        link = self._link(call.recording_id, "recording.mp4")
        return web.json_response({"download_link": link, "expires": int(time.time()) + (valid_s or _LINK_S)})

    async def _delete_recording(self, request: web.Request) -> web.Response:
        call = self.call_of(request, "recording_id")
        call.recording = ""
        return web.json_response({"deleted": True, "id": call.recording_id})

    async def _list_transcripts(self, request: web.Request) -> web.Response:
        room, session = request.query.get("roomId"), request.query.get("mtgSessionId")
        made = [call.transcribed() for call in reversed(self.calls.values()) if call.transcript]
        shown = [one for one in made if room in (None, one["roomId"]) and session in (None, one["mtgSessionId"])]
        return page(request, shown, "transcriptId")

    async def _get_transcript(self, request: web.Request) -> web.Response:
        return web.json_response(self.call_of(request, "transcript_id").transcribed())

    async def _transcript_link(self, request: web.Request) -> web.Response:
        call = self.call_of(request, "transcript_id")
        if call.transcript != "t_finished":
            raise Refusal(400, "the transcript is not finished")
        return web.json_response({"link": self._link(call.transcript_id, "transcript.vtt")})

    async def _get_job(self, request: web.Request) -> web.Response:
        call = self.call_of(request, "job_id")
        source = {"sourceType": "recordingId", "recordingId": call.recording_id}
        return web.json_response({"id": call.job_id, "preset": "summarize", "status": call.job, "input": source})

    async def _job_links(self, request: web.Request) -> web.Response:
        call = self.call_of(request, "job_id")
        if call.job != "finished":
            raise Refusal(400, f"the job is {call.job}")
        return web.json_response({
            "id": call.job_id,
            "preset": "summarize",
            "status": call.job,
            "transcription": [{"format": "vtt", "link": self._link(call.job_id, "transcript.vtt")}],
            "summary": {"format": "txt", "link": self._link(call.job_id, "summary.txt")},
        })  # fmt: skip

    async def serve_file(self, request: web.Request) -> web.Response:
        """What a signed link leads to. A key that is shown here has gone where it should not."""
        if request.headers.get("Authorization") or request.query.get("X-Amz-Signature") != _SIGNATURE:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>", content_type="text/xml")
        name, id_ = request.match_info["name"], request.match_info["id"]
        call = next(
            (one for one in self.calls.values() if id_ in (one.recording_id, one.transcript_id, one.job_id)), None
        )
        if call is None:
            return web.Response(status=404)
        if name == "summary.txt":
            who = ", ".join(guest.name for guest in call.guests)
            return web.Response(text=f"{who} talked about the checkout incident and agreed what to do next.\n")
        if name == "recording.mp4":
            return web.Response(body=b"\x00\x00\x00\x18ftypmp42", content_type="video/mp4")
        return web.Response(body=webvtt(call, recording.load(), TALK_S), content_type="text/vtt")

    def call_of(self, request: web.Request, id_key: str) -> Call:
        """The call whose ``id_key`` the path names, if it has made such a thing."""
        wanted = request.match_info["id"]
        gone = {"recording_id": "recording", "transcript_id": "transcript", "job_id": "job"}.get(id_key, "id")
        for call in self.calls.values():
            if getattr(call, id_key) == wanted and getattr(call, gone):
                return call
        raise Refusal(404, f"{wanted} not found")

    def _link(self, id_: str, name: str) -> str:
        return f"{self.url.removesuffix(self.PREFIX)}/files/{id_}/{name}?X-Amz-Signature={_SIGNATURE}"
