package broker_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/broker"
)

// The chart sets SSL_CERT_DIR to a folder with the certificates of private authorities. A
// process reads them once, so each attempt is a process of its own.
func TestBrokerOfPrivateAuthorityIsAccepted(t *testing.T) {
	const variable = "TEST_PRIVATE_AUTHORITY_URL"
	if url := os.Getenv(variable); url != "" {
		conn, err := broker.Dial(url, "test")
		if err != nil {
			t.Fatal(err)
		}
		broker.CloseWithDeadline(conn)
		return
	}
	info := testenv.Broker(t)
	authority := testenv.NewAuthority(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "rabbitmq.crt"), authority.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(info.URL(), "amqp://", "amqps://", 1)
	address := serveTLS(t, authority.Issue(t).TLS, info)
	url = strings.Replace(url, net.JoinHostPort(info.Host, strconv.Itoa(info.Port)), address, 1)
	connect := func(folder string) (string, error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), variable+"="+url, "SSL_CERT_DIR="+folder)
		output, err := cmd.CombinedOutput()
		return string(output), err
	}
	if output, err := connect(folder); err != nil {
		t.Errorf("with the authority: %v\n%s", err, output)
	}
	if output, err := connect(t.TempDir()); err == nil || !strings.Contains(output, "certificate signed by unknown authority") {
		t.Errorf("without the authority: error %v, want one about the certificate\n%s", err, output)
	}
}

// serveTLS accepts TLS connections, forwards them to the broker, and returns its address.
func serveTLS(t *testing.T, certificate tls.Certificate, info testenv.BrokerInfo) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("tcp", net.JoinHostPort(info.Host, strconv.Itoa(info.Port)))
				if err != nil {
					return
				}
				defer server.Close()
				go func() { _, _ = io.Copy(server, client) }()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	return listener.Addr().String()
}
