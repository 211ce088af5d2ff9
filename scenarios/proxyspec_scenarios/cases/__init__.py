"""One module a chapter; each holds a `chapter` with its cases, one line a case."""
