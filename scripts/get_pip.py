"""Give ansible-test its pip from the wheel beside this file instead of from its download host."""

import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent
version = next(argument for argument in sys.argv[1:] if re.match(r"pip==", argument))[len("pip==") :]
sys.path.insert(0, str(next(here.glob(f"pip-{version}-*.whl"))))

from pip._internal.cli.main import main  # noqa: E402

# get-pip's own switches, which pip does not know.
arguments = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--find-links", str(here), *arguments]))
