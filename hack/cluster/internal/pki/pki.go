// Package pki creates and renews the certificates of a single-node cluster in a
// folder: a private certificate authority, and certificates that are replaced
// when they are missing, expire soon, or differ from what is requested.
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

// Validity of the authority and of the certificates that it signs. `up` renews
// certificates that expire within renewBefore.
const (
	authorityValidity = 10 * 365 * 24 * time.Hour
	validity          = 365 * 24 * time.Hour
	renewBefore       = 30 * 24 * time.Hour
)

// Certificate describes a requested certificate.
type Certificate struct {
	Name     string // prefix of its files, <Name>.crt and <Name>.key
	User     string // the CN, which is the user name for the API server
	Groups   []string
	DNSNames []string
	IPs      []net.IP
	Server   bool // for TLS servers; otherwise for clients
}

// Authority is a certificate authority that stores certificates in its folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open returns the authority in the folder (ca.crt, ca.key). It creates a new one
// if there is none or if its certificates could outlive it.
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

// Ensure creates the certificate and its key unless a current one exists.
func (a *Authority) Ensure(c Certificate) error {
	if cert, _, err := load(a.dir, c.Name); err == nil && a.isCurrent(cert, c) {
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

func (a *Authority) isCurrent(cert *x509.Certificate, c Certificate) bool {
	sameIPs := slices.EqualFunc(cert.IPAddresses, c.IPs, net.IP.Equal)
	return cert.CheckSignatureFrom(a.cert) == nil && time.Until(cert.NotAfter) > renewBefore &&
		cert.Subject.CommonName == c.User && slices.Equal(cert.Subject.Organization, c.Groups) &&
		slices.Equal(cert.DNSNames, c.DNSNames) && sameIPs
}

// EnsureKeyPair creates a private and a public key (<name>.key, <name>.pub)
// unless they exist.
func EnsureKeyPair(dir, name string) error {
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

// store signs and writes a certificate. It writes the key first, so that every
// certificate has its key.
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

// load reads a certificate and its key. It returns fs.ErrNotExist if a file is
// missing or if an interrupted store left files that do not match.
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
		return nil, nil, fmt.Errorf("%s in %s is not a PEM file: delete it", name, dir)
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
