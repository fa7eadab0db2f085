package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ecommerce-stack.dev/hack/internal/images"
	"ecommerce-stack.dev/hack/internal/state"
	"ecommerce-stack.dev/hack/internal/workspace"
)

const (
	operatorSelector = "app.kubernetes.io/instance=" + release + ",app.kubernetes.io/name=operator"
	operatorTimeout  = 3 * time.Minute
	// digestLabel is a label of the release with the digest of chart and values.
	digestLabel = "ecommerce-stack.dev/digest"
)

// operator installs or upgrades the operator's chart, unless the release has the same chart and
// values, and waits for its pod.
func (i *installer) operator(ctx context.Context, detail func(string)) error {
	cache, err := workspace.Cache()
	if err != nil {
		return err
	}
	lock, err := state.Acquire(filepath.Join(cache, "install.lock"), func() { detail("waiting for another installation") })
	if err != nil {
		return err
	}
	defer lock.Close()
	image, err := i.images.Reference(operatorName)
	if err != nil {
		return err
	}
	values, err := i.operatorValues(image)
	if err != nil {
		return err
	}
	digest, err := chartDigest(filepath.Join(i.cluster.Root, "charts"), values)
	if err != nil {
		return err
	}
	installed, err := i.installed(ctx, digest, image)
	if err != nil {
		return err
	}
	if !installed {
		if err := i.upgrade(ctx, digest, values); err != nil {
			return err
		}
	}
	detail("waiting for its pod")
	return i.await(ctx, waiting{
		namespace: operatorNamespace, selector: operatorSelector, images: map[string]string{operatorName: image},
		timeout: operatorTimeout, interval: pollInterval, detail: detail,
		done: func(ctx context.Context, pods []corev1.Pod) (bool, string, error) {
			deployment, err := i.operatorDeployment(ctx)
			if err != nil || deployment == nil {
				return false, "its Deployment does not exist", err
			}
			return rolledOut(deployment) && len(pods) == int(deployment.Status.Replicas), "its pod is not ready", nil
		}})
}

// operatorValues returns the values that differ from the chart's, as arguments of --set.
func (i *installer) operatorValues(image string) ([]string, error) {
	exporter, err := i.images.Reference(exporterName)
	if err != nil {
		return nil, err
	}
	_, tag, _ := strings.Cut(filepath.Base(image), ":")
	values := []string{"image.tag=" + tag, "defaults.tag=" + images.LastBuilt, "defaults.mysqlExporterImage=" + exporter}
	for _, name := range slices.Sorted(maps.Keys(i.cluster.ServerImages)) {
		values = append(values, "defaults."+name+"Image="+i.cluster.ServerImages[name])
	}
	return values, nil
}

// chartDigest returns a digest of the files of the operator's chart and the library, and of values.
func chartDigest(charts string, values []string) (string, error) {
	digest := sha256.New()
	fmt.Fprintf(digest, "%q\n", values)
	for _, chart := range []string{"operator", "library"} {
		err := filepath.WalkDir(filepath.Join(charts, chart), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "charts": // of `helm dependency update`, as is Chart.lock
				return filepath.SkipDir
			case entry.IsDir() || entry.Name() == "Chart.lock":
				return nil
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(charts, path)
			fmt.Fprintf(digest, "%s %x\n", name, sha256.Sum256(content))
			return err
		})
		if err != nil {
			return "", fmt.Errorf("read the chart %s: %w", chart, err)
		}
	}
	return hex.EncodeToString(digest.Sum(nil))[:32], nil
}

// installed reports whether the release was deployed with a digest, and its Deployment has the
// image. It removes the record of an installation that was interrupted, because Helm takes it
// for one that still runs.
func (i *installer) installed(ctx context.Context, digest, image string) (bool, error) {
	secrets := i.core.CoreV1().Secrets(operatorNamespace)
	records, err := secrets.List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,name=" + release})
	if err != nil {
		return false, fmt.Errorf("read the releases of Helm: %w", err)
	}
	latest := corev1.Secret{}
	for _, record := range records.Items {
		if revisionOf(record) > revisionOf(latest) {
			latest = record
		}
	}
	if strings.HasPrefix(latest.Labels["status"], "pending-") {
		if err := secrets.Delete(ctx, latest.Name, metav1.DeleteOptions{}); err != nil {
			return false, fmt.Errorf("remove the record of an interrupted installation: %w", err)
		}
		return false, nil
	}
	deployment, err := i.operatorDeployment(ctx)
	if err != nil || deployment == nil {
		return false, err
	}
	return latest.Labels["status"] == "deployed" && latest.Labels[digestLabel] == digest &&
		deployment.Spec.Template.Spec.Containers[0].Image == image, nil
}

// revisionOf returns the revision of a release's record, or 0.
func revisionOf(record corev1.Secret) int {
	revision, _ := strconv.Atoi(record.Labels["version"]) // 0 for a record of another kind
	return revision
}

func (i *installer) upgrade(ctx context.Context, digest string, values []string) error {
	// Adds the library as it is now; --dependency-update leaves an older one in place.
	if _, err := i.cluster.Run(ctx, "", "helm", "dependency", "update", "charts/operator", "--skip-refresh"); err != nil {
		return err
	}
	arguments := []string{"upgrade", "--install", release, "charts/operator", "--namespace", operatorNamespace,
		"--create-namespace", "--labels", digestLabel + "=" + digest}
	for _, value := range values {
		arguments = append(arguments, "--set", value)
	}
	_, err := i.cluster.Run(ctx, "", "helm", arguments...)
	return err
}

// operatorDeployment returns nil if the Deployment does not exist.
func (i *installer) operatorDeployment(ctx context.Context) (*appsv1.Deployment, error) {
	found, err := i.core.AppsV1().Deployments(operatorNamespace).List(ctx, metav1.ListOptions{LabelSelector: operatorSelector})
	if err != nil {
		return nil, fmt.Errorf("read the operator's Deployment: %w", err)
	}
	if len(found.Items) == 0 {
		return nil, nil
	}
	return &found.Items[0], nil
}

// rolledOut reports whether all replicas have the present template and are available.
func rolledOut(d *appsv1.Deployment) bool {
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == *d.Spec.Replicas &&
		d.Status.Replicas == d.Status.UpdatedReplicas && d.Status.AvailableReplicas == d.Status.UpdatedReplicas
}
