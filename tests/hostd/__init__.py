"""The host daemon, module by module."""
