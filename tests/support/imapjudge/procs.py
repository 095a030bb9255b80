"""Child processes that do not outlive the test run."""
import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def die_with_parent():
    """For preexec_fn: SIGTERM when the thread that started this process ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
