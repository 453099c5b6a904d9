"""What Alembic runs: brings the database of the connection that it is given to the newest version."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
