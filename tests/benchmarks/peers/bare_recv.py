"""Not a contender: agrees to every upgrade, then only reads bytes into one buffer. Shows what the sender can do."""

import select
import socket
import sys

_AGREED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def main() -> None:
    """Serve until killed."""
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=256)
    poll, wires, buffer = select.epoll(), {}, bytearray(1 << 18)
    poll.register(server, select.EPOLLIN)
    agreed = set()
    while True:
        for number, _ in poll.poll():
            if number == server.fileno():
                wire, _ = server.accept()
                wires[wire.fileno()] = wire
                poll.register(wire, select.EPOLLIN)
                continue
            try:
                count = wires[number].recv_into(buffer)
            except ConnectionError:
                count = 0
            if not count:
                poll.unregister(number)
                agreed.discard(number)
                wires.pop(number).close()
            elif number not in agreed:
                agreed.add(number)
                wires[number].sendall(_AGREED)


if __name__ == "__main__":
    main()
