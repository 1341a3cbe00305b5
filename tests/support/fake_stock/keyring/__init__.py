def set_keyring(keyring):
    keyring.set_password("service", "user", "password")
    assert keyring.get_password("service", "user") == "password"
