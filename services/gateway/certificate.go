package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
)

// certificate is the server's certificate, which is read again when its files change, as
// cert-manager and the kubelet do it.
type certificate struct {
	certFile, keyFile string
	cert, key         []byte
	current           atomic.Pointer[tls.Certificate]
}

// reload reports whether there is another certificate. An error, as between the changes of
// the two files, leaves the current one in use.
func (c *certificate) reload() (changed bool, err error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, fmt.Errorf("read TLS_CERT_FILE: %w", err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, fmt.Errorf("read TLS_KEY_FILE: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("read the TLS certificate in TLS_CERT_FILE and TLS_KEY_FILE: %w", err)
	}
	c.cert, c.key = cert, key
	c.current.Store(&pair)
	return true, nil
}

// config returns a configuration that presents the current certificate. HTTP/2 comes from
// an Ingress or a Gateway in front.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
