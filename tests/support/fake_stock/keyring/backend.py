class KeyringBackend:
    pass
