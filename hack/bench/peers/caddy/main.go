// Command caddy is Caddy with what a reverse proxy needs and nothing else, for the
// bench to compare the gateway with.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// The modules of a reverse proxy.
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func main() { caddycmd.Main() }
