"""The exceptions Impasto raises on purpose, and what others say, in a line.

ImpastoError
├── SourceError   (also OSError)       cannot open or decode
├── SinkError     (also OSError)       cannot write
├── WeightsError  (also ValueError)    unknown style, wrong file, wrong checksum
├── EngineError   (also RuntimeError)  no such device, precision or provider on this machine
└── ParityError                        the exported graph disagrees

Each message is one line: what was expected, what came, what to do.
"""


class ImpastoError(Exception):
    """Whatever went wrong and is worth one clear line to the user."""


class SourceError(ImpastoError, OSError):
    """A source cannot be opened or decoded."""


class SinkError(ImpastoError, OSError):
    """A sink cannot be written."""


class WeightsError(ImpastoError, ValueError):
    """A style is unknown, or its weights are not what they should be."""


class EngineError(ImpastoError, RuntimeError):
    """The device, precision or provider asked for is not to be had here."""


class ParityError(ImpastoError):
    """An exported graph does not agree with the network it came from."""


def first_line(error: BaseException) -> str:
    """What an error of somebody else says, in one line; its class where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
