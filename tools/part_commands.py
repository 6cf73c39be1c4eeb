"""What the images can run: the services' own command lines, and the simulators' programs."""

from contextlib import redirect_stderr
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import StringIO

from bootstrap import ROOT
from common.cli import Program, parser_of


@cache
def programs() -> dict[str, Program]:
    """The services by the module that `python -m` is given."""
    modules = [path.parent.name for path in sorted((ROOT / "services").glob("*/src/*/__main__.py"))]
    return {module: import_module(f"{module}.__main__").PROGRAM for module in modules}


def image_of(module: str) -> str:
    """Name of the image that has a module: one per service, one for all simulators."""
    return f"ebm-{programs()[module].name}" if module in programs() else f"ebm-{module.partition('.')[0]}"


def command_problem(command: list[str]) -> str | None:
    """What `python -m` would say against a command; None when it would run."""
    if not command:
        return "runs nothing: give it args such as [billing, api]"
    module, *arguments = command
    if module.partition(".")[0] == "simulators":
        return None if find_spec(module) and find_spec(f"{module}.__main__") else f"no simulator is called {module}"
    if module not in programs():
        return f"no service is called {module}: there are {', '.join(sorted(programs()))}"
    try:
        with redirect_stderr(StringIO()) as said:
            parser_of(programs()[module]).parse_args(arguments)
    except SystemExit:
        return f"python -m {' '.join(command)} does not run: {said.getvalue().strip().splitlines()[-1]}"
    return None
