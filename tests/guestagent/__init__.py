"""The guest agent, from parsers to a whole process."""
