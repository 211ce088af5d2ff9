"""Ordinary mail, which profiles send beside what they are about; how much and how often is theirs to say."""

from locust import task

from proxyspec.load.client import ProxySmtpUser

__all__ = ["Deliverer"]


class Deliverer(ProxySmtpUser):
    """Delivers one message a session."""

    abstract = True

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session, connect to QUIT."""
        self.client.session()
