"""A distribution of sinks as pip leaves it, for a process that is to find it through its entry points."""

from pathlib import Path


def offer(site: Path, distribution: str, **types: str) -> None:
    """Have ``distribution`` in the folder ``site`` offer sink types, ``name="module:Class"``. Copies no module."""
    info = site / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    lines = [f"{name} = {where}\n" for name, where in types.items()]
    (info / "entry_points.txt").write_text("[meeting_receiver.sinks]\n" + "".join(lines))
