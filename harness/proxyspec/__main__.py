"""`python -m proxyspec`: the command line."""

import sys

from proxyspec.cli import main

code = main()
# With -m, Python dies of SIGINT where an interruption once broke into code made from text (dataclasses), even if it was
# caught; the next such code makes it forget that.
exec("")  # noqa: S102 - there is nothing in it
sys.exit(code)
