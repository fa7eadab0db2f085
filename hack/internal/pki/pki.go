// Package pki makes the certificates of a single-node cluster and keeps them in
// a folder: a private authority, and short-named certificates that are made
// anew when they are missing, near their end, or of another authority.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"ecommerce-stack.dev/hack/internal/state"
)

// Validity of the authority and of what it signs. Certificates are renewed by
// `up` once less than renewBefore is left.
const (
	authorityValidity = 10 * 365 * 24 * time.Hour
	validity          = 365 * 24 * time.Hour
	renewBefore       = 30 * 24 * time.Hour
)

// Certificate says who holds a certificate and what for.
type Certificate struct {
	Name     string // of its files: <Name>.crt and <Name>.key
	User     string // CN; a user to the API server
	Groups   []string
	DNSNames []string
	IPs      []net.IP
	Server   bool // serves, rather than calls
}

// Authority signs certificates into its folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open returns the authority kept in the folder (ca.crt, ca.key), a new one if
// there is none that still holds long enough.
func Open(dir string) (*Authority, error) {
	cert, key, err := load(dir, "ca")
	if err == nil && time.Until(cert.NotAfter) > validity {
		return &Authority{dir, cert, key}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "ecommerce-stack"},
		NotAfter:              time.Now().Add(authorityValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	if cert, err = store(dir, "ca", template, template, key, key); err != nil {
		return nil, err
	}
	return &Authority{dir, cert, key}, nil
}

// Ensure makes the certificate unless a good one is there.
func (a *Authority) Ensure(c Certificate) error {
	if cert, _, err := load(a.dir, c.Name); err == nil && a.good(cert, c) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	usage := x509.ExtKeyUsageClientAuth
	if c.Server {
		usage = x509.ExtKeyUsageServerAuth
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: c.User, Organization: c.Groups},
		NotAfter:    time.Now().Add(validity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{usage},
		DNSNames:    c.DNSNames,
		IPAddresses: c.IPs,
	}
	_, err = store(a.dir, c.Name, template, a.cert, key, a.key)
	return err
}

func (a *Authority) good(cert *x509.Certificate, c Certificate) bool {
	sameIPs := slices.EqualFunc(cert.IPAddresses, c.IPs, net.IP.Equal)
	return cert.CheckSignatureFrom(a.cert) == nil && time.Until(cert.NotAfter) > renewBefore &&
		cert.Subject.CommonName == c.User && slices.Equal(cert.Subject.Organization, c.Groups) &&
		slices.Equal(cert.DNSNames, c.DNSNames) && sameIPs
}

// Key makes a private key and its public half (<name>.key, <name>.pub) unless
// they are there.
func Key(dir, name string) error {
	private, public := filepath.Join(dir, name+".key"), filepath.Join(dir, name+".pub")
	if _, err := os.Stat(public); err == nil {
		return nil // written last
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := storeKey(private, key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return state.Write(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

// store writes the key first, so that a certificate is never without its key.
func store(dir, name string, template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-5 * time.Minute)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", name, err)
	}
	if err := storeKey(filepath.Join(dir, name+".key"), key); err != nil {
		return nil, err
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := state.Write(filepath.Join(dir, name+".crt"), data, 0o600); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func storeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return state.Write(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// load returns fs.ErrNotExist also for a pair that a crash left half written.
func load(dir, name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, name+".crt"))
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, nil, err
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("%s in %s is no PEM file: delete it", name, dir)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.crt in %s: %w", name, dir, err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.key in %s: %w", name, dir, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, fmt.Errorf("%s in %s: certificate and key differ: %w", name, dir, fs.ErrNotExist)
	}
	return cert, key, nil
}
