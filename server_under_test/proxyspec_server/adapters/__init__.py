"""Mail servers that others have written, each installed into a private folder and started on the loopback for a while.

Read `contract` first; `servers` has a file for each. `packages` and `cache` install, `surroundings` and `keeping` run.
The harness uses all this as a process: `python -m proxyspec_server.adapters`.
"""
