"""What stays of the process that was started first. Run as a program, and small: it imports next to nothing.

Arguments: the descriptor of the leash, and the process that serves.
"""

import os
import signal
import socket
import sys


def main(descriptor: int, pid: int) -> int:
    """Pass signals on until no server is left; the status of the last one, 1 where it did not tell."""
    serving = [pid]
    #: signals that met nobody: the server has ended, and its successor was not told yet
    kept: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        try:
            os.kill(serving[0], number)
        except ProcessLookupError:
            kept.append(number)

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in signals:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    status, rest = 1, b""
    with socket.socket(fileno=descriptor) as leash:
        while data := leash.recv(4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                word, _, value = line.partition(b" ")
                if word == b"pid":
                    serving[0] = int(value)
                    for _ in range(len(kept)):
                        pass_on(kept.pop(0), None)
                elif word == b"exit":
                    status = int(value)
    return status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
