package controller

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// values are the values of a chart.
type values = map[string]any

func imageTag(stack *v1alpha1.ECommerceStack, options Options) string {
	return cmp.Or(stack.Spec.Image.Tag, options.ImageTag)
}

// serviceValues returns the values of a service's chart. Values that are not set here
// default to the chart's, which the CRD's field descriptions state.
func serviceValues(stack *v1alpha1.ECommerceStack, options Options, service, checksum string) values {
	v := ownValues(stack, options, service, checksum)
	refs := authoritiesRefs(stack)
	for _, server := range serversOf(service) {
		if refs[server] != nil {
			v[server] = values{"caSecretName": refs[server].Name}
		}
	}
	return v
}

// ownValues returns the values of a service's chart without those of its servers.
func ownValues(stack *v1alpha1.ECommerceStack, options Options, service, checksum string) values {
	spec := &stack.Spec
	switch service {
	case charts.Auth:
		v := commonValues(stack, options, spec.Auth, checksum)
		v["jwt"] = values{
			"accessTokenTTL": spec.JWT.AccessTokenTTL.Duration.String(), "refreshTokenTTL": spec.JWT.RefreshTokenTTL.Duration.String(),
		}
		v["manager"] = values{"secretName": managerSecretName(stack), "restore": restorationRequest(stack)}
		v["networkPolicy"] = networkPolicy(stack, charts.MySQL)
		return v
	case charts.Sales:
		v := commonValues(stack, options, spec.Sales.ServiceSpec, checksum)
		v["currency"] = spec.Currency
		v["holdTTL"] = spec.Sales.HoldTTL.Duration.String()
		v["networkPolicy"] = networkPolicy(stack, charts.MySQL, charts.RabbitMQ)
		return v
	case charts.Stock:
		v := commonValues(stack, options, spec.Stock, checksum)
		v["currency"] = spec.Currency
		v["networkPolicy"] = networkPolicy(stack, charts.MySQL, charts.RabbitMQ)
		return v
	default:
		return gatewayValues(stack, options, checksum)
	}
}

func gatewayValues(stack *v1alpha1.ECommerceStack, options Options, checksum string) values {
	spec := &stack.Spec.Gateway
	v := commonValues(stack, options, spec.ServiceSpec, checksum)
	v["networkPolicy"] = networkPolicy(stack, charts.RabbitMQ)
	v["cacheTTL"], v["rateLimit"] = spec.CacheTTL, spec.RateLimit
	service := values{"type": string(spec.Service.Type)}
	if spec.Service.NodePort != nil {
		service["nodePort"] = *spec.Service.NodePort
	}
	if policy := spec.Service.ExternalTrafficPolicy; policy != "" {
		service["externalTrafficPolicy"] = string(policy)
	}
	v["service"] = service
	v["trustedProxies"] = spec.TrustedProxies
	if spec.TLS != nil {
		v["tls"] = values{"secretName": spec.TLS.SecretName}
	}
	if spec.CORS != nil {
		v["cors"] = values{"origins": spec.CORS.Origins}
	}
	if spec.Ingress != nil {
		v["ingress"] = values{
			"enabled": true, "className": spec.Ingress.ClassName, "host": spec.Ingress.Host,
			"tlsSecretName": spec.Ingress.TLSSecretName,
		}
	}
	return v
}

func commonValues(stack *v1alpha1.ECommerceStack, options Options, spec v1alpha1.ServiceSpec, checksum string) values {
	image := values{
		"registry": cmp.Or(stack.Spec.Image.Registry, options.ImageRegistry), "tag": imageTag(stack, options),
		"reference": spec.Image, "pullPolicy": string(stack.Spec.Image.PullPolicy),
	}
	v := values{
		"managedBy":        apply.Manager,
		"image":            image,
		"imagePullSecrets": stack.Spec.Image.PullSecrets,
		"replicas":         1,
		"podAnnotations":   values{checksumAnnotation: checksum},
		"nodeSelector":     spec.NodeSelector,
		"tolerations":      spec.Tolerations,
		"affinity":         spec.Affinity,
	}
	if spec.Replicas != nil {
		v["replicas"] = *spec.Replicas
	}
	if spec.Autoscaling != nil {
		v["autoscaling"] = values{
			"enabled": true, "minReplicas": spec.Autoscaling.MinReplicas, "maxReplicas": spec.Autoscaling.MaxReplicas,
			"targetCPU": spec.Autoscaling.TargetCPU,
		}
	}
	if spec.Resources != nil {
		v["resources"] = resources(spec.Resources)
	}
	if tracing := stack.Spec.Observability.Tracing; tracing != nil {
		v["tracing"] = values{"endpoint": tracing.Endpoint, "samplingRatio": tracing.SamplingRatio}
	}
	env := values{}
	for _, variable := range spec.Env {
		env[variable.Name] = variable.Value
	}
	v["env"] = env
	return v
}

// resources returns the requests and limits that replace the chart's defaults. A null
// removes a default.
func resources(spec *v1alpha1.ResourceSpec) values {
	requests := values{string(corev1.ResourceCPU): nil, string(corev1.ResourceMemory): nil}
	limits := values{string(corev1.ResourceMemory): nil}
	for _, list := range []struct {
		from corev1.ResourceList
		into values
	}{{spec.Requests, requests}, {spec.Limits, limits}} {
		for name, quantity := range list.from {
			list.into[string(name)] = quantity.String()
		}
	}
	return values{"requests": requests, "limits": limits}
}

// networkPolicy returns egress rules to servers: to the pods of embedded servers, and to
// the port of external servers at any address.
func networkPolicy(stack *v1alpha1.ECommerceStack, servers ...string) values {
	enabled := stack.Spec.NetworkPolicies == nil || *stack.Spec.NetworkPolicies
	var egress []values
	for _, server := range servers {
		rule := values{"port": int32(mysqlPort)}
		external := false
		if server == charts.MySQL && stack.Spec.MySQL.External != nil {
			rule["port"], external = stack.Spec.MySQL.External.Port, true
		}
		if server == charts.RabbitMQ {
			rule["port"] = int32(amqpPort)
			if stack.Spec.RabbitMQ.External != nil {
				rule["port"], external = stack.Spec.RabbitMQ.External.Port, true
			}
		}
		if !external {
			rule["to"] = []values{{"podSelector": values{"matchLabels": values{
				apply.NameLabel: server, apply.InstanceLabel: stack.Name,
			}}}}
		}
		egress = append(egress, rule)
	}
	return values{"enabled": enabled, "egress": egress}
}

// mysqlValues returns the values of the chart for an embedded MySQL server.
func mysqlValues(stack *v1alpha1.ECommerceStack, options Options) values {
	spec := stack.Spec.MySQL.Embedded
	v := serverValues(stack, options.Namespace, spec.Image, options.MySQLImage, spec.Storage)
	if exporter := spec.Exporter; exporter != nil {
		metrics := values{"enabled": true, "image": cmp.Or(exporter.Image, options.MySQLExporterImage)}
		if exporter.Resources != nil {
			metrics["resources"] = resources(exporter.Resources)
		}
		v["metrics"] = metrics
	}
	if spec.Resources == nil {
		return v
	}
	v["resources"] = resources(spec.Resources)
	// From a limit of 1 GiB, half of it is the buffer pool. The chart's default suits
	// smaller limits.
	if limit := spec.Resources.Limits.Memory(); limit.Cmp(resource.MustParse("1Gi")) >= 0 {
		v["bufferPool"] = strconv.FormatInt(limit.Value()/2>>20, 10) + "M"
	}
	return v
}

// rabbitmqValues returns the values of the chart for an embedded RabbitMQ broker.
func rabbitmqValues(stack *v1alpha1.ECommerceStack, options Options) values {
	spec := stack.Spec.RabbitMQ.Embedded
	v := serverValues(stack, options.Namespace, spec.Image, options.RabbitMQImage, spec.Storage)
	v["replicas"] = spec.Replicas
	if spec.Resources == nil {
		return v
	}
	v["resources"] = resources(spec.Resources)
	if limit := spec.Resources.Limits.Memory(); !limit.IsZero() {
		v["memoryHighWatermark"] = strconv.FormatInt(limit.Value()*6/10>>20, 10) + "MiB"
	}
	return v
}

func serverValues(stack *v1alpha1.ECommerceStack, namespace, image, defaultImage string, storage v1alpha1.StorageSpec) values {
	if image == "" {
		image = defaultImage
	}
	return values{
		"managedBy": apply.Manager, "image": image, "imagePullPolicy": string(stack.Spec.Image.PullPolicy),
		"imagePullSecrets": stack.Spec.Image.PullSecrets,
		"storage":          values{"size": storage.Size.String(), "className": storage.ClassName},
		"networkPolicy": values{
			"enabled": stack.Spec.NetworkPolicies == nil || *stack.Spec.NetworkPolicies, "operatorNamespace": namespace,
		},
	}
}

// toMap converts values with Go types to the types of a decoded values file. Top-level nil
// values are removed, so that the chart's default applies; a nested nil removes a default.
func toMap(typed values) (values, error) {
	encoded, err := json.Marshal(typed)
	if err != nil {
		return nil, fmt.Errorf("encode values: %w", err)
	}
	var decoded values
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		return nil, fmt.Errorf("decode values: %w", err)
	}
	maps.DeleteFunc(decoded, func(_ string, value any) bool { return value == nil })
	return decoded, nil
}
