"""The WSGI application that gunicorn serves."""

from customer_service.app import create_app

app = create_app()
