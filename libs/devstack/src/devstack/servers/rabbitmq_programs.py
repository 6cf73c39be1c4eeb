"""Where RabbitMQ's programs are: installed, else installed by apt as root, else unpacked from Debian's packages."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from devstack.servers import debian
from devstack.servers.errors import RabbitUnavailable

SCRIPT_FOLDERS = ("usr/lib/rabbitmq/bin", "usr/local/sbin", "opt/homebrew/sbin", "opt/rabbitmq/sbin")
"""The scripts themselves. Debian's /usr/sbin/rabbitmq-server is not among them: that one becomes the user rabbitmq."""


@dataclass(frozen=True)
class RabbitPrograms:
    """The folder of `rabbitmq-server` and `rabbitmqctl`, and the folders in which they find `erl` and `epmd`."""

    scripts: Path
    erlang: Path
    libraries: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the programs need around them; nothing of the caller's RABBITMQ_* or ERL_* comes along."""
        path = f"{self.erlang}:{self.scripts}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        extra = {"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {}
        return {"PATH": path, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **extra}


def rabbit_programs(tools: Path) -> RabbitPrograms:
    """The programs, obtained when missing.

    Args:
        tools: the folder below which packages may be unpacked.

    Raises:
        RabbitUnavailable: none of the ways led to RabbitMQ; the message tells each.
    """
    if (found := installed()) is not None:
        return found
    reasons = ["not installed"]
    if debian.can_install():
        try:
            debian.install("rabbitmq-server")
        except debian.PackagesUnavailable as error:
            reasons.append(str(error))
        if (found := installed()) is not None:
            return found
    try:
        return unpacked(tools / "rabbitmq")
    except debian.PackagesUnavailable as error:
        reasons.append(str(error))
    raise RabbitUnavailable(f"RabbitMQ: {'; '.join(reasons)}. Install rabbitmq-server, or name one in EBM_RABBITMQ_URL")


def installed(root: Path = Path("/")) -> RabbitPrograms | None:
    """The programs that the system has."""
    erl = shutil.which("erl", path=f"{root}usr/bin:{os.environ.get('PATH', '')}:/opt/homebrew/bin")
    for folder in SCRIPT_FOLDERS:
        scripts = root / folder
        if erl is not None and (scripts / "rabbitmq-server").exists() and (scripts / "rabbitmqctl").exists():
            return RabbitPrograms(scripts, Path(erl).parent)
    return None


def unpacked(folder: Path) -> RabbitPrograms:
    """RabbitMQ and Erlang from Debian's packages below `folder`, downloaded at the first call.

    Raises:
        PackagesUnavailable: this is no Debian, or the packages cannot be downloaded.
    """
    if not folder.is_dir():
        debian.unpack(debian.with_dependencies("rabbitmq-server", r"^(erlang-|libsctp1$|libtinfo6$)"), folder)
    erlang = folder / "usr/lib/erlang"
    _point_at(erlang)
    (scripts,) = (folder / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin")
    libraries = next(iter(sorted(folder.glob("*/lib/*-linux-gnu*"))), None) or next(
        iter(sorted(folder.glob("lib/*-linux-gnu*"))), None
    )
    return RabbitPrograms(scripts, erlang / "bin", libraries)


def _point_at(erlang: Path) -> None:
    """Debian writes /usr/lib/erlang into Erlang's start scripts; make them name the folder where they are."""
    for script in [*erlang.glob("bin/*"), *erlang.glob("erts-*/bin/*")]:
        if script.is_symlink() or not script.is_file() or script.read_bytes()[:2] != b"#!":
            continue
        text = script.read_text()
        pointed = re.sub(r"(?m)^(\s*ROOTDIR=).*$", lambda found: f"{found[1]}'{erlang}'", text)
        if pointed != text:
            script.write_text(pointed)
