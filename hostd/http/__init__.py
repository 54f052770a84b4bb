"""What hostd serves over HTTP: `pages` has the routes, `server` the listener, `problems` every error answer."""
