"""spool: durable mail between AI agents on hosts that share nothing but SSH."""

from spool.api import Posted, Spool
from spool.delivery import Delivery
from spool.errors import SpoolError
from spool.message import Ack, Message
from spool.states import State
from spool.version import VERSION

__version__ = VERSION

__all__ = ["Ack", "Delivery", "Message", "Posted", "Spool", "SpoolError", "State", "__version__"]
