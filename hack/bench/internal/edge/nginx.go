package edge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// nginx logs requests, which is the default, but to /dev/null.
type nginx struct{}

func (nginx) name() string { return "nginx" }

const nginxConf = `daemon off;
user root;
worker_processes auto;
pid %[1]s/pid;
error_log %[1]s/error.log warn;
events { worker_connections 1024; }
http {
    access_log /dev/null;
    client_body_temp_path %[1]s/body;
    proxy_temp_path %[1]s/proxy;
    fastcgi_temp_path %[1]s/fastcgi;
    uwsgi_temp_path %[1]s/uwsgi;
    scgi_temp_path %[1]s/scgi;
    keepalive_requests 1000000000;
    proxy_cache_path %[1]s/cache keys_zone=responses:16m;
    upstream origin { server %[3]s; keepalive 64; keepalive_requests 1000000000; }
    server {
        listen %[2]s;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        location / { proxy_pass http://origin; }
        location /cached { proxy_pass http://origin; proxy_cache responses; proxy_cache_lock on; }
    }
}
`

func (nginx) spec(_ context.Context, e *Edge, dir, address string) (child.Spec, error) {
	file := filepath.Join(dir, "nginx.conf")
	err := os.WriteFile(file, fmt.Appendf(nil, nginxConf, dir, address, e.origin), 0o600)
	return child.Spec{Path: "/usr/sbin/nginx", Args: []string{"-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", file}, ParentDeathSignal: syscall.SIGTERM}, err
}
