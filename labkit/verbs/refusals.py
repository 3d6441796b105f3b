"""How the end of a verb is told: refusals of the lab, of either Azure and of the file system, each as one sentence.

Owns the words: what happened, why, and what to do. Refuses to know: bugs. An error that is none of these is told as
what it is, with its traceback.

Azure's own reason is repeated, its first line, up to `LONGEST_WHY` characters; the SDKs keep keys out of it.
Source: HTTP status codes of Cosmos DB; azure-eventhub 5.15, `azure.eventhub.exceptions`; deltalake 1.6.6 for the words
of a data lake's errors.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from typing import Final

from labkit.errors import LabError

NOT_WRITABLE: Final = {
    errno.EACCES: "cannot be written. Copy the lab's folder to a place you may write to, and run it there.",
    errno.EPERM: "cannot be written. Copy the lab's folder to a place you may write to, and run it there.",
    errno.EROFS: "is on a read-only disk. Copy the lab's folder to a place you may write to, and run it there.",
    errno.ENOSPC: "does not fit: the disk is full. Free some space, then run the same command again.",
}
OUT_OF_REACH: Final = (
    "Azure is out of reach ({why}): nothing more was done. Check that it runs (`python lab.py status` tells of the "
    "embedded one), that the connection strings in the environment name it, and run the same command again."
)
ANSWERED: Final[Mapping[int, str]] = {
    401: "Azure refuses the key ({why}). Check the keys in the connection strings of the environment.",
    403: "Azure refuses this to the key ({why}). Take a key that may do it, or allow this machine in the firewall.",
    404: "Azure does not have this ({why}). Check the names of the hub and the database in the environment.",
    429: "Azure has more requests than it is paid for ({why}). Wait a moment, and run the same command again.",
}
OTHERWISE: Final = "Azure answered {status} ({why}), which asking again will not change."
ANOTHER_WRITER: Final = (
    "Another writer of the same table was faster, again and again ({why}): nothing is lost or doubled. Run the same "
    "command again."
)
DATA_LAKE: Final = ("Microsoft Azure", "MicrosoftAzure")
LONGEST_WHY: Final = 160


def told(error: Exception) -> str | None:
    """The sentence for this error; None for one that nobody expected."""
    if isinstance(error, LabError) or _is_a(error, "localazure.errors", "LocalAzureError"):
        text = str(error)
        return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
    if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
        return f"{error.filename or 'A file'}: {NOT_WRITABLE[error.errno]}"
    return _of_azure(error)


def _of_azure(error: Exception) -> str | None:
    """Of the SDKs and of delta-rs, without importing any: what was never imported has raised nothing."""
    if _is_a(error, "azure.core.exceptions", "AzureError"):
        status = getattr(error, "status_code", None)
        if status is None or status in (408, 410, 449) or status >= 500:
            return OUT_OF_REACH.format(why=_why(error))
        return ANSWERED.get(status, OTHERWISE).format(why=_why(error), status=status)
    if _is_a(error, "azure.eventhub.exceptions", "AuthenticationError"):
        return ANSWERED[401].format(why=_why(error))
    if _is_a(error, "deltalake.exceptions", "CommitFailedError"):
        return ANOTHER_WRITER.format(why=_why(error))
    of_a_lake = isinstance(error, OSError) and any(word in str(error) for word in DATA_LAKE)
    if of_a_lake or _is_a(error, "azure.eventhub.exceptions", "EventHubError"):
        return OUT_OF_REACH.format(why=_why(error))
    return None


def _is_a(error: Exception, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)


def _why(error: Exception) -> str:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) <= LONGEST_WHY else f"{line[:LONGEST_WHY]}..."
