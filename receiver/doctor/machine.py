"""The machine under the server: whether a sync is one, room on the disk, the clock, the certificate."""

import contextlib
import os
import shutil
import ssl
import statistics
import tempfile
import time
from pathlib import Path

from receiver.doctor.finding import Finding
from receiver.settings import Settings

_SYNCS = 100
_SYNC_LIMIT_S = 3.0
_SYNC_BYTES = 4096
#: no disk makes bytes safe faster than this; flash with its own power supply takes about as long
_IMPLAUSIBLE_S = 20e-6
_SLOW_S = 0.05
_VOLATILE = {"tmpfs": "memory: gone with a restart", "ramfs": "memory: gone with a restart",
             "overlay": "a container's own layer: gone with the container"}  # fmt: skip
_DRIFT_S = 0.1
_WARN_DAYS = 21
_EXPIRED, _NOT_YET = 10, 9  # OpenSSL's verify codes


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder


def examine_sync(folder: Path) -> Finding:
    """Time small syncs in the data folder. One that costs nothing has probably done nothing."""
    kind, where = file_system(folder)
    place = f"{kind} on {where}"
    try:
        times_s = _time_syncs(folder)
    except OSError as error:
        return Finding("bad", "fsync", f"{folder} cannot be written ({error.strerror})", "give the folder to this user")
    median_s, p99_s = statistics.median(times_s), times_s[int(0.99 * (len(times_s) - 1))]
    facts = {"median_us": round(median_s * 1e6, 1), "p99_us": round(p99_s * 1e6, 1), "syncs": len(times_s), "fs": kind}
    text = f"median {_time(median_s)}, p99 {_time(p99_s)} over {len(times_s)} syncs, {place}"
    if kind in _VOLATILE:
        return Finding("warn", "fsync", f"{text}: {_VOLATILE[kind]}", "put data_dir on a volume of its own", facts)
    if median_s < _IMPLAUSIBLE_S:
        return Finding("warn", "fsync", f"{text}: too fast to be true, this disk may lie about what is safe",
                       "look for a volatile write cache or a host that ignores flushes", facts)  # fmt: skip
    if median_s > _SLOW_S:
        return Finding("warn", "fsync", f"{text}: slow, every answer waits for it", "use a faster disk", facts)
    return Finding("ok", "fsync", text, "", facts)


def _time_syncs(folder: Path) -> list[float]:
    times_s: list[float] = []
    block = os.urandom(_SYNC_BYTES)
    with tempfile.TemporaryFile(dir=folder) as file:
        begun_s = time.perf_counter()
        while len(times_s) < _SYNCS and time.perf_counter() - begun_s < _SYNC_LIMIT_S:
            file.write(block)
            file.flush()
            before_s = time.perf_counter()
            os.fsync(file.fileno())
            times_s.append(time.perf_counter() - before_s)
    return sorted(times_s)


def file_system(folder: Path) -> tuple[str, str]:
    """Type and mount point of the file system that a folder lies on."""
    best = ("an unknown file system", "")
    path = str(folder.resolve())
    with contextlib.suppress(OSError):
        for line in Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
            _, mount, kind, *_ = line.split(" ")
            mount = mount.encode().decode("unicode_escape")
            inside = path == mount or path.startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= len(best[1]):
                best = (kind, mount)
    return best


def examine_disk(settings: Settings, used_bytes: int) -> Finding:
    """Whether what retention may keep fits beside what else is there."""
    free = shutil.disk_usage(nearest(settings.data_dir)).free
    journal = settings.journal
    limit = sum(lane.max_bytes for lane in (journal.events, journal.media, journal.quarantine))
    missing = limit - used_bytes + journal.min_free_bytes - free
    facts = {"free_bytes": free, "journal_bytes": used_bytes, "journal_limit_bytes": limit}
    text = f"{free / 1e9:,.1f} GB free, the journal holds {used_bytes / 1e9:,.1f} of at most {limit / 1e9:,.1f} GB"
    if free < journal.min_free_bytes:
        return Finding("bad", "disk", f"{text}: less than journal.min_free_bytes", "make room: readiness is red", facts)
    if missing > 0:
        return Finding("warn", "disk", f"{text}: {missing / 1e9:,.1f} GB too few for the retention that is configured",
                       "lower journal.*.max_bytes or enlarge the disk", facts)  # fmt: skip
    return Finding("ok", "disk", f"{text}, which fits", "", facts)


class Clock:
    """Compares the wall clock with the monotonic one from its making until it is asked."""

    def __init__(self) -> None:
        self._offset_s = time.time() - time.monotonic()

    def examine(self, in_future: str) -> Finding:
        """``in_future``: what was found that is later than now."""
        drift_s = time.time() - time.monotonic() - self._offset_s
        now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
        facts = {"now": now, "step_s": round(drift_s, 3), "in_future": in_future}
        advice = "look at time synchronisation (timedatectl): times of events and signatures depend on it"
        if in_future:
            return Finding("warn", "clock", f"{now}; {in_future}", advice, facts)
        if abs(drift_s) > _DRIFT_S:
            return Finding("warn", "clock", f"{now}; it was set by {drift_s:+.1f} s just now", advice, facts)
        return Finding("ok", "clock", f"{now}, nothing here is later than that", "", facts)


def examine_certificate(cert_file: str, key_file: str) -> Finding:
    """Days left of the certificate, as a client meets it: a handshake in memory that trusts nothing but this file."""
    what = "certificate"
    try:
        not_after_s = _served_until_s(cert_file, key_file)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (_EXPIRED, _NOT_YET):
            text = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
            return Finding("bad", what, f"{cert_file} {text}", "renew it, or set the clock: vendors refuse it now")
        return Finding("warn", what, f"{cert_file} does not verify: {error.verify_message}")
    except (OSError, ssl.SSLError) as error:
        return Finding("bad", what, f"{cert_file} and {key_file} do not load ({error})", "allowed: a pair of PEM files")
    days = (not_after_s - time.time()) / 86400
    until = time.strftime("%Y-%m-%d", time.gmtime(not_after_s))
    text, facts = f"{days:.0f} days left, until {until}", {"days": round(days, 1), "not_after": until}
    if days < _WARN_DAYS:
        return Finding("warn", what, text, "renew it", facts)
    return Finding("ok", what, text, "", facts)


def _served_until_s(cert_file: str, key_file: str) -> float:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(cert_file, key_file)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(cert_file)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):  # a handshake takes two rounds
        for side in (ours, theirs):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    peer = ours.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(peer["notAfter"])))


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
