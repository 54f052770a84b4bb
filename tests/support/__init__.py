"""Fakes and builders that several test packages use."""
