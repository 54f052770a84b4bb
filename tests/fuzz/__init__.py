"""What any bytes may do to a connection, and a search for bytes that do more."""
