"""`durable migrate`: objects that get a new schema, files of migrations, and classes that are gone."""
