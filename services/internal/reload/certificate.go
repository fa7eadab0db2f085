package reload

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
)

// Certificate is a server's certificate, which is reloaded when its files change, as
// cert-manager and the kubelet do it. Read has to succeed once before it is used.
type Certificate struct {
	CertFile, KeyFile string
	cert, key         []byte
	current           atomic.Pointer[tls.Certificate]
}

// Read reads the files, and reports whether there is another certificate. An error, as
// between the changes of the two files, leaves the current one in use.
func (c *Certificate) Read() (changed bool, err error) {
	cert, err := os.ReadFile(c.CertFile)
	if err != nil {
		return false, fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return false, fmt.Errorf("read the key of the certificate: %w", err)
	}
	if bytes.Equal(cert, c.cert) && bytes.Equal(key, c.key) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, fmt.Errorf("read the certificate in %s and its key in %s: %w", c.CertFile, c.KeyFile, err)
	}
	c.cert, c.key = cert, key
	c.current.Store(&pair)
	return true, nil
}

// Config returns a configuration that presents the current certificate, for HTTP/1.1 over
// TLS 1.2 and 1.3.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}
