"""The limits of a customer: the maximum lengths of its texts, in characters, and of its metadata."""

MAXIMUM_LEGAL_NAME_LENGTH = 300
"""The SAT's limit; also the longest text that is normalized or made into a search term."""

MAXIMUM_TEXT_LENGTH = 255
"""The maximum length of every other text."""

MAXIMUM_EMAIL_LENGTH = 254  # RFC 5321, section 4.5.3.1.3, without the angle brackets
MAXIMUM_FOREIGN_TAX_ID_LENGTH = 40  # the SAT's NumRegIdTrib
MAXIMUM_METADATA_KEYS = 50
MAXIMUM_METADATA_KEY_LENGTH = 40
MAXIMUM_METADATA_VALUE_LENGTH = 500
