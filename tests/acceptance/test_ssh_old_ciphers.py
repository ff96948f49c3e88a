"""A far sshd that knows only algorithms which are broken: nothing is sent to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spool.config import Peer
from spool.errors import SpoolError
from spool.transports import ssh
from tests.sshd import Sshd, make_home
from tests.waiting import soon

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize(
    "only",
    ["Ciphers aes256-cbc,aes128-cbc", "Ciphers aes128-ctr\nMACs hmac-sha1,hmac-md5"],
    ids=["ciphers", "macs"],
)
def test_old_algorithms_are_not_spoken(tmp_path: Path, only: str) -> None:
    """The login is not begun, and the peer is not stopped for it: somebody may upgrade that host."""
    home, public = make_home(tmp_path)
    with Sshd(tmp_path / "far", config=only) as sshd:
        sshd.authorize(f'restrict,command="cat" {public}')
        peer = Peer(name="far", url=sshd.url, host_key=sshd.host_key, connect_timeout_s=40.0)
        with pytest.raises(SpoolError) as caught:
            ssh.dial(peer, home, as_name="near")
        assert soon(lambda: "no matching" in sshd.logged(), 30.0)
        assert "Accepted" not in sshd.logged()

    assert not getattr(caught.value, "stops", False)
    assert f"127.0.0.1:{sshd.port}" in caught.value.message
