"""The command `customer-service`."""
