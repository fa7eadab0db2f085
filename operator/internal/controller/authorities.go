package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// authoritiesKey is the key of a Secret with the certificates of private authorities.
const authoritiesKey = "ca.crt"

// authoritiesRefs returns the references to the certificate authorities of external servers,
// by the component that they belong to.
func authoritiesRefs(stack *v1alpha1.ECommerceStack) map[string]*v1alpha1.SecretReference {
	refs := map[string]*v1alpha1.SecretReference{}
	if external := stack.Spec.MySQL.External; external != nil && external.TLS.CASecretRef != nil {
		refs[charts.MySQL] = external.TLS.CASecretRef
	}
	if external := stack.Spec.RabbitMQ.External; external != nil && external.TLS.CASecretRef != nil {
		refs[charts.RabbitMQ] = external.TLS.CASecretRef
	}
	return refs
}

// readAuthorities returns the certificate authorities for an external server: the public ones
// and those of its caSecretRef. It returns nil for a server without caSecretRef.
func (r *reconciliation) readAuthorities(ctx context.Context, server string) (*x509.CertPool, error) {
	ref := authoritiesRefs(r.stack)[server]
	if ref == nil {
		return nil, nil
	}
	field := fmt.Sprintf("spec.%s.external.tls.caSecretRef", server)
	secret, err := r.readHeldSecret(ctx, field, ref.Name, authoritiesKey)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the public certificate authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(secret.Data[authoritiesKey]) {
		return nil, &invalidInputError{fmt.Sprintf("%s refers to Secret %s, whose key %s has no certificate in PEM form: "+
			"replace it with the certificate of the authority", field, ref.Name, authoritiesKey)}
	}
	r.authorities[server] = secret.Data[authoritiesKey]
	return pool, nil
}

// explainCertificate adds what to do to an error about the certificate of an external server.
func explainCertificate(server string, err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("%w: correct the certificate, or set spec.%s.external.tls.caSecretRef to the authority that signed it", err, server)
	}
	return err
}

// authoritiesOf returns the certificates of the authorities that a service needs, and the
// names of the Secrets that could not be read.
func (r *reconciliation) authoritiesOf(service string) (certificates []any, unread []string) {
	refs := authoritiesRefs(r.stack)
	for _, server := range serversOf(service) {
		switch content := r.authorities[server]; {
		case refs[server] == nil:
		case content == nil:
			unread = append(unread, refs[server].Name)
		default:
			certificates = append(certificates, content)
		}
	}
	return certificates, unread
}

// serversOf returns the servers that a service connects to.
func serversOf(service string) []string {
	var servers []string
	if schemas[service] != "" {
		servers = append(servers, charts.MySQL)
	}
	if slices.Contains(brokerServices, service) {
		servers = append(servers, charts.RabbitMQ)
	}
	return servers
}
