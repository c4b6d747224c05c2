"""What travels: journal entries, the sync protocol between till and server, and both HTTP APIs' bodies."""

import msgspec

# what a decoder raises for bytes that are none of ours: no UTF-8, and endless nesting, each in its own way
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
