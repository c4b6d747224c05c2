"""The built-in fault proxy: Toxiproxy's HTTP API on asyncio, seeded, in a process of its own.

python -m chaos.proxy.server --listen 127.0.0.1:8474 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import uvicorn

from chaos.proxy.api import Api


def main() -> None:
    """Serve until asked to stop."""
    parser = argparse.ArgumentParser(description="A fault proxy with Toxiproxy's HTTP API.")
    parser.add_argument("--listen", default="127.0.0.1:8474", metavar="HOST:PORT", help="where the API listens")
    parser.add_argument("--seed", type=int, default=0, help="seed of jitter, slicing and toxicity")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"--listen {options.listen}: give HOST:PORT")
    asyncio.run(serve(host.strip("[]"), int(port), options.seed))


async def serve(host: str, port: int, seed: int) -> None:
    """Run the API; on the way out every proxy is closed."""
    api = Api(seed)
    config = uvicorn.Config(api, host=host, port=port, log_level="warning", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    try:
        await server.serve()
    finally:
        await api.close()


if __name__ == "__main__":
    if sys.platform != "win32":
        import uvloop

        uvloop.install()
    main()
