package controller

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// newStack returns a stack from YAML. The tests create it only in a dry run.
func newStack(t *testing.T, name, spec string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	content := "apiVersion: ecommerce-stack.dev/v1alpha1\nkind: ECommerceStack\nspec: " + spec
	if err := yaml.Unmarshal([]byte(content), &object.Object); err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	object.SetNamespace(metav1.NamespaceDefault)
	object.SetName(name)
	return object
}

const (
	externalMySQL    = `{host: db.example, adminSecretRef: {name: a}}`
	externalRabbitMQ = `{managementURL: "http://mq.example:15672", host: mq.example, adminSecretRef: {name: a}}`
)

func TestInvalidSpecIsRejectedWithResolution(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	cases := []struct{ spec, message string }{
		{`{currency: euro}`, "Too long"},
		{`{currency: eur}`, "three capital letters such as USD"},
		{`{currency: XXZ}`, "an ISO 4217 code of a currency in use, three capital letters such as USD or EUR"},
		{`{sales: {holdTTL: 15 minutes}}`, "spec.sales.holdTTL must be between 1s and 720h, in hours, minutes and seconds such as 15m or 1h30m"},
		{`{sales: {holdTTL: "15"}}`, "seconds such as 15m"},
		{`{gateway: {cacheTTL: 2d}}`, "spec.gateway.cacheTTL must be between 0s (no cache) and 24h, in hours, minutes and seconds such as 30s or 1h30m"},
		{`{jwt: {accessTokenTTL: a quarter}}`, "spec.jwt.accessTokenTTL must be between 1m and 24h, in hours, minutes and seconds such as 15m"},
		{`{jwt: {refreshTokenTTL: 30d}}`, "spec.jwt.refreshTokenTTL must be between 5m and 8760h, in hours, minutes and seconds such as 720h"},
		{`{jwt: {rotationInterval: 30 days}}`, "spec.jwt.rotationInterval must be between 1h and 8760h, in hours, minutes and seconds such as 720h"},
		{`{credentials: {rotationInterval: 90d}}`, "spec.credentials.rotationInterval must be between 1h and 8760h, in hours, minutes and seconds such as 2160h"},
		{`{auth: {resources: {limits: {cpus: "1"}}}}`, "resources have the keys cpu and memory, such as limits: {cpu: 500m, memory: 256Mi}"},
		{`{stock: {resources: {requests: {Memory: 1Gi}}}}`, "resources have the keys cpu and memory"},
		{`{sales: {resources: {limits: {memory: 64}}}}`, "memory must be at least 16Mi, such as 256Mi: a number without a unit is in bytes"},
		{`{sales: {resources: {limits: {memory: 64 MB}}}}`, "memory"},
		{`{gateway: {resources: {requests: {cpu: 0}}}}`, "cpu must be at least 1m, such as 500m"},
		{`{gateway: {resources: {requests: {cpu: "2"}, limits: {cpu: 1500m}}}}`, "requests must not exceed limits: lower the request or raise the limit"},
		{`{rabbitmq: {embedded: {resources: {requests: {memory: 1Gi}, limits: {memory: 512Mi}}}}}`, "requests: {memory: 256Mi} and limits: {memory: 512Mi}"},
		{`{mysql: {embedded: {resources: {limits: {memory: "-1"}}}}}`, "memory must be at least 16Mi, such as 256Mi"},
		{`{mysql: {embedded: {exporter: {resources: {limits: {cpus: 1}}}}}}`, "resources have the keys cpu and memory"},
		{`{mysql: {embedded: {storage: {size: 5}}}}`, "storage.size must be at least 256Mi, such as 10Gi: a number without a unit is in bytes"},
		{`{mysql: {embedded: {storage: {size: 5Gi, className: Fast Disk}}}}`, "storage.className must be the name of a StorageClass such as standard"},
		{`{mysql: {embedded: {image: "my sql:8"}}}`, "image must be an image reference such as registry.example/mysql:8.4"},
		{`{mysql: {embedded: {exporter: {image: "https://x/y"}}}}`, "image must be an image reference such as"},
		{`{rabbitmq: {embedded: {image: "rabbitmq:"}}}`, "image must be an image reference such as"},
		{`{image: {pullSecrets: [{name: My Secret}]}}`, "name must be the name of a Secret such as shop-credentials"},
		{`{manager: {secretRef: {name: ""}}}`, "name must be the name of a Secret such as shop-credentials"},
		{`{gateway: {ingress: {host: shop.example, className: Nginx!}}}`, "spec.gateway.ingress.className must be the name of an IngressClass such as nginx"},
		{`{gateway: {ingress: {host: shop.example, tlsSecretName: a_b}}}`, "spec.gateway.ingress.tlsSecretName must be the name of a Secret such as shop-tls"},
		{`{gateway: {httpRoute: {parentRefs: [{name: A B}]}}}`, "parentRefs.name must be the name of a Gateway such as public"},
		{`{gateway: {httpRoute: {parentRefs: [{name: a, namespace: a.b}]}}}`, "parentRefs.namespace must be the name of a namespace such as infra"},
		{`{gateway: {httpRoute: {parentRefs: [{name: a, sectionName: ""}]}}}`, "parentRefs.sectionName must be the name of a listener such as https"},
		{`{mysql: {embedded: {}, external: ` + externalMySQL + `}}`, "set exactly one of spec.mysql.embedded and spec.mysql.external"},
		{`{mysql: {}}`, "set exactly one of spec.mysql.embedded and spec.mysql.external"},
		{`{rabbitmq: {embedded: {}, external: ` + externalRabbitMQ + `}}`, "set exactly one of spec.rabbitmq.embedded and spec.rabbitmq.external"},
		{`{mysql: {external: {host: "db:3306", adminSecretRef: {name: a}}}}`, "set the port in the field port"},
		{`{mysql: {external: {host: db, port: 70000, adminSecretRef: {name: a}}}}`, "should be less than or equal to 65535"},
		{`{mysql: {external: {host: db, adminSecretRef: {name: a}, schemaPrefix: Shop-}}}`, "lower-case letters, digits and underscores"},
		{`{mysql: {external: {host: db, adminSecretRef: {name: a}, tls: {mode: SkipVerify, caSecretRef: {name: ca}}}}}`, "set mode to Verify, or remove caSecretRef"},
		{`{mysql: {external: {host: db, adminSecretRef: {name: a}, tls: {mode: Verify, caSecretRef: {name: My CA}}}}}`, "name must be the name of a Secret such as"},
		{`{rabbitmq: {external: {managementURL: "http://mq:15672", host: mq, adminSecretRef: {name: a}, tls: {caSecretRef: {name: ca}}}}}`,
			"spec.rabbitmq.external.tls.caSecretRef is only used with mode Verify or a managementURL of https"},
		{`{mysql: {external: {host: db}}}`, "adminSecretRef: Required value"},
		{`{mysql: {embedded: {storage: {size: 10Mi}}}}`, "storage.size must be at least 256Mi"},
		{`{rabbitmq: {embedded: {replicas: 2}}}`, `supported values: "1", "3"`},
		{`{rabbitmq: {external: {managementURL: "http://admin:pw@mq:15672", host: mq, adminSecretRef: {name: a}}}}`, "put them into adminSecretRef"},
		{`{rabbitmq: {external: {managementURL: "http://mq:15672", host: mq, adminSecretRef: {name: a}, vhost: "/"}}}`, "omit it to use <namespace>.<name>"},
		{`{jwt: {algorithm: none}}`, `supported values: "HS256", "EdDSA"`},
		{`{jwt: {accessTokenTTL: 1s}}`, "spec.jwt.accessTokenTTL must be between 1m and 24h"},
		{`{jwt: {accessTokenTTL: soon}}`, "accessTokenTTL"},
		{`{jwt: {accessTokenTTL: 20m, refreshTokenTTL: 10m}}`, "spec.jwt.accessTokenTTL must be shorter than spec.jwt.refreshTokenTTL"},
		{`{jwt: {refreshTokenTTL: 10000h}}`, "spec.jwt.refreshTokenTTL must be between 5m and 8760h"},
		{`{manager: {email: nobody}}`, "spec.manager.email must be an address such as"},
		{`{manager: {email: "a@b.example", secretRef: {name: boss}}}`, "remove email, the key email of the Secret is used"},
		{`{sales: {replicas: 2, autoscaling: {}}}`, "replicas and autoscaling are mutually exclusive: remove replicas"},
		{`{gateway: {replicas: 2, autoscaling: {}}}`, "replicas and autoscaling are mutually exclusive: remove replicas"},
		{`{stock: {autoscaling: {minReplicas: 5, maxReplicas: 2}}}`, "raise maxReplicas or lower minReplicas"},
		{`{auth: {replicas: -1}}`, "should be greater than or equal to 0"},
		{`{auth: {env: [{name: MYSQL_DSN, value: x}]}}`, "env sets a variable that the operator manages: remove it"},
		{`{auth: {env: [{name: "A B"}]}}`, "such as LOG_LEVEL"},
		{`{sales: {holdTTL: 0s}}`, "spec.sales.holdTTL must be between 1s and 720h"},
		{`{gateway: {cacheTTL: 48h}}`, "spec.gateway.cacheTTL must be between 0s (no cache) and 24h"},
		{`{gateway: {rateLimit: {burst: 0}}}`, "raise burst, or set requestsPerSecond to 0"},
		{`{gateway: {service: {nodePort: 30501}}}`, "needs spec.gateway.service.type NodePort or LoadBalancer"},
		{`{gateway: {service: {externalTrafficPolicy: Local}}}`, "spec.gateway.service.externalTrafficPolicy needs spec.gateway.service.type NodePort or LoadBalancer"},
		{`{gateway: {service: {type: NodePort, externalTrafficPolicy: local}}}`, `supported values: "Local", "Cluster"`},
		{`{gateway: {trustedProxies: [10.0.0.1]}}`, "write a single address as 192.0.2.1/32"},
		{`{gateway: {trustedProxies: [10.0.0.0/8, proxies.example]}}`, "spec.gateway.trustedProxies must be CIDRs such as 10.0.0.0/8"},
		{`{gateway: {trustedProxies: [10.0.0.0/8, 10.0.0.0/8]}}`, "Duplicate value"},
		{`{gateway: {trustedProxies: [` + manyCIDRs(65) + `]}}`, "must have at most 64 items"},
		{`{gateway: {env: [{name: TRUSTED_PROXIES, value: 10.0.0.0/8}]}}`, "env sets a variable that the operator manages"},
		{`{stock: {env: [{name: REVOCATIONS_URL, value: "http://x"}]}}`, "env sets a variable that the operator manages"},
		{`{gateway: {env: [{name: TLS_KEY_FILE, value: /x}]}}`, "env sets a variable that the operator manages"},
		{`{gateway: {tls: {}}}`, "tls.secretName: Required value"},
		{`{gateway: {tls: {secretName: ""}}}`, "spec.gateway.tls.secretName must be the name of a Secret"},
		{`{gateway: {tls: {secretName: Shop_TLS}}}`, "spec.gateway.tls.secretName must be the name of a Secret"},
		{`{gateway: {httpRoute: {hostnames: [shop.example]}}}`, "parentRefs: Required value"},
		{`{gateway: {httpRoute: {parentRefs: []}}}`, "should have at least 1 items"},
		{`{gateway: {httpRoute: {parentRefs: [{name: a, port: 0}]}}}`, "should be greater than or equal to 1"},
		{`{gateway: {httpRoute: {parentRefs: [{name: a}, {name: a}]}}}`, "remove one entry, or set a different sectionName in each"},
		{`{gateway: {httpRoute: {parentRefs: [{name: a, namespace: x}, {name: a, namespace: x, sectionName: s}]}}}`, "set a different sectionName in each"},
		{`{gateway: {httpRoute: {parentRefs: [{name: a}], hostnames: ["https://shop.example"]}}}`, "without scheme, port or path"},
		{`{gateway: {httpRoute: {parentRefs: [{name: a}], hostnames: [192.0.2.1]}}}`, "spec.gateway.httpRoute.hostnames must be host names"},
		{`{gateway: {ingress: {host: "https://shop.example"}}}`, "without scheme, port or path"},
		{`{gateway: {cors: {origins: ["https://shop.example/"]}}}`, "no path and no trailing slash"},
		{`{image: {registry: "https://registry.example"}}`, "without scheme or trailing slash"},
		{`{image: {tag: "a b"}}`, "spec.image.tag must be an image tag"},
		{`{stock: {image: registry.example/stock}}`, "image must be a full reference with a tag or a digest, such as registry.example/shop/stock:1.2.3"},
		{`{sales: {image: "registry.example:5000/sales"}}`, "image must be a full reference with a tag or a digest"},
		{`{gateway: {image: "https://registry.example/gateway:1"}}`, "image must be a full reference with a tag or a digest"},
		{`{auth: {image: "registry.example/auth@sha256:abc"}}`, "and 64 hexadecimal digits"},
		{`{auth: {image: "registry.example/Auth:1"}}`, "image must be a full reference with a tag or a digest"},
		{`{auth: {image: ""}}`, "image must be a full reference with a tag or a digest"},
		{`{auth: {image: "a:` + strings.Repeat("1", 511) + `"}}`, "Too long"},
		{`{observability: {tracing: {}}}`, "endpoint: Required value"},
		{`{observability: {tracing: {endpoint: "otel-collector:4318"}}}`, "such as http://otel-collector.observability:4318"},
		{`{observability: {tracing: {endpoint: "grpc://otel-collector:4317"}}}`, "such as http://otel-collector.observability:4318"},
		{`{observability: {tracing: {endpoint: "https://user:password@otlp.example"}}}`, "without user, password, query and fragment"},
		{`{observability: {tracing: {endpoint: "https://otlp.example/?token=a"}}}`, "without user, password, query and fragment"},
		{`{observability: {tracing: {endpoint: "http://otlp.example:65536"}}}`, "such as http://otel-collector.observability:4318"},
		{`{observability: {tracing: {endpoint: "http://otlp.example:0"}}}`, "such as http://otel-collector.observability:4318"},
		{`{observability: {tracing: {endpoint: "http://a", samplingRatio: "1.5"}}}`, `such as "0.05" for 5 % of the traces`},
		{`{observability: {tracing: {endpoint: "http://a", samplingRatio: "-0.1"}}}`, `such as "0.05" for 5 % of the traces`},
		{`{observability: {tracing: {endpoint: "http://a", samplingRatio: "5%"}}}`, `such as "0.05" for 5 % of the traces`},
		{`{observability: {tracing: {endpoint: "http://a", samplingRatio: ""}}}`, `such as "0.05" for 5 % of the traces`},
		{`{observability: {tracing: {endpoint: "http://a", samplingRatio: 0.05}}}`, "must be of type string"},
		{`{deletionPolicy: Keep}`, `supported values: "Retain", "Delete"`},
	}
	for _, c := range cases {
		err := api.Create(context.Background(), newStack(t, "refused", c.spec), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: error %v, want one with %q", c.spec, err, c.message)
		}
	}
	for _, name := range []string{"with.dot", "1digit", strings.Repeat("a", 41)} {
		err := api.Create(context.Background(), newStack(t, name, "{}"), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "at most 40 lower-case letters") {
			t.Errorf("name %s: error %v, want one that describes valid names", name, err)
		}
	}
}

func manyCIDRs(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("10.0.%d.0/24", i)
	}
	return strings.Join(list, ", ")
}

func TestGatewayWithinTheLimitsIsAccepted(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	for _, spec := range []string{
		`{trustedProxies: [` + manyCIDRs(64) + `]}`,
		`{trustedProxies: [192.0.2.1/32, "2001:db8::/32", "fd00::1/128"]}`,
		`{service: {type: NodePort, externalTrafficPolicy: Cluster}}`,
		`{service: {type: LoadBalancer, externalTrafficPolicy: Local}, tls: {secretName: shop.example-tls}}`,
		`{httpRoute: {parentRefs: [{name: a}, {name: a, namespace: x}, {name: b, sectionName: s, port: 443}, {name: b, sectionName: t}],
			hostnames: [shop.example, "*.shop.example"]}}`,
		`{env: [{name: MAX_CONNECTIONS, value: "64"}, {name: MAX_CONNECTIONS_PER_ADDRESS, value: "8"}]}`,
	} {
		if err := api.Create(context.Background(), newStack(t, "accepted", "{gateway: "+spec+"}"), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestValuesWithinTheLimitsAreAccepted(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	for _, spec := range []string{
		`{sales: {holdTTL: 1h30m, resources: {requests: {cpu: 1, memory: 16Mi}, limits: {cpu: "1.5", memory: 64000000}}}}`,
		`{gateway: {cacheTTL: 0s, nodeSelector: {kubernetes.io/arch: amd64, disk: "", Zone_1: a.b}}}`, `{jwt: {accessTokenTTL: 1.5h}}`, `{currency: XAF}`,
		`{mysql: {embedded: {image: "registry.example:5000/x/mysql@sha256:` + strings.Repeat("0a", 32) + `", storage: {size: 1e9, className: fast.ssd}}}}`,
		`{auth: {resources: {requests: {cpu: 1m}}}}`,
	} {
		if err := api.Create(context.Background(), newStack(t, "accepted", spec), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

func TestImageReferencesAreAccepted(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	const digest = "@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	for _, image := range []string{
		"stock:1", "localhost/ecommerce-stack/stock:0.0.0-20261127193031-fd89e0d5ab3c-dirty-0123456789ab", "registry.example:5000/a/b__c/stock:v1_2.3",
		"registry.example/stock" + digest, "registry.example:5000/shop/stock:1.2.3" + digest, "192.0.2.1:5000/stock:" + strings.Repeat("1", 128),
	} {
		if err := api.Create(context.Background(), newStack(t, "accepted", `{stock: {image: "`+image+`"}}`), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", image, err)
		}
	}
}

func TestTracingWithinTheLimitsIsAccepted(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	for _, tracing := range []string{
		`{endpoint: "http://otel-collector.observability:4318"}`, `{endpoint: "https://otlp.example/shop/", samplingRatio: "1"}`,
		`{endpoint: "http://192.0.2.1", samplingRatio: "0"}`, `{endpoint: "http://[2001:db8::1]:4318", samplingRatio: "0.000001"}`, `{endpoint: "http://a", samplingRatio: "1.0"}`,
	} {
		if err := api.Create(context.Background(), newStack(t, "accepted", "{observability: {tracing: "+tracing+"}}"), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", tracing, err)
		}
	}
}

func TestImmutableFieldChangeIsRejectedWithResolution(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	cases := []struct{ before, after, message string }{
		{`{}`, `{currency: EUR}`, "spec.currency cannot be changed"},
		{`{}`, `{mysql: {external: ` + externalMySQL + `}}`, "spec.mysql cannot switch between embedded and external"},
		{`{}`, `{rabbitmq: {external: ` + externalRabbitMQ + `}}`, "spec.rabbitmq cannot switch between embedded and external"},
		{`{}`, `{mysql: {embedded: {storage: {size: 4Gi}}}}`, "storage.size cannot be lowered"},
		{`{}`, `{rabbitmq: {embedded: {storage: {size: 2Gi, className: fast}}}}`, "storage.className cannot be changed"},
		{`{rabbitmq: {embedded: {replicas: 3}}}`, `{rabbitmq: {embedded: {replicas: 1}}}`, "replicas cannot be lowered"},
		{`{mysql: {external: ` + externalMySQL + `}}`, `{mysql: {external: {host: db.example, adminSecretRef: {name: a}, schemaPrefix: x_}}}`,
			"spec.mysql.external.schemaPrefix cannot be changed"},
		{`{rabbitmq: {external: ` + externalRabbitMQ + `}}`,
			`{rabbitmq: {external: {managementURL: "http://mq.example:15672", host: mq.example, adminSecretRef: {name: a}, vhost: x}}}`,
			"spec.rabbitmq.external.vhost cannot be changed"},
	}
	for i, c := range cases {
		name := "change-" + string(rune('a'+i))
		stack := newStack(t, name, c.before)
		// The operator ignores a paused stack.
		if err := unstructured.SetNestedField(stack.Object, true, "spec", "paused"); err != nil {
			t.Fatal(err)
		}
		if err := api.Create(context.Background(), stack); err != nil {
			t.Fatalf("%s: %v", c.before, err)
		}
		// The operator may update the status concurrently.
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			if err := api.Get(context.Background(), client.ObjectKeyFromObject(stack), stack); err != nil {
				return err
			}
			after := newStack(t, name, c.after)
			after.SetResourceVersion(stack.GetResourceVersion())
			return api.Update(context.Background(), after, client.DryRunAll)
		})
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s to %s: error %v, want one with %q", c.before, c.after, err, c.message)
		}
		if err := api.Delete(context.Background(), stack); err != nil {
			t.Error(err)
		}
	}
}

func TestEmptySpecIsDefaulted(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	stack := &v1alpha1.ECommerceStack{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "defaults"}}
	if err := api.Create(context.Background(), stack, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	spec := stack.Spec
	got := []any{spec.Currency, spec.MySQL.Embedded.Storage.Size.String(), spec.RabbitMQ.Embedded.Replicas, spec.JWT.Algorithm,
		spec.JWT.AccessTokenTTL.Duration, spec.Sales.HoldTTL.Duration, spec.Gateway.RateLimit.Burst, *spec.NetworkPolicies, spec.DeletionPolicy}
	want := []any{"USD", "5Gi", int32(1), "HS256", 15 * time.Minute, 15 * time.Minute, int32(200), true, v1alpha1.DeletionRetain}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("default %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestSamplesAreValid(t *testing.T) {
	t.Parallel()
	skipIfShort(t)
	found := 0
	for _, sample := range samples(t) {
		if sample.GetKind() != v1alpha1.Kind {
			continue
		}
		found++
		sample.SetNamespace(metav1.NamespaceDefault)
		if err := api.Create(context.Background(), sample, client.DryRunAll); err != nil {
			t.Errorf("sample %s: %v", sample.GetName(), err)
		}
	}
	if found < 3 {
		t.Errorf("%d stacks among the samples, want at least 3", found)
	}
}

func samples(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "config", "samples", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(content), "\n---\n") {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(part), &object.Object); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all = append(all, object)
		}
	}
	return all
}

func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an API server; not part of a -short run")
	}
}
