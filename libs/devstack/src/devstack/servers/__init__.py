"""Private PostgreSQL and RabbitMQ servers: found by URL, else started here on a free loopback port.

Nothing here knows a service, and nothing here runs in production.
"""
