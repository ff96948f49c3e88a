"""The server of `spool web`: listens for a home, on a thread of its own, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import uvicorn

from spool import log, web_rules
from spool.errors import BadConfig, SpoolError
from spool.running import Running
from spool.web import patience
from spool.web.app import App
from spool.web.door import Door
from spool.web.peers import Peers
from spool.web.sessions import Sessions
from spool.web_rules import Web

WORKERS: Final = 8
START_S: Final = 15.0
GRACE_S: Final = 5
END_S: Final = 10.0
LOOK_S: Final = 2.0


class Server:
    """Listens for a home: `start`, then `stop`.

    Attributes:
        port: where it listens once it was started; of use where the config says 0.

    Raises:
        BadConfig: the config has no usable [web] table.
    """

    def __init__(self, running: Running, *, request_s: float = patience.REQUEST_S) -> None:
        self._running = running
        self._web = _table(running)
        self._where = web_rules.listen(self._web)
        self._request_s = request_s
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="web")
        self._tls = _certificate(self._web, running.home)
        self._tls_stamp = self._stamp()
        self._sessions: Sessions | None = None
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # Held: the loop itself holds a task by a weak reference only.
        self._ending: asyncio.Future[None] | None = None
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self.port = 0

    def start(self) -> None:
        """Listen; returns once it does.

        Raises:
            SpoolError: it cannot.
        """
        self._thread.start()
        self._up.wait(START_S)
        if self._failed is not None or not self.port:
            self.stop()
            raise SpoolError(
                f"cannot listen on {self._web.listen}: {self._failed or 'it takes too long'}",
                hint="`ss -ltnp` shows who listens there; [web] listen names another place",
            ) from self._failed
        log.info(
            "web.started",
            listen=f"{self._where.host}:{self.port}",
            path=self._web.path,
            tls=self._tls is not None,
        )

    def stop(self) -> None:
        """End it within a bounded time: polls are answered, leases given back. As often as one likes."""
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._end)
        if self._thread.ident is not None:
            self._thread.join(END_S)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def ring(self) -> None:
        """Somebody rang, on any thread: polls look for mail."""
        if (loop := self._loop) is not None and self._sessions is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._sessions.ring)

    @property
    def url(self) -> str:
        """Where it listens, for who reads it."""
        host = f"[{self._where.host}]" if ":" in self._where.host else self._where.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{self._web.path}"

    def polls(self) -> int:
        """How many polls wait."""
        return 0 if self._sessions is None else self._sessions.waiting

    def is_alive(self) -> bool:
        """Whether it still listens."""
        return self._thread.is_alive()

    def _end(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        if self._sessions is not None:
            self._ending = asyncio.ensure_future(self._sessions.end())

    def _serve(self) -> None:
        try:
            with asyncio.Runner(loop_factory=patience.Loop) as runner:
                runner.run(self._listen())
        except (Exception, SystemExit) as exc:  # noqa: BLE001  told by `start`, or in the log where it is later
            self._failed = exc
            if self._up.is_set():
                log.error("web.failed", error=repr(exc), exc_info=exc)
        finally:
            self._loop = None
            self._up.set()

    async def _listen(self) -> None:
        self._loop = asyncio.get_running_loop()
        monotonic = self._running.clock.monotonic
        peers = Peers(self._running)
        self._sessions = Sessions(peers, self._pool, monotonic)
        door = Door(peers, monotonic, behind_proxy=self._web.behind_proxy)
        app = App(self._web.path, door, peers, self._sessions)
        sock = _bound(self._where)
        self._server = uvicorn.Server(self._config(app))
        watching = [asyncio.ensure_future(self._sessions.watch()), asyncio.ensure_future(self._watch())]
        telling = asyncio.ensure_future(self._tell(sock.getsockname()[1]))
        try:
            await self._server.serve(sockets=[sock])
        finally:
            for task in (*watching, telling):
                task.cancel()
            await self._sessions.end()

    async def _tell(self, port: int) -> None:
        while self._server is not None and not self._server.started:
            await asyncio.sleep(0.01)
        self.port = port
        self._up.set()

    def _config(self, app: App) -> uvicorn.Config:
        each = 0 if self._web.behind_proxy else patience.MOST_EACH
        config = uvicorn.Config(
            app.asgi,
            http=patience.protocol(patience.Guests(each=each), request_s=self._request_s),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=patience.KEEP_S,
            timeout_graceful_shutdown=GRACE_S,
            h11_max_incomplete_event_size=patience.LONGEST_HEAD,
        )
        config.load()
        config.ssl = self._tls
        return config

    async def _watch(self) -> None:
        """Take a renewed certificate into use: connections from then on are shown it."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._tls is None or (stamp := self._stamp()) == self._tls_stamp:
                continue
            self._tls_stamp = stamp
            try:
                # First into one that nobody uses: half of a pair that does not fit would end all handshakes.
                _certificate(self._web, self._running.home)
                _load(self._tls, self._web, self._running.home)
            except BadConfig as exc:
                log.error("web.bad_certificate", error=str(exc))
            else:
                log.info("web.certificate")

    def _stamp(self) -> tuple[float, ...]:
        found = []
        for name in filter(None, (self._web.tls_cert, self._web.tls_key)):
            with contextlib.suppress(OSError):
                found.append((self._running.home / Path(name).expanduser()).stat().st_mtime)
        return tuple(found)


def _table(running: Running) -> Web:
    web = running.settings.config.web
    if web is None:
        raise BadConfig(
            f"{running.home}/spool.toml has no [web] table",
            hint='add [web] with listen = "127.0.0.1:8888", and tls_cert and tls_key for other hosts',
        )
    return web


def _certificate(web: Web, home: Path) -> ssl.SSLContext | None:
    if not web.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, web, home)
    return context


def _load(context: ssl.SSLContext, web: Web, home: Path) -> None:
    cert = home / Path(web.tls_cert).expanduser()
    key = home / Path(web.tls_key).expanduser() if web.tls_key else None
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ssl.SSLError) as exc:
        raise BadConfig(
            f"[web] tls_cert: {cert} and {key or 'its key within'}: {exc}",
            hint="both in PEM form, the key without a password, readable for the user who runs spool",
        ) from exc


def _no_password() -> str:
    # Without this, it is asked for at the terminal.
    return ""


def _bound(where: web_rules.Listen) -> socket.socket:
    family, kind, number, _, address = socket.getaddrinfo(*where, type=socket.SOCK_STREAM)[0]
    # With its protocol's number: else asyncio does not know it for TCP, and leaves TCP_NODELAY off.
    sock = socket.socket(family, kind, number)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock
