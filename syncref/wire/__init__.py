"""What travels: journal entries, the sync protocol between till and server, and both HTTP APIs' bodies."""

import msgspec

# what a decoder raises for bytes that are none of ours: no UTF-8, and endless nesting, each in its own way
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
PRINTABLE = r"^[^\x00-\x1f\x7f]*$(?!\n)"  # a $ alone lets a line break at the end through
