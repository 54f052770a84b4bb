"""The agent inside a guest: reports to the host what only the guest knows, and keeps what the host lets it know."""

__version__ = "0.1.0"
