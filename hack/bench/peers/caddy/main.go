// Command caddy is Caddy with only the modules of a reverse proxy. The bench compares the
// gateway with it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// The modules of a reverse proxy.
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func main() { caddycmd.Main() }
