"""The least that a ROUTER can do: send back what came. Prints its endpoint and server key.

python bench/echo.py SECRET-KEY [BYTES]: a bare pyzmq loop with CURVE, the yardstick of
bench/bus.py. With BYTES it answers with so many instead.
"""

import sys

import zmq


def main() -> None:
    """Echo until the parent ends us."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.LINGER, 0)
    router.setsockopt(zmq.SNDHWM, 1_000)
    router.setsockopt(zmq.RCVHWM, 1_000)
    secret = sys.argv[1].encode()
    router.curve_server = True
    router.curve_secretkey = secret
    router.bind("tcp://127.0.0.1:*")
    endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
    print(endpoint.rstrip("\0"), zmq.curve_public(secret).decode(), flush=True)
    answer = bytes(int(sys.argv[2])) if sys.argv[2:] else b""
    while True:
        router.poll()
        while True:
            try:
                frames = router.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            router.send_multipart([frames[0], answer] if answer else frames, zmq.DONTWAIT)


if __name__ == "__main__":
    main()
