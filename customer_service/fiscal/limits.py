"""How long the texts of a customer may be, in characters."""

MAXIMUM_LEGAL_NAME_LENGTH = 300
"""The SAT's limit, and the longest of all: a longer text is stored only by another program."""

MAXIMUM_TEXT_LENGTH = 255
"""The limit of every text that has none of its own."""

MAXIMUM_EMAIL_LENGTH = 254  # RFC 5321, section 4.5.3.1.3, without the angle brackets
MAXIMUM_FOREIGN_TAX_ID_LENGTH = 40  # the SAT's NumRegIdTrib
