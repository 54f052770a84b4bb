"""The lab: a private libvirt, real guests under QEMU, a real Prometheus, on a plain Debian 12 machine.

For tests (``fixtures``) and for people (``python -m tests.lab``, or the Makefile); README.md beside
this file says how. Nothing here touches the machine's own libvirt, its domains or its services.
"""
