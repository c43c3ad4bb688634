"""Messages to protobuf and back. Every field is checked against its limit before it is believed."""
