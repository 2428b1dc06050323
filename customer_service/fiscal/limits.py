"""The maximum lengths of a customer's texts, in characters."""

MAXIMUM_LEGAL_NAME_LENGTH = 300
"""The SAT's limit, and the highest of all: only another program can store a longer text."""

MAXIMUM_TEXT_LENGTH = 255
"""The maximum length of every other text."""

MAXIMUM_EMAIL_LENGTH = 254  # RFC 5321, section 4.5.3.1.3, without the angle brackets
MAXIMUM_FOREIGN_TAX_ID_LENGTH = 40  # the SAT's NumRegIdTrib
