"""The wire: framing, schema, messages, connection."""
