package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

const (
	namespace    = "observability"
	clusterRole  = "ecommerce-observability-prometheus"
	grafanaImage = "docker.io/grafana/grafana:12.3.0"
)

//go:embed manifests config
var files embed.FS

// server is a Deployment of one pod, with its configuration and its Service. Its fields are
// those of manifests/workload.yaml.
type server struct {
	Name, Image     string
	ServiceAccount  string
	Token           bool // whether the pod calls the API server
	Arguments       []string
	Environment     map[string]string
	Ports           []port
	Ready           probe
	Memory          memory
	Data            string                       // path of the folder that the server writes to
	Folders         map[string]string            // paths of additional ConfigMaps by name
	Configuration   map[string]string            // contents of files in /etc/<name>
	AdditionalFiles map[string]map[string]string // contents of the files of Folders
}

type port struct {
	Name string
	Port int
}

type probe struct {
	Path string
	Port int
}

type memory struct{ Request, Limit string }

// servers returns the servers with the images in references.
func (u upCommand) servers(root string, references map[string]string, registry bool) ([]server, error) {
	rules, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "rules.yaml"))
	if err != nil {
		return nil, err
	}
	configuration, err := configFiles("prometheus")
	if err != nil {
		return nil, err
	}
	if u.FastAlerts {
		rules = []byte(fastRules(string(rules)))
		configuration["prometheus.yaml"] = fastIntervals(configuration["prometheus.yaml"])
	}
	configuration["rules.yaml"] = string(rules)
	result := []server{{
		Name: "prometheus", Image: references["prometheus"], ServiceAccount: "prometheus", Token: true,
		Arguments: []string{"--config.file=/etc/prometheus/prometheus.yaml", "--storage.tsdb.path=/data", "--storage.tsdb.retention.time=1d",
			"--storage.tsdb.retention.size=1GB", "--enable-feature=exemplar-storage"},
		Ports: []port{{"http", 9090}}, Ready: probe{"/-/ready", 9090}, Memory: memory{"128Mi", "768Mi"}, Data: "/data",
		Configuration: configuration,
	}}
	if configuration, err = configFiles("alertmanager"); err != nil {
		return nil, err
	}
	result = append(result, server{
		Name: "alertmanager", Image: references["alertmanager"], ServiceAccount: "default",
		Arguments: []string{"--config.file=/etc/alertmanager/alertmanager.yaml", "--storage.path=/data", "--cluster.listen-address="},
		Ports:     []port{{"http", 9093}}, Ready: probe{"/-/ready", 9093}, Memory: memory{"32Mi", "128Mi"}, Data: "/data",
		Configuration: configuration,
	})
	if u.Tracing {
		if configuration, err = configFiles("jaeger"); err != nil {
			return nil, err
		}
		result = append(result, server{
			Name: "jaeger", Image: references["jaeger"], ServiceAccount: "default",
			Arguments: []string{"--config=/etc/jaeger/jaeger.yaml"},
			Ports:     []port{{"http", 16686}, {"otlp-http", 4318}, {"health", 13133}}, Ready: probe{"/status", 13133},
			Memory: memory{"64Mi", "512Mi"}, Data: "/data", Configuration: configuration,
		})
	}
	if !registry {
		return result, nil
	}
	grafana, err := grafana(root, references["grafana"])
	return append(result, grafana), err
}

// grafana returns Grafana with the dashboards of config/grafana. Every user can view them.
func grafana(root, image string) (server, error) {
	configuration, err := configFiles("grafana")
	if err != nil {
		return server{}, err
	}
	dashboards := map[string]string{}
	all, err := filepath.Glob(filepath.Join(root, "config", "grafana", "*.json"))
	if err != nil {
		return server{}, err
	}
	for _, file := range all {
		content, err := os.ReadFile(file)
		if err != nil {
			return server{}, err
		}
		dashboards[filepath.Base(file)] = string(content)
	}
	return server{
		Name: "grafana", Image: image, ServiceAccount: "default",
		Environment: map[string]string{
			"GF_AUTH_ANONYMOUS_ENABLED": "true", "GF_AUTH_DISABLE_LOGIN_FORM": "true", "GF_ANALYTICS_REPORTING_ENABLED": "false",
			"GF_ANALYTICS_CHECK_FOR_UPDATES": "false", "GF_PATHS_DATA": "/data", "GF_PATHS_LOGS": "/data/log", "GF_PATHS_PLUGINS": "/data/plugins", "GF_LOG_MODE": "console",
			"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": "/var/lib/dashboards/ecommerce-overview.json",
			"GF_PATHS_PROVISIONING":                     "/data/provisioning",
		},
		Ports: []port{{"http", 3000}}, Ready: probe{"/api/health", 3000}, Memory: memory{"128Mi", "512Mi"}, Data: "/data",
		Folders: map[string]string{
			"grafana-datasources": "/data/provisioning/datasources",
			"grafana-providers":   "/data/provisioning/dashboards",
			"grafana-dashboards":  "/var/lib/dashboards",
		},
		AdditionalFiles: map[string]map[string]string{
			"grafana-datasources": {"datasources.yaml": configuration["datasources.yaml"]},
			"grafana-providers":   {"dashboards.yaml": configuration["dashboards.yaml"]},
			"grafana-dashboards":  dashboards,
		},
	}, nil
}

// configFiles returns the contents of the files in config/<name> by name.
func configFiles(name string) (map[string]string, error) {
	entries, err := files.ReadDir("config/" + name)
	if err != nil {
		return nil, err
	}
	contents := map[string]string{}
	for _, entry := range entries {
		content, err := files.ReadFile("config/" + name + "/" + entry.Name())
		if err != nil {
			return nil, err
		}
		contents[entry.Name()] = string(content)
	}
	return contents, nil
}

// ConfigHash returns a hash of all files of the server: a change of one replaces the pod.
func (s server) ConfigHash() (string, error) {
	all, err := json.Marshal([]any{s.Configuration, s.AdditionalFiles})
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])[:16], err
}

// manifests returns the manifests of all servers.
func manifests(servers []server) (string, error) {
	access, err := files.ReadFile("manifests/access.yaml")
	if err != nil {
		return "", err
	}
	workload, err := template.ParseFS(files, "manifests/workload.yaml")
	if err != nil {
		return "", err
	}
	out := strings.Builder{}
	out.Write(access)
	for _, s := range servers {
		configMaps := map[string]map[string]string{}
		maps.Copy(configMaps, s.AdditionalFiles)
		if len(s.Configuration) > 0 {
			configMaps[s.Name] = s.Configuration
		}
		for name, content := range configMaps {
			manifest, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
				"metadata": map[string]string{"name": name, "namespace": namespace}, "data": content})
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&out, "---\n%s\n", manifest)
		}
		out.WriteString("---\n")
		if err := workload.Execute(&out, s); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}
