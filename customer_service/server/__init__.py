"""gunicorn's gevent worker as this service runs it: options, admission control and a drain. No HTTP of our own."""
