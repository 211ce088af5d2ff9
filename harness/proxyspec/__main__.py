"""`python -m proxyspec`: the command line."""

import sys

from proxyspec.cli import main

sys.exit(main())
