"""`python -m proxyspec_server`."""

import sys

from proxyspec_server.command import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m proxyspec_server"))
