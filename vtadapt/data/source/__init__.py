"""What a user gives as ``--source``: folders, archives and downloads, brought to one folder."""
