package pki

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
)

var server = Certificate{Name: "apiserver", User: "kube-apiserver", DNSNames: []string{"kubernetes"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true}

func TestACertificateServesItsNamesUnderItsAuthority(t *testing.T) {
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

func TestAGoodCertificateIsKept(t *testing.T) {
	dir := t.TempDir()
	first, second := ensure(t, open(t, dir), server), ensure(t, open(t, dir), server)
	if !first.Equal(second) {
		t.Error("it was made anew")
	}
}

func TestACertificateThatNoLongerFitsIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	first := ensure(t, open(t, dir), server)
	moved := server
	moved.IPs = []net.IP{net.IPv4(127, 0, 0, 2)}
	if second := ensure(t, open(t, dir), moved); first.Equal(second) {
		t.Error("a certificate for another address was kept")
	}
	if err := os.Remove(filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	authority := open(t, dir)
	if third := ensure(t, authority, moved); third.CheckSignatureFrom(authority.cert) != nil {
		t.Error("a certificate of an authority that is gone was kept")
	}
}

func TestAPairThatACrashLeftHalfWrittenIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	authority := open(t, dir)
	ensure(t, authority, server)
	if err := Key(dir, server.Name); err != nil { // another key under its name
		t.Fatal(err)
	}
	ensure(t, authority, server)
}

func TestPrivateKeysAreTheOwnersAlone(t *testing.T) {
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
