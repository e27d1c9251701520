"""Water AI's REST API (docs.waterr.ai, API reference, 2026): meetings made from scenarios, and their transcripts."""

from receiver.rest.waterai.api import WaterAiApi
from receiver.rest.waterai.options import CreateOptions, DynamicOptions, MeetingOptions

__all__ = ["CreateOptions", "DynamicOptions", "MeetingOptions", "WaterAiApi"]
