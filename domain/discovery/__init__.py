"""What node sources share: the settings by which what was found becomes nodes ("Node sources")."""
