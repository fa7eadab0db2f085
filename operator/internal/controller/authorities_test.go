package controller

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// useTLS makes the stack use servers whose certificates a private authority has signed. The
// Secret with the authority is named private-ca.
func (f *fixture) useTLS(t *testing.T, authority *testenv.Authority) {
	t.Helper()
	certificate := authority.Issue(t)
	server, err := testenv.StartMySQL(t.Context(), "--ssl-cert="+certificate.CertFile, "--ssl-key="+certificate.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	dsn, err := driver.ParseDSN(server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	f.create(t, f.secret("tls-mysql-admin", dsn.User, dsn.Passwd))
	_, port, err := net.SplitHostPort(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	management, err := url.Parse(f.rabbitmq.ManagementURL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(management) }})
	proxy.TLS = &tls.Config{Certificates: []tls.Certificate{certificate.TLS}, MinVersion: tls.VersionTLS12}
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that the test expects to fail
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	t.Cleanup(func() { f.cleanUp(t) }) // before the servers end
	ref := &v1alpha1.SecretReference{Name: "private-ca"}
	external := f.stack.Spec.MySQL.External
	external.Port, external.AdminSecretRef.Name, external.TLS = int32(number), "tls-mysql-admin", v1alpha1.MySQLTLS{Mode: "Verify", CASecretRef: ref}
	f.stack.Spec.RabbitMQ.External.ManagementURL = proxy.URL
	f.stack.Spec.RabbitMQ.External.TLS = v1alpha1.RabbitMQTLS{Mode: "Verify", CASecretRef: ref}
}

func (f *fixture) authoritySecret(pem []byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "private-ca"}, Data: map[string][]byte{"ca.crt": pem}}
}

func TestServersOfPrivateAuthoritiesAreUsed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	authority := testenv.NewAuthority(t)
	f.useTLS(t, authority)
	f.apply(t)
	message := f.waitFor(t, v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse)
	if want := "spec.mysql.external.tls.caSecretRef refers to Secret private-ca, which does not exist"; !strings.Contains(message, want) {
		t.Errorf("without the Secret: %q, want %q", message, want)
	}
	secret := f.authoritySecret([]byte("no certificate"))
	f.create(t, secret)
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonInvalidInput, "spec.rabbitmq.external.tls.caSecretRef refers to Secret private-ca, whose key ca.crt has no certificate in PEM form", metav1.ConditionTrue)
	f.replaceAuthority(t, testenv.NewAuthority(t).PEM)
	f.waitForCause(t, v1alpha1.ConditionDatabaseReady, reasonCertificateInvalid, "certificate signed by unknown authority: correct the certificate, or set spec.mysql.external.tls.caSecretRef", metav1.ConditionTrue)
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonCertificateInvalid, "certificate signed by unknown authority: correct the certificate, or set spec.rabbitmq.external.tls.caSecretRef", metav1.ConditionTrue)
	f.replaceAuthority(t, authority.PEM)
	f.waitFor(t, v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue)
	f.waitFor(t, v1alpha1.ConditionBrokerReady, metav1.ConditionTrue)
	if dsn := f.value(t, "sales-mysql", "dsn"); !strings.HasSuffix(dsn, "?tls=true") {
		t.Error("services connect to MySQL without TLS")
	}
	if address := f.value(t, "sales-rabbitmq", "url"); !strings.HasPrefix(address, "amqps://") {
		t.Error("services connect to RabbitMQ without TLS")
	}
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	mounted := func(service string) (paths []string, checksum string) {
		deployment := &appsv1.Deployment{}
		f.get(t, "demo-"+service, deployment)
		pod := deployment.Spec.Template
		for _, volume := range pod.Spec.Volumes {
			if volume.Name == "authorities" {
				for _, source := range volume.Projected.Sources {
					paths = append(paths, source.Secret.Name+":"+source.Secret.Items[0].Path)
				}
			}
		}
		for _, container := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
			if fmt.Sprint(container.Env) == "" || !strings.Contains(fmt.Sprint(container.Env), "SSL_CERT_DIR /etc/ecommerce/authorities") ||
				!strings.Contains(fmt.Sprint(container.VolumeMounts), "/etc/ecommerce/authorities") {
				t.Errorf("container %s of %s does not read the authorities", container.Name, service)
			}
		}
		return paths, pod.Annotations[checksumAnnotation]
	}
	for service, want := range map[string]string{
		"sales": "[private-ca:mysql.crt private-ca:rabbitmq.crt]", "auth": "[private-ca:mysql.crt]", "gateway": "[private-ca:rabbitmq.crt]",
	} {
		if paths, _ := mounted(service); fmt.Sprint(paths) != want {
			t.Errorf("%s has the authorities %v, want %s", service, paths, want)
		}
	}
	_, before := mounted("stock")
	f.replaceAuthority(t, append(testenv.NewAuthority(t).PEM, authority.PEM...))
	f.eventually(t, func(context.Context) error {
		if _, now := mounted("stock"); now == before {
			return fmt.Errorf("pods are not replaced after a change of the authorities")
		}
		return nil
	})
}

func (f *fixture) replaceAuthority(t *testing.T, pem []byte) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		secret := &corev1.Secret{}
		f.get(t, "private-ca", secret)
		secret.Data["ca.crt"] = pem
		return api.Update(ctx, secret)
	})
}
