"""The exceptions that Impasto raises on purpose.

ImpastoError
├── SourceError   (also OSError)       cannot open or decode
├── SinkError     (also OSError)       cannot write
│   ├── TargetInUseError               another process is writing that file
│   └── OutputClosedError              the reader of a pipe is gone
├── WeightsError  (also ValueError)    unknown style, wrong file, wrong checksum
│   └── DownloadError                  weights cannot be downloaded
├── EngineError   (also RuntimeError)  no such device, precision or provider on this machine
└── ParityError                        the exported graph disagrees

Each message is one line: what was expected, what was given, what to do.
"""


class ImpastoError(Exception):
    """The base of all; its message is one line for the user."""


class SourceError(ImpastoError, OSError):
    """A source cannot be opened or decoded."""


class SinkError(ImpastoError, OSError):
    """A sink cannot be written."""


class TargetInUseError(SinkError):
    """Another process is writing the same file."""


class OutputClosedError(SinkError):
    """The reader of a pipe is gone, so there is nobody to write for."""


class WeightsError(ImpastoError, ValueError):
    """A style is unknown, or its weights are missing, damaged or of another network."""


class DownloadError(WeightsError):
    """Weights cannot be downloaded."""


class EngineError(ImpastoError, RuntimeError):
    """This machine does not have the requested device, precision or provider."""


class ParityError(ImpastoError):
    """An exported graph and its network give different results."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class if it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
