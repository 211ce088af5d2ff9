"""What HAProxy's health checks do to SMTP servers and say of them: scenarios as data, run on real HAProxies, judged."""
