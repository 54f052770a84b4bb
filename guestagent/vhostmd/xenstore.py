"""vhostmd's document in xenstore, read by Xen's own program. Untested on a real Xen: vhostmd left it out long ago."""

from __future__ import annotations

from guestagent.vhostmd.source import Found, SourceFailed

PROGRAM = "xenstore-read"
SECONDS = 5.0

_SAID = "get_xenstore_metrics(): Unable to export metrics: "


def read(program: str = PROGRAM) -> Found:
    """The document of this domain.

    Raises:
        SourceFailed: this is no Xen guest with such a key, or not with what is installed.

    """
    domain = _value_of("domid", program).strip()
    if not domain.isdigit():
        raise _failed(f"{program}: domid is no number: {domain[:32]!a}")
    key = f"/local/domain/{domain.decode()}/metrics"
    return Found(_value_of(key, program).strip(b"\n"), f"{program} {key}")


def _value_of(key: str, program: str) -> bytes:
    import subprocess  # noqa: PLC0415 - hardly anybody gets here

    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the key is made of digits
            [program, "-R", key],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
        )
    except OSError as error:
        raise _failed(f"{program}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise _failed(f"{program} {key}: no answer in {SECONDS:g} s") from error
    except subprocess.CalledProcessError as error:
        raise _failed(f"{program} {key}: exit status {error.returncode}") from error
    return done.stdout


def _failed(why: str) -> SourceFailed:
    return SourceFailed(why, _SAID + why)
