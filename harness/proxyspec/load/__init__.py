"""Load: frames, SMTP sessions timed step by step, the Locust side of a profile and the runner that starts it.

Locust patches the interpreter when it is imported, so it runs in a process of its own, `process`: of this package only
that, `client`, `plugin` and `shape` import it, and only the locustfiles (the profiles) import those three.
"""

from proxyspec.load.options import HeaderKind, LoadOptions

__all__ = ["HeaderKind", "LoadOptions"]
