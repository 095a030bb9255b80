"""What the tests of imapcached stand on: a private Dovecot, a raw IMAP client, relays and a scripted server."""
