package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/reload"
)

// writeCertificate writes a self-signed certificate with a serial number, as the kubelet
// does it: complete files take the place of the others.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"shop.example"}}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: cert}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, "new"), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// serial returns the serial number of the certificate that the gateway presents.
func (p *process) serial() int64 {
	p.t.Helper()
	c, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificateIsReloadedWithoutDroppingAConnection(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	p := run(t, small, authntest.New(t), "TLS_CERT_FILE="+filepath.Join(dir, "tls.crt"), "TLS_KEY_FILE="+filepath.Join(dir, "tls.key"))
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	dials := 0
	transport.Dial = func(network, addr string) (net.Conn, error) { dials++; return net.Dial(network, addr) } //nolint:staticcheck // counts
	get := func() {
		t.Helper()
		r, _ := http.NewRequest(http.MethodGet, "https://"+p.addr+"/products/7", nil)
		res, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || string(body) != `{"id":7}` {
			t.Errorf("got %d %q, %v", res.StatusCode, body, err)
		}
	}
	get()
	if got := p.serial(); got != 1 {
		t.Fatalf("got certificate %d, want 1", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, dir, 2)
	for deadline := time.Now().Add(20 * time.Second); p.serial() != 2; {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not presented")
		}
		get()
	}
	get()
	if dials != 1 {
		t.Errorf("the client needed %d connections, want the first one only", dials)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	p := run(t, small, authntest.New(t), "TLS_CERT_FILE="+filepath.Join(dir, "tls.crt"), "TLS_KEY_FILE="+filepath.Join(dir, "tls.key"))
	for version, accepted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != accepted {
			t.Errorf("%s: got %v, want accepted %v", tls.VersionName(version), err, accepted)
		}
		if err == nil {
			c.Close()
		}
	}
	if res, err := http.Get(p.url + "/products/7"); err == nil && res.StatusCode == http.StatusOK {
		t.Error("plain HTTP is served on the port of HTTPS")
	} else if err == nil {
		res.Body.Close()
	}
}

func TestInvalidCertificateIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := reload.Certificate{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	if _, err := c.Read(); err == nil || !strings.Contains(err.Error(), c.CertFile) {
		t.Errorf("without files: got %v", err)
	}
	writeCertificate(t, dir, 1)
	if err := os.WriteFile(c.KeyFile, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(); err == nil || !strings.Contains(err.Error(), c.KeyFile) {
		t.Errorf("with a broken key: got %v", err)
	}
}
