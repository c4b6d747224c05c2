"""The only modules that know tables: till and server stores over SQLAlchemy Core."""
