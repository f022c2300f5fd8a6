"""The relational side: engine, base, migrations. Tables live with the capability that owns them."""
