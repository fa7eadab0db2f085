package pki

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
)

var server = Certificate{Name: "apiserver", User: "kube-apiserver", DNSNames: []string{"kubernetes"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true}

func TestCertificateVerifiesForItsNames(t *testing.T) {
	dir := t.TempDir()
	cert := ensure(t, open(t, dir), server)
	roots := x509.NewCertPool()
	roots.AddCert(open(t, dir).cert)
	for _, name := range []string{"kubernetes", "127.0.0.1"} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEnsureKeepsCurrentCertificate(t *testing.T) {
	dir := t.TempDir()
	first, second := ensure(t, open(t, dir), server), ensure(t, open(t, dir), server)
	if !first.Equal(second) {
		t.Error("a current certificate was replaced")
	}
}

func TestEnsureReplacesOutdatedCertificate(t *testing.T) {
	dir := t.TempDir()
	first := ensure(t, open(t, dir), server)
	changed := server
	changed.IPs = []net.IP{net.IPv4(127, 0, 0, 2)}
	if second := ensure(t, open(t, dir), changed); first.Equal(second) {
		t.Error("a certificate for another address was not replaced")
	}
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	authority := open(t, dir)
	if third := ensure(t, authority, changed); third.CheckSignatureFrom(authority.cert) != nil {
		t.Error("a certificate of a removed authority was not replaced")
	}
}

func TestEnsureReplacesIncompletePair(t *testing.T) {
	dir := t.TempDir()
	authority := open(t, dir)
	ensure(t, authority, server)
	if err := EnsureKeyPair(dir, server.Name); err != nil { // another key with its name
		t.Fatal(err)
	}
	ensure(t, authority, server)
}

func TestPrivateKeysHaveMode0600(t *testing.T) {
	dir := t.TempDir()
	ensure(t, open(t, dir), server)
	for _, name := range []string{"ca.key", "apiserver.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	authority, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func ensure(t *testing.T, authority *Authority, c Certificate) *x509.Certificate {
	t.Helper()
	if err := authority.Ensure(c); err != nil {
		t.Fatal(err)
	}
	cert, _, err := load(authority.dir, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
