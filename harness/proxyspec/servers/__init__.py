"""Mail servers of others: installed and started, met for the first time, judged side by side.

`installed` starts the adapters of `proxyspec_server` as processes, `acquaintance` looks at a server nobody knows yet,
`matrix` judges many of them, and `page` holds one to its own documentation.
"""
