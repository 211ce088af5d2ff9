"""Which classes read a connection's header, put together for one set of choices."""

from dataclasses import dataclass

from proxyspec_server.proxy.choices import STRICT_CHOICES, Choices
from proxyspec_server.proxy.parser import HeaderParser
from proxyspec_server.proxy.tlv import TlvReader
from proxyspec_server.proxy.v1 import V1Reader
from proxyspec_server.proxy.v2 import V2QuickReader, V2Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """One class for each part of the work; the defaults are the sound ones."""

    parser: type[HeaderParser] = HeaderParser
    v1: type[V1Reader] = V1Reader
    v2: type[V2Reader] = V2QuickReader
    tlv: type[TlvReader] = TlvReader

    def parser_for(self, choices: Choices) -> type[HeaderParser]:
        """The parser class whose readers have made these choices; to be called once a server, not once a connection."""
        if choices == STRICT_CHOICES and self == Readers():
            return HeaderParser
        readers = {"__slots__": (), "v1": self.v1(choices), "v2": self.v2(choices, self.tlv)}
        return type(self.parser.__name__, (self.parser,), readers)
