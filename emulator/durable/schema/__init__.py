"""The schema of a class's objects: numbered files, applied once per object. Plain Python over the storage API."""

from durable.schema.files import ClassSchema, MigrationFile, read_class, read_schemas
from durable.schema.runner import migrate

__all__ = ["ClassSchema", "MigrationFile", "migrate", "read_class", "read_schemas"]
