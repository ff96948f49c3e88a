"""Credentials that nobody issued, put together at run time: nothing that scans this repository trips on it.

And megabytes of what looks much like them and is none: lock files, diffs, logs, lists of hashes.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable

LETTERS = string.ascii_letters + string.digits
CAPITALS = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
EXTENDED = LETTERS + "_-"
_SMALL = string.ascii_lowercase + string.digits


class Forge:
    """Makes credentials, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def some(self, n: int, letters: str = LETTERS) -> str:
        """`n` letters, among them a digit, a small and a capital one where there are such."""
        found = self._random.choices(letters, k=n)
        for at, kind in enumerate((string.digits, string.ascii_lowercase, string.ascii_uppercase)):
            if usual := [each for each in kind if each in letters]:
                found[2 + 3 * at if n > 12 else at] = self._random.choice(usual)
        return "".join(found)

    def password(self, n: int = 16) -> str:
        """What a generator of passwords writes."""
        return self.some(n - 4) + self._random.choice("!@#%^&*") + self.some(3)

    def block(self, kind: str) -> str:
        """A private key in PEM."""
        body = base64.b64encode(self._random.randbytes(192)).decode()
        lines = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
        name = f"{kind}PRIVATE " + "KEY"
        return f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----"

    def jwt(self) -> str:
        """With a signature."""
        parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": self.some(12), "exp": 1_900_000_000})
        head, body = (
            base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in parts
        )
        return f"{head}.{body}.{self.some(43, EXTENDED)}"


# Kind, then ways in which it is written; three of each are planted.
KINDS: dict[str, Callable[[Forge], list[str]]] = {
    "private key": lambda f: [f.block(kind) for kind in ("", "RSA ", "OPENSSH ")],
    "aws key id": lambda f: [
        "AK" + "IA" + f.some(16, CAPITALS),
        "AS" + "IA" + f.some(16, CAPITALS),
        "aws_access_key_id = AK" + "IA" + f.some(16, CAPITALS),
    ],
    "aws secret": lambda f: [
        f"aws_secret_access_key = {f.some(40, LETTERS + '/+')}",
        f"export AWS_SECRET_ACCESS_KEY={f.some(40, LETTERS + '/+')}",
        f'"SecretAccessKey": "{f.some(40, LETTERS + "/+")}"',
    ],
    "github": lambda f: [
        "gh" + "p_" + f.some(36),
        "https://x-access-token:gh" + "s_" + f.some(36) + "@github.com/o/r.git",
        "github" + "_pat_" + f.some(22) + "_" + f.some(59),
    ],
    "gitlab": lambda f: [
        "gl" + "pat-" + f.some(20),
        "gl" + "rt-" + f.some(20),
        "PAT: gl" + "pat-" + f.some(20),
    ],
    "anthropic": lambda f: [
        "sk-" + f"ant-{kind}-" + f.some(93, EXTENDED) for kind in ("api03", "admin01", "oat01")
    ],
    "openai": lambda f: [
        "sk" + "-" + f.some(48),
        "sk-" + "proj-" + f.some(120, EXTENDED),
        "sk-" + "svcacct-" + f.some(60),
    ],
    "slack": lambda f: [
        "xo" + f"xb-{f.some(12, string.digits)}-{f.some(12, string.digits)}-{f.some(24)}",
        "xa" + f"pp-1-{f.some(11, CAPITALS)}-{f.some(13, string.digits)}-{f.some(64, HEX)}",
        "https://hooks.slack" + f".com/services/T{f.some(8, CAPITALS)}/B{f.some(8, CAPITALS)}/{f.some(24)}",
    ],
    "google": lambda f: [
        "AI" + "za" + f.some(35, EXTENDED),
        "GOC" + "SPX-" + f.some(28, EXTENDED),
        "ya" + "29.a0" + f.some(120, EXTENDED),
    ],
    "stripe": lambda f: [
        "sk" + "_live_" + f.some(24),
        "rk" + "_live_" + f.some(99),
        "whs" + "ec_" + f.some(32),
    ],
    "package index": lambda f: [
        "np" + "m_" + f.some(36),
        "pypi-" + "AgEI" + f.some(140, EXTENDED),
        "//registry.npmjs.org/:_auth" + f"Token={uuid.UUID(int=random.Random(3).getrandbits(128))}",
    ],
    "url password": lambda f: [
        f"postgres://app:{f.some(16)}@db.internal:5432/app",
        f"https://bob:{f.some(10)}@proxy.example:8080",
        f"redis://:{f.some(24)}@cache:6379/0",
    ],
    "jwt": lambda f: [f.jwt(), f"Authorization: Bearer {f.jwt()}", f"?access={f.jwt()}&x=1"],
    "password": lambda f: [
        f'password = "{f.password()}"',
        f'{{"user": "app", "password": "{f.password(20)}"}}',
        f"DB_PASSWORD={f.password(14)}",
    ],
    "secret": lambda f: [
        f"client_secret: {f.some(32, EXTENDED)}",
        f"SECRET_KEY='{f.some(50, LETTERS + '!@#%^&*-_=+')}'",
        f"JWT_SECRET={f.some(64, HEX)}",
    ],
    "api key": lambda f: [
        f"api_key: {f.some(32)}",
        f"X-Api-Key: {f.some(40)}".replace("X-Api-Key", "x-api-key"),
        f'const apiKey = "{f.some(32, HEX)}";',
    ],
    "named token": lambda f: [
        f"CI_DEPLOY_TOKEN={f.some(30)}",
        f'"access_token": "{f.some(64, EXTENDED)}"',
        f"Authorization: Token {f.some(40, HEX)}",
    ],
    "cloud": lambda f: [
        "DefaultEndpointsProtocol=https;AccountName=a;Account" + f"Key={f.some(86, LETTERS + '/+')}==",
        "do" + "p_v1_" + f.some(64, HEX),
        "hv" + "s." + f.some(90, EXTENDED),
    ],
    "mail and chat": lambda f: [
        "S" + f"G.{f.some(22, EXTENDED)}.{f.some(43, EXTENDED)}",
        f"{f.some(10, '123456789')}:A" + "A" + f.some(33, EXTENDED),
        "https://discord.com/api/web" + f"hooks/{f.some(18, string.digits)}/{f.some(68, EXTENDED)}",
    ],
    "models and data": lambda f: [
        "h" + "f_" + f.some(34, string.ascii_letters),
        "dap" + "i" + f.some(32, HEX),
        "gs" + "k_" + f.some(52),
    ],
}


def planted(seed: int = 11) -> list[tuple[str, str]]:
    """Sixty credentials of twenty kinds, each with its kind."""
    forge = Forge(seed)
    return [(kind, text) for kind, written in KINDS.items() for text in written(forge)]


class Chaff:
    """Text without credentials, that has much of what they are made of."""

    def __init__(self, seed: int = 5) -> None:
        self._random = random.Random(seed)
        self._words = ["".join(self._random.choices(_SMALL[:26], k=3 + n % 9)) for n in range(900)]

    def word(self) -> str:
        """One of nine hundred."""
        return self._random.choice(self._words)

    def hexed(self, n: int) -> str:
        """`n` bytes as a hash prints them."""
        return self._random.randbytes(n).hex()

    def b64(self, n: int) -> str:
        """`n` bytes in base64."""
        return base64.b64encode(self._random.randbytes(n)).decode()

    def id(self) -> str:
        """A UUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128)))

    def package_lock(self) -> str:
        """One package of npm's lock file."""
        name, version = (
            f"{self.word()}-{self.word()}",
            f"{self._random.randrange(30)}.{self._random.randrange(9)}.1",
        )
        return (
            f'    "node_modules/@{self.word()}/{name}": {{\n      "version": "{version}",\n'
            f'      "resolved": "https://registry.npmjs.org/@{self.word()}/{name}/-/{name}-{version}.tgz",\n'
            f'      "integrity": "sha512-{self.b64(64)}",\n'
            f'      "dependencies": {{"jsonwebtoken": "^9.0.2"}}\n    }},\n'
        )

    def python_lock(self) -> str:
        """One of poetry's and one of uv's."""
        name = f"{self.word()}_{self.word()}"
        wheel = f"{name}-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
        where = f"https://files.pythonhosted.org/packages/{self.hexed(1)}/{self.hexed(1)}/{self.hexed(30)}/{wheel}"
        return (
            f'[[package]]\nname = "{name}"\nversion = "2.1.0"\nfiles = [\n'
            f'    {{file = "{wheel}", hash = "sha256:{self.hexed(32)}"}},\n]\n'
            f'wheels = [{{ url = "{where}", hash = "sha256:{self.hexed(32)}", size = 48113 }}]\n'
        )

    def cargo_lock(self) -> str:
        """One crate, and one module of go.sum."""
        return (
            f'[[package]]\nname = "{self.word()}-tokenizer"\nversion = "1.0.3"\n'
            f'source = "registry+https://github.com/rust-lang/crates.io-index"\n'
            f'checksum = "{self.hexed(32)}"\n\n'
            f"github.com/{self.word()}/{self.word()} v1.4.2 h1:{self.b64(32)}\n"
        )

    def diff(self) -> str:
        """A change to code that speaks of passwords and has none."""
        old, new, name = self.hexed(20), self.hexed(20), self.word()
        return (
            f"commit {self.hexed(20)}\ndiff --git a/src/{name}.py b/src/{name}.py\n"
            f"index {old[:11]}..{new[:11]} 100644\n"
            f"--- a/src/{name}.py\n+++ b/src/{name}.py\n@@ -12,7 +12,9 @@ def {name}(user):\n"
            f'-    password = os.environ["{name.upper()}_PASSWORD_2"]\n'
            f"+    password = get_password_v2(user, {name}Password1)\n"
            f'+    token: str = config.get("auth_token") or next_token\n'
            f'+    secret = vault.read("kv/{name}/db1-password")["secret"]\n'
            f'+    api_key = os.getenv("{name.upper()}_API_KEY", "your-api-key-Here1")\n'
            f'+    url = f"https://{{user}}:{{password}}@{name}.example/api/v1"\n'
            f'-    assert {name}_token != secretName, "{self.id()}"\n'
            f"+    secret_ref: projects/{name}/secrets/Db2Password/versions/3\n"
            f'+    PASSWORD_HASH = "$2b$12${self.b64(39)}"\n'
        )

    def log(self) -> str:
        """Lines of a structured log; ids that begin like a JWT and have no signature."""
        trace = base64.urlsafe_b64encode(json.dumps({"t": self.id(), "n": 7}).encode()).decode().rstrip("=")
        line = {
            "at": "2025-11-13T10:30:45.123456Z",
            "level": "info",
            "event": f"{self.word()}.{self.word()}",
            "request_id": self.id(),
            "trace": trace,
            "etag": f'W/"{self.hexed(16)}"',
            "next_token": self.b64(30),
            "token_count": self._random.randrange(9000),
            "session": f"sess-{self.hexed(16)}",
            "idempotency_token": self.id(),
            "secret_name": f"{self.word()}-tls-7f9c2",
            "image": f"registry.example/{self.word()}@sha256:{self.hexed(32)}",
            "url": f"https://{self.word()}.example:8443/v1/{self.hexed(12)}?sig={self.hexed(8)}&mail=me@example.com",
        }
        said = " ".join(self.word() for _ in range(8)) + f" took=0.231 key=cache:{self.hexed(16)}"
        return f"{json.dumps(line)}\nINFO 10:30:45 [{self.id()[:8]}] {said}\n"

    def hashes(self) -> str:
        """sha256sum, md5sum, git ls-tree, npm's own."""
        path = f"{self.word()}/{self.word()}.tar.gz"
        return (
            f"{self.hexed(32)}  {path}\n{self.hexed(16)}  {path}\n100644 blob {self.hexed(20)}\t{path}\n"
            f"sha512-{self.b64(64)} {path}\nSHA256:{self.b64(32).rstrip('=')} root@{self.word()} (ED25519)\n"
        )

    def image(self) -> str:
        """A picture in a page, and a font in base64url."""
        font = base64.urlsafe_b64encode(self._random.randbytes(6_000)).decode()
        return f'<img src="data:image/png;base64,{self.b64(24_000)}"/>\n<style>url({font})</style>\n'

    def minified(self) -> str:
        """What a bundler makes of a form."""
        names = "".join(
            f"function {self.word()[:2]}(e,t){{return e.{self.word()}?t[{n}]:null}}" for n in range(9)
        )
        return (
            f'!function(){{"use strict";{names}var n={{password:"Password must have 8 characters",'
            "token:void 0,secret:e.secret||t.apiKey};"
            f"n.accessToken=a.getAccessToken2(r),n.password=o.Password}}();"
            f"//# sourceMappingURL={self.word()}.{self.hexed(10)}.js.map\n"
        )


SORTS = ("package_lock", "python_lock", "cargo_lock", "diff", "log", "hashes", "image", "minified")


def chaff(sort: str, size: int, seed: int = 5) -> str:
    """`size` characters at least of one sort of text without credentials."""
    made = Chaff(seed)
    parts, length = [], 0
    while length < size:
        parts.append(getattr(made, sort)())
        length += len(parts[-1])
    return "".join(parts)
