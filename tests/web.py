"""`spool web` in tests: an authority and its certificates, hosts that share a secret, requests by hand."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
import tomlkit
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from spool import web_secret
from spool.message import seal
from spool.transports import http_signed
from tests.hosts import CLI, ENV, Host

PATH: Final = "/chat"
DAY: Final = dt.timedelta(days=1)


class Authority:
    """A private authority: `ca` is its certificate; `issue` makes those of servers."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority of these tests")])
        signed = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca = folder / "ca.pem"
        self._write(self.ca, signed.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, *, host: str = "127.0.0.1", days: int = 1) -> tuple[Path, Path]:
        """A certificate and its key; `days` below 0 is one that ran out."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        try:
            said: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            said = x509.DNSName(host)
        builder = self._builder(subject, key, days).add_extension(
            x509.SubjectAlternativeName([said]), critical=False
        )
        cert, path = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        self._write(cert, builder.sign(self._key, hashes.SHA256()))
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert, path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(now + days * DAY)
        )

    def _write(self, path: Path, cert: x509.Certificate) -> None:
        path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))


def set_web(home: Path, **values: Any) -> None:
    """Write the [web] table."""
    path = home / "spool.toml"
    tree = tomlkit.parse(path.read_text())
    tree["web"] = {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
    path.write_text(tomlkit.dumps(tree))


def share(*places: tuple[Host, str]) -> str:
    """Give some hosts a secret in common, each in the file `keys/PEER.secret`; returns it."""
    secret = ""
    for host, peer in places:
        path = host.home / f"{peer}.secret"
        if not secret:
            secret = web_secret.make(path)
        else:
            path.write_text(secret)
            path.chmod(0o600)
    return secret


class WebProcess:
    """One `spool web` of a home, as a process of its own."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [*CLI, "--home", str(home), "web", "--json"],
            env=ENV,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, err = self.process.communicate(timeout=20)
            raise AssertionError(f"spool web did not start: {err}")
        self.port: int = json.loads(line)["port"]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def stop(self, number: int = signal.SIGTERM, within_s: float = 20.0) -> tuple[int, str]:
        """End it by a signal; its exit status, and all it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            _, err = self.process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, err

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def serving(host: Host, **web: Any) -> Iterator[WebProcess]:
    """A host's `spool web` on a free port of loopback; its config is written here."""
    set_web(host.home, **{"listen": "127.0.0.1:0", **web})
    made = WebProcess(host.home)
    try:
        yield made
    finally:
        made.stop()


def dials_by_web(near: Host, far: Host, url: str, *, ca: Path | None = None, **more: Any) -> str:
    """`near` posts to `far` and polls there; their agents are those of the configs. Returns the secret."""
    secret = share((near, far.name), (far, near.name))
    far.peer(near.name, agents=_agents(near), secret_file=f"{near.name}.secret")
    near.peer(
        far.name,
        url=url,
        agents=_agents(far),
        secret_file=f"{far.name}.secret",
        ca_file=str(ca) if ca else "",
        **more,
    )
    return secret


def _agents(host: Host) -> list[str]:
    with host.api() as spool:
        return list(spool.config.host.agents)


class Listening:
    """`spool web` of a home within the test, over plain HTTP on loopback, and requests made by hand.

    The home is `here` with the agent `me`; the peer `cloud` posts for `cloud-*`.
    """

    def __init__(self, folder: Path, *, request_s: float = 5.0, peers: str = "", **web: Any) -> None:
        from spool.running import Running
        from spool.web.server import Server
        from tests.desk import make_home

        secret_file = folder / "cloud.secret"
        self.secret = web_secret.make(secret_file)
        table = f'[peers.cloud]\nagents = ["cloud-*"]\nsecret_file = "{secret_file}"\n{peers}'
        self.home = make_home(folder, "me", peers=table)
        set_web(self.home, **{"listen": "127.0.0.1:0", **web})
        self.running = Running(self.home, "web")
        self.running.configure_log(stderr=False)
        self.server = Server(self.running, request_s=request_s)
        self.running.listener.subscribe(self.server.ring)
        try:
            self.server.start()
        except BaseException:
            self.running.stop()
            raise
        self.base = f"http://127.0.0.1:{self.server.port}"
        self.client = httpx2.Client(trust_env=False, timeout=20)
        self.count = 0

    def close(self) -> None:
        """End it."""
        self.client.close()
        self.server.stop()
        self.running.stop()

    def signed(
        self, body: bytes, *, secret: str | None = None, at: float | None = None, id: str | None = None
    ) -> dict[str, str]:
        """The headers of a request as the peer `cloud` signs it."""
        self.count += 1
        headers = http_signed.sign(
            [secret or self.secret],
            body,
            id=id or f"req_{self.count}",
            now=time.time() if at is None else at,
        )
        return {**headers, "spool-peer": "cloud", "content-type": "application/json"}

    def post(
        self,
        said: Any,
        path: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        changed: Mapping[str, str] | None = None,
        **signed: Any,
    ) -> httpx2.Response:
        """Post a value as JSON, or bytes as they are; `changed` are headers that say something else."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        whole = {**(headers or self.signed(body, **signed)), **(changed or {})}
        return self.client.post(self.base + PATH + path, content=body, headers=whole)

    def events(self, event: str) -> list[dict[str, Any]]:
        """What the log says of one kind."""
        path = self.home / "log" / "spool.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [each for each in map(json.loads, lines) if each["event"] == event]

    def kept(self) -> tuple[int, int]:
        """How many messages lie in the inbox, and how many things in the quarantine."""
        with self.running.store.read() as tx:
            return sum(tx.inbox.counts().values()), tx.ledger.count_quarantined()

    def raw(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=20)


def letter(id: str = "msg-1", **said: Any) -> dict[str, Any]:
    """A message of `cloud-1` for `me`."""
    return {"id": id, "from": "cloud-1", "to": "me", "subject": "Hello", "body": "text", **said}


def hello(session_of: Listening, **said: Any) -> str:
    """Say hello as `cloud`; the session."""
    greet = {"hello": {"f": "hello", "host": "cloud", "clock": time.time(), "agents": [], **said}}
    answer = session_of.post(greet, "/hello")
    assert answer.status_code == 200, answer.text
    session: str = answer.json()["session"]
    return session


def item(id: str = "msg-1", **said: Any) -> dict[str, Any]:
    """The same message as a spool hands it over."""
    sealed = seal(letter(id, **said), id=id, timestamp="2025-11-13T10:30:45Z")
    return {"t": 60.0, "m": json.loads(sealed.raw), "x": list(sealed.filled)}
