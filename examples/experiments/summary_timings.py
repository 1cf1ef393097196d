write_page = long_tables = run = None
