"""Libvirt's side of hostd."""
